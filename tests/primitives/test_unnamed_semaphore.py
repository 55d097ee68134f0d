"""posix.UnnamedSemaphore: in memory of ours and of the user's, its life, death, and other programs."""

from __future__ import annotations

import array
import mmap
import os
import pickle
import signal
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.errors import ClosedError, SyscallError
from ipckit.posix import SharedMemory, UnnamedSemaphore
from ipckit.posix.unnamed_semaphore import ALIGNMENT, SIZE
from ipckit.testing import reached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    with SharedMemory.create(size=4096, unlink_on_close=True) as made:
        yield made


def wait_and_answer(asked: UnnamedSemaphore, answered: UnnamedSemaphore) -> None:
    assert asked.acquire(timeout=20)
    answered.release()
    asked.close()
    answered.close()


def take_and_die(semaphore: UnnamedSemaphore) -> None:
    semaphore.acquire()
    reached("taken")
    signal.pause()


def wait_for_ever(semaphore: UnnamedSemaphore) -> None:
    semaphore.acquire()


def test_many_in_one_memory_are_independent(memory: SharedMemory) -> None:
    with ExitStack() as stack:
        made = [UnnamedSemaphore.create(memory, offset, value=offset) for offset in range(0, 4096, SIZE)]
        for semaphore in made:
            stack.callback(semaphore.close)
        made[3].release(2)
        again = [UnnamedSemaphore.open(memory, offset) for offset in range(0, 4096, SIZE)]
        for semaphore in again:
            stack.callback(semaphore.close)
        assert [semaphore.value for semaphore in again] == [
            offset + 2 * (offset == 3 * SIZE) for offset in range(0, 4096, SIZE)
        ]


def test_processes_meet_in_a_mapping_that_was_pickled(memory: SharedMemory, spawn: Spawn) -> None:
    with closing(UnnamedSemaphore.create(memory)) as asked, closing(UnnamedSemaphore.create(memory, 64)) as answered:
        child = spawn(wait_and_answer, asked, answered)
        child.wait_blocked("futex")
        asked.release()
        assert answered.acquire(timeout=20)
        assert child.join() == 0


def test_a_mapping_of_the_users_is_inherited_by_a_fork() -> None:
    with mmap.mmap(-1, 4096) as mapping, closing(UnnamedSemaphore.create(mapping)) as semaphore:
        if (pid := os.fork()) == 0:
            semaphore.release()
            os._exit(0)
        os.waitpid(pid, 0)
        assert semaphore.acquire(timeout=20)
        with pytest.raises(TypeError, match="open it there"):
            pickle.dumps(semaphore)


def test_the_memory_stays_while_a_handle_is_open(memory: SharedMemory) -> None:
    mapping = mmap.mmap(-1, 4096)
    semaphore = UnnamedSemaphore.create(mapping)
    with pytest.raises(BufferError):
        mapping.close()
    semaphore.close()
    mapping.close()
    ours = UnnamedSemaphore.create(memory)
    with pytest.raises(BufferError):
        memory.close()
    ours.release()
    ours.close()


def test_a_killed_holder_never_gives_its_token_back(memory: SharedMemory, spawn: Spawn) -> None:
    with closing(UnnamedSemaphore.create(memory, value=1)) as semaphore:
        child = spawn(take_and_die, semaphore)
        child.wait_reached("taken")
        child.kill()
        child.join()
        assert not semaphore.acquire(timeout=0.01)


def test_a_killed_waiter_takes_no_token(memory: SharedMemory, spawn: Spawn) -> None:
    with closing(UnnamedSemaphore.create(memory)) as semaphore:
        child = spawn(wait_for_ever, semaphore)
        child.wait_blocked("futex")
        child.kill()
        child.join()
        semaphore.release()
        assert semaphore.try_acquire()


@pytest.mark.parametrize(
    ("within", "offset", "error"),
    [
        (bytearray(SIZE - 1), 0, ValueError),
        (bytearray(64), -ALIGNMENT, ValueError),
        (bytearray(64), 64, ValueError),
        (bytearray(64), 1, ValueError),
        (bytearray(64), True, TypeError),
        (bytes(64), 0, (TypeError, BufferError)),
        (5, 0, TypeError),
        (memoryview(bytearray(128))[::2], 0, (TypeError, BufferError)),
    ],
)
def test_bad_places_are_refused(within: Any, offset: Any, error: Any) -> None:
    with pytest.raises(error, match=r"within|offset"):
        UnnamedSemaphore.create(within, offset)


def test_any_writable_buffer_will_do() -> None:
    numbers = array.array("q", [0] * 8)
    with closing(UnnamedSemaphore.create(numbers, value=2)) as semaphore:
        assert semaphore.value == 2
        with semaphore:
            assert semaphore.value == 1
    assert repr(semaphore) == "<UnnamedSemaphore closed>"


def test_values_and_closed_memory(memory: SharedMemory) -> None:
    for value in (-1, 1 << 31):
        with pytest.raises(ValueError, match="value"):
            UnnamedSemaphore.create(memory, value=value)
    with closing(UnnamedSemaphore.create(memory, value=(1 << 31) - 1)) as semaphore:
        with pytest.raises(SyscallError, match="sem_post"):
            semaphore.release()
        assert "at 0 of SharedMemory" in repr(semaphore)
    with pytest.raises(ClosedError):
        semaphore.release()
    memory.close()
    with pytest.raises(ClosedError):
        UnnamedSemaphore.open(memory)
