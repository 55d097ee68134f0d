"""sync.Latch: counting, waiting, and who may die at it."""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING, Any

import pytest

from ipckit._names import unique_name
from ipckit.errors import LayoutError
from ipckit.posix import SharedMemory
from ipckit.sync import AtomicInt64, Latch
from tests.contract.tools import Background, in_fork

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

LONG = 20.0
WORD = 64  # bytes from the beginning of the object
WAITERS = 1 << 31


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    with SharedMemory.create(size=4096, unlink_on_close=True) as made:
        yield made


def test_it_opens_at_0_and_stays_open() -> None:
    with Latch.create(count=5) as latch:
        assert latch.count == 5
        assert latch.wait(0) is latch.wait(0.001) is False
        assert latch.count_down() == 4
        assert latch.count_down(3) == 1
        assert latch.count_down(7) == 0
        assert latch.count_down() == 0
        assert latch.wait() is latch.wait(0) is True


def test_one_that_begins_at_0_is_open() -> None:
    with Latch.create(count=0) as latch:
        assert latch.wait(0) is True


@pytest.mark.parametrize(("count", "n"), [(-1, 1), (1 << 31, 1), (1.5, 1), (True, 1), (1, 0), (1, -1), (1, "1")])
def test_bad_numbers_are_refused(count: Any, n: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="to count down"), Latch.create(count=count) as latch:
        latch.count_down(n)


def work(latch: Latch, done: AtomicInt64) -> int:
    done.add(1)
    latch.count_down()
    assert latch.wait(LONG)
    return done.load()


def test_all_see_what_all_did_before_it_opened(spawn: Spawn) -> None:
    with contextlib.ExitStack() as stack:
        latch = stack.enter_context(Latch.create(unique_name(), count=4, unlink_on_close=True))
        done = stack.enter_context(AtomicInt64.create(unique_name(), unlink_on_close=True))
        children = [spawn(work, latch, done) for _ in range(2)]
        threads = [Background(lambda: work(latch, done)) for _ in range(2)]
        assert [thread.join() for thread in threads] == [4, 4]
        assert [child.result() for child in children] == [4, 4]


def test_a_killed_waiter_costs_a_needless_wake_up_and_nothing_else(memory: SharedMemory, spawn: Spawn) -> None:
    with Latch.create(unique_name(), count=1, unlink_on_close=True) as latch:
        victim = spawn(latch_wait, latch)
        victim.wait_blocked("futex")
        victim.kill()
        victim.join()
        waiter = Background(lambda: latch.wait(LONG))
        waiter.wait_blocked("futex")
        latch.count_down()
        assert waiter.join() is True


def latch_wait(latch: Latch) -> bool:
    return latch.wait(LONG)


def test_who_dies_between_opening_and_waking_costs_a_slice(memory: SharedMemory) -> None:
    with Latch.create(within=memory, count=1) as latch:
        waiter = Background(lambda: latch.wait(LONG))
        waiter.wait_blocked("futex")
        assert struct.unpack_from("I", memory.buf, WORD) == (WAITERS | 1,)
        struct.pack_into("I", memory.buf, WORD, 0)
        assert waiter.join() is True


def test_a_fork_counts(memory: SharedMemory) -> None:
    with Latch.create(within=memory, offset=64, count=2) as latch:
        in_fork(latch.count_down)
        assert latch.count == 1


def test_garbage_is_a_number_and_nothing_worse(memory: SharedMemory) -> None:
    with Latch.create(within=memory, count=1) as latch:
        for pattern in (b"\xff", b"\x80\x00\x00\x00", b"\x00\x00\x00\x80", b"\xa5"):
            memory.buf[WORD : WORD + 64] = pattern * (64 // len(pattern))
            assert 0 <= latch.count < 1 << 31
            latch.wait(0.001)
            latch.count_down()
        memory.buf[0:8] = b"\xff" * 8
        with pytest.raises(LayoutError):
            Latch.open(within=memory)


def test_its_kind_is_checked() -> None:
    with contextlib.ExitStack() as stack:
        latch = stack.enter_context(Latch.create(unique_name(), count=1, unlink_on_close=True))
        with pytest.raises(LayoutError, match="no AtomicInt64"):
            AtomicInt64.open(latch.name)
