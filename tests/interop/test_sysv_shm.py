"""sysv.SharedMemory and programs that are not ours: Perl's IPC::SharedMem, ipcmk, ipcs, ipcrm, lsipc, a C program."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import NotFoundError
from ipckit.sysv import SharedMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.interop.conftest import Program

SIZE = 5000
PERL = r"""
use strict; use warnings;
use IPC::SysV qw(IPC_CREAT IPC_EXCL S_IRUSR S_IWUSR);
use IPC::SharedMem;
my ($key) = @ARGV;
$| = 1;
"""


@pytest.fixture
def key() -> int:
    return 0x1B600000 + os.getpid() % 0x10000


@pytest.fixture
def segment(key: int) -> Iterator[SharedMemory]:
    with SharedMemory.create(key, size=SIZE, remove_on_close=True) as made:
        yield made


@pytest.fixture
def perl(start: Callable[..., Program]) -> Callable[..., Program]:
    def run(script: str, *words: object) -> Program:
        return start("perl", "-e", PERL + script, *map(str, words))

    return run


@pytest.fixture
def c(start: Callable[..., Program], build: Callable[[str], Path]) -> Callable[..., Program]:
    return lambda *words: start(build("shm_sysv"), *map(str, words))


# --- C ---------------------------------------------------------------------------------------------------------


def test_a_c_program_and_we_see_what_the_other_writes(
    segment: SharedMemory, key: int, c: Callable[..., Program]
) -> None:
    with segment.attach() as memory:
        memory.buf[100:105] = b"ours1"
        program = c("echo", key)
        for text, there in ((b"their", b"ours1"), (b"again", b"ours2")):
            program.process.stdin.write(b"100 %s\n" % text)
            program.process.stdin.flush()
            assert program.line() == there
            program.process.stdin.write(b"0 x\n")  # its answer comes when the text is written
            program.process.stdin.flush()
            program.line()
            assert bytes(memory.buf[100:105]) == text
            memory.buf[100:105] = b"ours2"
        assert segment.stat().attached == 2
        told = c("stat", key).finish().split()
        assert [int(word) for word in told[:3]] == [SIZE, 2, os.getpid()]
        program.finish()
        assert segment.stat().attached == 1
        assert segment.stat().last_pid == program.pid


def test_a_segment_of_a_c_program_is_attached_and_removed(key: int, c: Callable[..., Program]) -> None:
    number = int(c("create", key, 777).finish())
    with SharedMemory.open(key) as segment, segment.attach() as memory:
        assert (segment.id, segment.size, memory.size) == (number, 777, 777)
        c("remove", key).finish()
        assert segment.stat().removed
        memory.buf[776] = 1
    with pytest.raises(NotFoundError):
        SharedMemory.open(key)


# --- Perl ------------------------------------------------------------------------------------------------------


def test_perl_and_we_see_what_the_other_writes(segment: SharedMemory, key: int, perl: Callable[..., Program]) -> None:
    with segment.attach() as memory:
        memory.buf[4996:5000] = b"ends"
        program = perl(
            r"""my $m = IPC::SharedMem->new($key, 0, 0) or die "new: $!"; $m->attach or die "attach: $!";
            print join(" ", $m->read(4996, 4), $m->stat->segsz, $m->stat->nattch, $m->stat->cpid), "\n";
            $m->write("a\0b", 0, 3) or die "write: $!"; print "written\n"; <STDIN>; $m->detach;""",
            key,
        )
        assert program.line() == b"ends %d 2 %d" % (SIZE, os.getpid())
        assert program.line() == b"written"
        assert bytes(memory.buf[:4]) == b"a\0b\0"
        program.finish(b"\n")


def test_a_segment_of_perl_outlives_it_and_is_ours(key: int, perl: Callable[..., Program]) -> None:
    program = perl(
        """my $m = IPC::SharedMem->new($key, 99, IPC_CREAT | IPC_EXCL | S_IRUSR | S_IWUSR) or die "new: $!";
        $m->attach; $m->write("left", 95, 4); print $m->id, "\n";""",
        key,
    )
    number = int(program.finish())
    with SharedMemory.open(key, read_only=True) as segment, segment.attach() as memory:
        assert segment.id == number
        assert bytes(memory.buf[95:]) == b"left"
        segment.remove()


# --- util-linux ------------------------------------------------------------------------------------------------


def test_ipcs_and_lsipc_list_our_segment(segment: SharedMemory, key: int, start: Callable[..., Program]) -> None:
    segment.set(mode=0o640)
    segment.lock()
    with segment.attach():
        listed = start("ipcs", "-m", package="util-linux").finish().decode()
        (row,) = (line.split() for line in listed.splitlines() if f"0x{key:08x}" in line)
        assert row[1] == str(segment.id)
        assert row[3:] == ["640", str(SIZE), "1", "locked"]
        shown = start("lsipc", "-m", "-J", "-b", package="util-linux").finish()
        (found,) = (entry for entry in next(iter(json.loads(shown).values())) if int(entry["id"]) == segment.id)
        assert (int(found["size"]), int(found["nattch"])) == (SIZE, 1)
        details = start("ipcs", "-m", "-i", segment.id, package="util-linux").finish().decode()
        assert re.search(rf"bytes=5000\s+lpid={os.getpid()}\s+cpid={os.getpid()}\s+nattch=1\b", details)


def test_a_segment_of_ipcmk_is_ours_to_use(start: Callable[..., Program]) -> None:
    said = start("ipcmk", "-M", "300", "-p", "0600", package="util-linux").finish().decode()
    number = int(re.search(r"\d+", said)[0])  # type: ignore[index]
    with SharedMemory.open_id(number) as segment, segment.attach() as memory:
        assert bytes(memory.buf) == bytes(300)
        with SharedMemory.open(segment.key) as other:  # type: ignore[arg-type]
            assert other.id == number
        segment.remove()


@pytest.mark.parametrize("by", ["id", "key"])
def test_what_ipcrm_removed_lives_while_we_have_it(key: int, by: str, start: Callable[..., Program]) -> None:
    with SharedMemory.create(key, size=SIZE) as segment, segment.attach() as memory:
        start("ipcrm", *(("-m", segment.id) if by == "id" else ("-M", key)), package="util-linux").finish()
        memory.buf[0] = 1
        listed = start("ipcs", "-m", package="util-linux").finish().decode()
        (row,) = (line for line in listed.splitlines() if f" {segment.id} " in line)
        assert row.split()[-1] == "dest"
        with pytest.raises(NotFoundError):
            SharedMemory.open(key)
