"""sysv.MessageQueue and programs that are not ours: Perl's IPC::Msg, ipcmk, ipcs, ipcrm, lsipc, a C program."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import RemovedError
from ipckit.sysv import MessageQueue, ftok
from tests.contract.tools import Background

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.interop.conftest import Program

PERL = r"""
use strict; use warnings;
use IPC::SysV qw(IPC_CREAT IPC_EXCL S_IRUSR S_IWUSR MSG_NOERROR ftok);
use IPC::Msg;
my ($verb, $key, @words) = @ARGV;
binmode STDOUT; $| = 1;
"""


@pytest.fixture
def key() -> int:
    return 0x1BE00000 + os.getpid() % 0x10000


@pytest.fixture
def queue(key: int) -> Iterator[MessageQueue]:
    with MessageQueue.create(key, remove_on_close=True) as made:
        yield made


@pytest.fixture
def perl(start: Callable[..., Program]) -> Callable[..., Program]:
    def run(script: str, *words: object) -> Program:
        return start("perl", "-e", PERL + script, *map(str, words))

    return run


# --- C ---------------------------------------------------------------------------------------------------------


def test_c_program_receives_what_we_send(
    queue: MessageQueue, key: int, start: Callable[..., Program], build: Callable[[str], Path]
) -> None:
    program = start(build("msg"), "receive", key, -5)
    program.wait_blocked("msgrcv")
    queue.send(b"other", type=6)
    for data, kind in ((b"first", 2), (b"\xff\x01", 5), (b"", 1)):
        queue.send(data, type=kind)
        expected = b"%d %d %s" % (kind, len(data), data)
        assert program.line() == expected
    program.finish()
    assert queue.receive(timeout=0) == (6, b"other")


def test_we_receive_what_a_c_program_sends(
    queue: MessageQueue, key: int, start: Callable[..., Program], build: Callable[[str], Path]
) -> None:
    program = start(build("msg"), "send", key, 1 << 40)
    waiter = Background(lambda: queue.receive(type=1 << 40))
    waiter.wait_blocked("msgrcv")
    program.finish(b"one\ntwo\n")
    assert waiter.join() == (1 << 40, b"one")
    assert [queue.receive(timeout=0).data for _ in range(2)] == [b"two", b""]
    assert queue.stat().last_send_pid == program.pid


def test_a_queue_made_by_a_c_program_is_opened_and_removed(
    key: int, start: Callable[..., Program], build: Callable[[str], Path]
) -> None:
    number = int(start(build("msg"), "create", key).finish())
    with MessageQueue.open(key) as queue:
        assert queue.id == number
        waiter = Background(queue.receive)
        waiter.wait_blocked("msgrcv")
        start(build("msg"), "remove", key).finish()
        with pytest.raises(RemovedError):
            waiter.join()


@pytest.mark.parametrize("project_id", [1, 127, 255])
def test_ftok_is_that_of_libc(
    project_id: int, tmp_path: Path, start: Callable[..., Program], build: Callable[[str], Path]
) -> None:
    assert int(start(build("msg"), "key", tmp_path, project_id).finish()) == ftok(tmp_path, project_id)


# --- Perl ------------------------------------------------------------------------------------------------------


def test_perl_receives_what_we_send_by_type(queue: MessageQueue, key: int, perl: Callable[..., Program]) -> None:
    program = perl(
        """my $q = IPC::Msg->new($verb, 0) or die "new: $!";
        for (1..3) { my $type = $q->rcv(my $data, 8192, -9) or die "rcv: $!"; print "$type $data\n"; }""",
        key,
    )
    program.wait_blocked("msgrcv")
    queue.send(b"never", type=10)
    for data, kind in ((b"one", 4), (b"\0\xff", 9), (b"", 1)):
        queue.send(data, type=kind)
        assert program.line() == b"%d %s" % (kind, data)
    program.finish()
    assert queue.stat().messages == 1


def test_we_receive_what_perl_sends_and_see_what_it_sees(
    queue: MessageQueue, key: int, perl: Callable[..., Program]
) -> None:
    program = perl(
        r"""my $q = IPC::Msg->new($verb, 0) or die "new: $!";
        $q->snd(3, "a\0b") or die "snd: $!"; $q->snd(2, "") or die "snd: $!";
        my $s = $q->stat; print join(" ", $s->qnum, $s->qbytes, $s->mode & 0777, $s->lspid == $$), "\n";""",
        key,
    )
    status = program.finish().split()
    assert [int(word) for word in status] == [2, queue.stat().max_bytes, 0o600, 1]
    assert queue.receive(type=-3, timeout=0) == (2, b"")
    assert queue.receive(timeout=0) == (3, b"a\0b")


def test_perl_and_we_find_each_other_by_ftok(tmp_path: Path, perl: Callable[..., Program]) -> None:
    key = ftok(tmp_path, 65)
    program = perl(
        """my $q = IPC::Msg->new(ftok($verb, 65), IPC_CREAT | IPC_EXCL | S_IRUSR | S_IWUSR) or die "new: $!";
        print "made\n"; $q->rcv(my $data, 10, 0); print "$data\n"; $q->remove;""",
        tmp_path,
    )
    assert program.line() == b"made"
    with MessageQueue.open(key) as queue:
        program.wait_blocked("msgrcv")
        queue.send(b"found")
        assert program.line() == b"found"
        program.finish()
        with pytest.raises(RemovedError):
            queue.stat()


def test_perl_sets_a_size_that_we_meet(queue: MessageQueue, key: int, perl: Callable[..., Program]) -> None:
    perl('my $q = IPC::Msg->new($verb, 0); $q->set(qbytes => 7) or die "set: $!"', key).finish()
    assert queue.stat().max_bytes == 7
    assert queue.try_send(bytes(7))
    assert not queue.try_send(b"x")


# --- util-linux ------------------------------------------------------------------------------------------------


def test_ipcs_and_lsipc_list_our_queue(queue: MessageQueue, key: int, start: Callable[..., Program]) -> None:
    queue.set(mode=0o640, max_bytes=1000)
    queue.send(b"12345")
    queue.send(b"678")
    listed = start("ipcs", "-q", package="util-linux").finish().decode()
    (row,) = (line.split() for line in listed.splitlines() if f"0x{key:08x}" in line)
    assert row[1] == str(queue.id)
    assert row[3:] == ["640", "8", "2"]
    shown = start("lsipc", "-q", "-J", "-b", package="util-linux").finish()
    (found,) = (entry for entry in next(iter(json.loads(shown).values())) if int(entry["id"]) == queue.id)
    assert (int(found["usedbytes"]), int(found["msgs"])) == (8, 2)
    details = start("ipcs", "-q", "-i", queue.id, package="util-linux").finish().decode()
    assert re.search(r"qbytes=1000\b", details)
    assert re.search(r"qnum=2\b", details)
    assert re.search(rf"lspid={os.getpid()}\b", details)


def test_a_queue_of_ipcmk_is_ours_to_use(start: Callable[..., Program]) -> None:
    said = start("ipcmk", "-Q", "-p", "0600", package="util-linux").finish().decode()
    number = int(re.search(r"\d+", said)[0])
    with MessageQueue.open_id(number) as queue:
        queue.send(b"x")
        with MessageQueue.open(queue.key) as other:
            assert other.id == number
            assert other.receive(timeout=0).data == b"x"
        queue.remove()


@pytest.mark.parametrize("by", ["id", "key"])
def test_ipcrm_ends_our_wait(key: int, by: str, start: Callable[..., Program]) -> None:
    with MessageQueue.create(key) as queue:
        waiter = Background(queue.receive)
        waiter.wait_blocked("msgrcv")
        start("ipcrm", *(("-q", queue.id) if by == "id" else ("-Q", key)), package="util-linux").finish()
        with pytest.raises(RemovedError):
            waiter.join()
