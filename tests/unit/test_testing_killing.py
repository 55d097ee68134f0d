"""kill_sweep: it kills at each place where something changes, and what does not survive that is found."""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import NotOwnerError
from ipckit.posix import Semaphore, SharedMemory
from ipckit.sync import Mutex
from ipckit.testing import ChildFailed, kill_sweep

if TYPE_CHECKING:
    from collections.abc import Sequence

COUNTER = 1024


def arrange() -> tuple[Mutex, SharedMemory]:
    memory = SharedMemory.create(size=4096, unlink_on_close=True)
    return Mutex.create(within=memory), memory


def count_one(mutex: Mutex, memory: SharedMemory) -> None:
    with mutex:
        (value,) = struct.unpack_from("=Q", memory.buf, COUNTER)
        struct.pack_into("=Q", memory.buf, COUNTER, value + 1)


def watch(_: object, memory: SharedMemory) -> memoryview:
    return memory.buf[:2048]


@pytest.mark.stress
def test_a_mutex_survives_a_kill_at_each_place() -> None:
    inherited = []

    def survive(mutex: Mutex, memory: SharedMemory) -> None:
        with contextlib.closing(memory), contextlib.closing(mutex):
            got = mutex.acquire(timeout=2)
            assert got
            inherited.append(got.owner_died)
            assert struct.unpack_from("=Q", memory.buf, COUNTER)[0] in (0, 1)

    swept = kill_sweep(count_one, arrange=arrange, survive=survive, watch=watch)
    assert swept.kills == len(inherited) - 1 > 10
    assert swept.instructions > 500
    assert not inherited[0]
    assert not inherited[-1]
    assert inherited.count(True) > 5


def count_one_by_semaphore(semaphore: Semaphore, memory: SharedMemory) -> None:
    with semaphore:
        struct.pack_into("=Q", memory.buf, COUNTER, 1)


@pytest.mark.slow
def test_a_lock_that_does_not_survive_is_found() -> None:
    survived = []

    def arrange() -> Sequence[object]:
        return (
            Semaphore.create(value=1, unlink_on_close=True),
            SharedMemory.create(size=4096, unlink_on_close=True),
        )

    def survive(semaphore: Semaphore, memory: SharedMemory) -> None:
        with contextlib.closing(memory), contextlib.closing(semaphore):
            assert semaphore.acquire(timeout=0.1), "lost for ever"
            survived.append(True)

    with pytest.raises(AssertionError, match="lost for ever"):
        kill_sweep(count_one_by_semaphore, arrange=arrange, survive=survive, watch=watch)
    assert survived


def wait_for_it(mutex: Mutex, _: SharedMemory) -> None:
    mutex.acquire()


@pytest.mark.stress
def test_a_victim_is_killed_in_its_sleep_too() -> None:
    def arrange_held() -> tuple[Mutex, SharedMemory]:
        made = arrange()
        made[0].set_spin(0)
        made[0].acquire()
        return made

    def unblock(mutex: Mutex, _: SharedMemory) -> None:
        with contextlib.suppress(NotOwnerError):
            mutex.release()

    def survive(mutex: Mutex, memory: SharedMemory) -> None:
        with contextlib.closing(memory), contextlib.closing(mutex):
            unblock(mutex, memory)
            assert mutex.acquire(timeout=2)

    swept = kill_sweep(wait_for_it, arrange=arrange_held, survive=survive, unblock=unblock)
    assert swept.kills > 5


def fail() -> None:
    raise ValueError("no such thing")


def test_an_operation_that_raises_is_no_sweep() -> None:
    with pytest.raises(ChildFailed, match="no such thing"):
        kill_sweep(fail, arrange=list, survive=lambda: None)
