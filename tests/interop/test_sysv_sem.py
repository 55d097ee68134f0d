"""sysv.SemaphoreSet and programs that are not ours: Perl's IPC::Semaphore, ipcmk, ipcs, ipcrm, lsipc, a C program."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import NotFoundError, RemovedError
from ipckit.sysv import SemaphoreSet
from tests.contract.tools import Background

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.interop.conftest import Program

PERL = r"""
use strict; use warnings;
use IPC::SysV qw(IPC_CREAT IPC_EXCL S_IRUSR S_IWUSR SEM_UNDO);
use IPC::Semaphore;
my ($key) = @ARGV;
$| = 1;
"""
OPEN = 'my $s = IPC::Semaphore->new($key, 0, 0) or die "new: $!";'


@pytest.fixture
def key() -> int:
    return 0x1B700000 + os.getpid() % 0x10000


@pytest.fixture
def three(key: int) -> Iterator[SemaphoreSet]:
    with SemaphoreSet.create(key, size=3, values=[1, 0, 2], remove_on_close=True) as made:
        yield made


@pytest.fixture
def perl(start: Callable[..., Program]) -> Callable[..., Program]:
    def run(script: str, *words: object) -> Program:
        return start("perl", "-e", PERL + script, *map(str, words))

    return run


@pytest.fixture
def c(start: Callable[..., Program], build: Callable[[str], Path]) -> Callable[..., Program]:
    return lambda *words: start(build("sem"), *map(str, words))


# --- C ---------------------------------------------------------------------------------------------------------


def test_a_c_program_waits_for_what_we_give_as_one(three: SemaphoreSet, key: int, c: Callable[..., Program]) -> None:
    program = c("op", key, 0, 0, -1, 1, -1, 2, -2)
    program.wait_blocked("semop", "semtimedop")
    assert three.values() == (1, 0, 2)
    assert [three.waiting(index) for index in range(3)] == [0, 1, 0]
    three.op([(1, 1)])
    assert program.line() == b"done"
    assert three.values() == (0, 0, 0)
    assert three.last_pid(1) == program.pid
    program.finish()


def test_we_wait_for_what_a_c_program_gives(three: SemaphoreSet, key: int, c: Callable[..., Program]) -> None:
    waiter = Background(lambda: three.op([(1, -3), (2, 0)]))
    waiter.wait_blocked("semtimedop")
    c("op", key, 0, 2, -2).finish()
    while True:
        seen = [line.split() for line in c("values", key).finish().decode().splitlines()]
        assert [line[0] for line in seen] == ["1", "0", "0"]
        if seen[1][2] == "1":  # between two slices of our wait it is none
            break
    c("op", key, 0, 1, 4).finish()
    waiter.join()
    assert three.values() == (1, 1, 0)


def test_a_killed_c_program_gives_back_and_so_do_we_see_it(
    three: SemaphoreSet, key: int, c: Callable[..., Program]
) -> None:
    program = c("op", key, 1, 0, -1, 2, -2)
    assert program.line() == b"done"
    assert not three.try_op([(0, -1)])
    program.end()
    assert three.values() == (1, 0, 2)


def test_creators_and_openers_keep_to_one_convention(key: int, c: Callable[..., Program]) -> None:
    number = int(c("create", key, 4, 5).finish())
    with SemaphoreSet.open(key) as two:
        assert (two.id, two.values()) == (number, (4, 5))
        c("remove", key).finish()
        with pytest.raises(RemovedError):
            two.values()
    with SemaphoreSet.create(key, size=2, values=[7, 0], remove_on_close=True):
        said = c("wait", key).finish().decode().splitlines()
        assert [line.split()[0] for line in said] == ["7", "0"]


# --- Perl ------------------------------------------------------------------------------------------------------


def test_perl_takes_what_we_give(three: SemaphoreSet, key: int, perl: Callable[..., Program]) -> None:
    program = perl(OPEN + 'for (1..3) { $s->op(0, -1, 0, 1, -1, 0) or die "op: $!"; print "taken\n"; }', key)
    for _ in range(3):
        program.wait_blocked("semop", "semtimedop")
        three.op([(0, 1), (1, 1)])
        assert program.line() == b"taken"
    program.finish()
    assert three.values() == (1, 0, 2)


def test_we_take_what_perl_gives_and_see_what_it_sees(
    three: SemaphoreSet, key: int, perl: Callable[..., Program]
) -> None:
    waiter = Background(lambda: three.op([(1, -2)], timeout=20))
    waiter.wait_blocked("semtimedop")
    program = perl(
        OPEN
        + r"""print join(" ", $s->getall, $s->getpid(0), $s->stat->nsems, $s->stat->mode & 0777), "\n";
        $s->op(1, 2, 0) or die "op: $!"; <STDIN>;
        $s->setall(7, 8, 9) or die "setall: $!"; $s->setval(0, 6) or die "setval: $!";""",
        key,
    )
    assert program.line().split() == [b"1", b"0", b"2", b"%d" % os.getpid(), b"3", b"%d" % 0o600]
    waiter.join()
    program.finish(b"\n")
    assert three.values() == (6, 8, 9)
    assert three.last_pid(0) == program.pid


def test_a_set_of_perl_is_ours_and_undone(key: int, perl: Callable[..., Program]) -> None:
    program = perl(
        """my $s = IPC::Semaphore->new($key, 2, IPC_CREAT | IPC_EXCL | S_IRUSR | S_IWUSR) or die "new: $!";
        $s->setall(3, 0); $s->op(0, -1, SEM_UNDO) or die "op: $!"; print $s->id, "\n"; <STDIN>;""",
        key,
    )
    number = int(program.line())
    with SemaphoreSet.open(key) as two:
        assert (two.id, two.values()) == (number, (2, 0))
        program.end()
        assert two.values() == (3, 0)
        two.remove()


# --- util-linux ------------------------------------------------------------------------------------------------


def test_ipcs_and_lsipc_list_our_set(three: SemaphoreSet, key: int, start: Callable[..., Program]) -> None:
    three.set(mode=0o640)
    listed = start("ipcs", "-s", package="util-linux").finish().decode()
    (row,) = (line.split() for line in listed.splitlines() if f"0x{key:08x}" in line)
    assert row[1] == str(three.id)
    assert row[3:] == ["640", "3"]
    shown = start("lsipc", "-s", "-J", package="util-linux").finish()
    (found,) = (entry for entry in next(iter(json.loads(shown).values())) if int(entry["id"]) == three.id)
    assert int(found["nsems"]) == 3
    details = start("ipcs", "-s", "-i", three.id, package="util-linux").finish().decode()
    values = re.findall(rf"^(\d)\s+(\d)\s+0\s+0\s+{os.getpid()}\s*$", details, re.MULTILINE)
    assert values == [("0", "1"), ("1", "0"), ("2", "2")]


def test_a_set_of_ipcmk_is_ours_once_it_is_taken_as_it_is(start: Callable[..., Program]) -> None:
    said = start("ipcmk", "-S", "3", "-p", "0600", package="util-linux").finish().decode()
    number = int(re.search(r"\d+", said)[0])  # type: ignore[index]
    with SemaphoreSet.open_id(number) as three:
        assert (three.size, three.values()) == (3, (0, 0, 0))
        with SemaphoreSet.open_or_create(three.key, size=3, values=[1, 2, 3]) as other:  # type: ignore[arg-type]
            assert (other.id, other.values()) == (number, (1, 2, 3))
        three.remove()


@pytest.mark.parametrize("by", ["id", "key"])
def test_ipcrm_ends_our_wait(key: int, by: str, start: Callable[..., Program]) -> None:
    with SemaphoreSet.create(key) as one:
        waiter = Background(lambda: one.op([(0, -1)]))
        waiter.wait_blocked("semtimedop")
        start("ipcrm", *(("-s", one.id) if by == "id" else ("-S", key)), package="util-linux").finish()
        with pytest.raises(RemovedError):
            waiter.join()
    with pytest.raises(NotFoundError):
        SemaphoreSet.open(key)
