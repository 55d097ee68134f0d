"""What is left of semaphores when a process is killed in the middle: creating them, giving many tokens."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import closing, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from ipckit import EventFd
from ipckit.errors import NotFoundError
from ipckit.posix import Semaphore, SharedMemory, UnnamedSemaphore, unnamed_semaphore
from ipckit.sysv import SemaphoreSet, sem
from ipckit.testing import pause
from tests.contract.tools import Background
from tests.primitives.standstill import HERE, around_call

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Child, Spawn

PAGE = os.sysconf("SC_PAGESIZE")
KILLED = -signal.SIGKILL


def killed_there(child: Child) -> None:
    child.wait_reached(HERE)
    child.kill()
    assert child.join() == KILLED


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    with SharedMemory.create(size=PAGE, unlink_on_close=True) as made:
        yield made


# --- named ------------------------------------------------------------------------------------------------------------


def create_and_stop(module: str, call: str, after: bool, name: str) -> None:
    around_call(sys.modules[module], call, after=after)
    Semaphore.create(name, value=3, mode=0o640)


def file_of(child: Child) -> int:
    """The inode number of the file in /dev/shm that it has open."""
    found = [f"/proc/{child.pid}/fd/{fd}" for fd in os.listdir(f"/proc/{child.pid}/fd")]
    (one,) = (path for path in found if os.readlink(path).startswith("/dev/shm/"))
    return os.stat(one).st_ino


@pytest.mark.parametrize(
    ("module", "call", "after"),
    [
        ("ipckit.posix.semaphore", "reserve", False),
        ("ipckit.posix.semaphore", "_mapped", False),
        ("ipckit.posix.semaphore", "check", True),
        ("os", "fchmod", False),
        ("os", "link", False),
        ("os", "link", True),
    ],
)
def test_a_creator_that_is_killed_leaves_a_whole_semaphore_or_none(
    module: str, call: str, after: bool, spawn: Spawn
) -> None:
    name = f"/ipckit-test-killed-{os.getpid()}"
    path = f"/dev/shm/sem.{name[1:]}"
    creator = spawn(create_and_stop, module, call, after, name)
    creator.wait_reached(HERE)
    inode = file_of(creator)
    creator.kill()
    assert creator.join() == KILLED
    there = [path] if (call, after) == ("link", True) else []
    assert [entry.path for entry in os.scandir("/dev/shm") if entry.inode() == inode] == there
    with closing(Semaphore.open_or_create(name, value=3, mode=0o640)) as semaphore:
        assert semaphore.value == 3
        assert os.stat(f"/dev/shm/sem.{name[1:]}").st_mode & 0o777 == 0o640
        semaphore.unlink()


def release_very_many(semaphore: Semaphore) -> None:
    semaphore.release((1 << 31) - 1)


def test_of_many_tokens_that_a_killed_process_was_giving_some_are_there(spawn: Spawn) -> None:
    with closing(Semaphore.create(unlink_on_close=True)) as semaphore:
        giver = spawn(release_very_many, semaphore)
        for _ in range(1000):
            assert semaphore.acquire(timeout=20)
        giver.kill()
        assert giver.join() == KILLED
        assert 0 <= semaphore.value < (1 << 31) - 1 - 1000


# --- unnamed ----------------------------------------------------------------------------------------------------------


def make_and_stop(memory: SharedMemory, after: bool) -> None:
    unnamed_semaphore.lib = SimpleNamespace(ipk_posix_sem_init=unnamed_semaphore.lib.ipk_posix_sem_init)
    around_call(unnamed_semaphore.lib, "ipk_posix_sem_init", after=after)
    UnnamedSemaphore.create(memory, 64, value=5)


@pytest.mark.parametrize("after", [False, True])
def test_a_maker_that_is_killed_leaves_the_bytes_as_they_were_or_a_semaphore(
    after: bool, memory: SharedMemory, spawn: Spawn
) -> None:
    memory.buf[64] = 7
    killed_there(spawn(make_and_stop, memory, after))
    if after:
        with closing(UnnamedSemaphore.open(memory, 64)) as semaphore:
            assert semaphore.value == 5
    else:
        assert bytes(memory.buf) == bytes(64) + b"\7" + bytes(PAGE - 65)
    with closing(UnnamedSemaphore.create(memory, 64, value=2)) as made_anew:
        assert made_anew.try_acquire()
        assert made_anew.value == 1


def test_a_token_is_found_whose_wake_up_died_with_another_waiter(memory: SharedMemory) -> None:
    """Whom sem_post wakes has no token yet; if it is killed then, the token is there and the others sleep on."""
    with closing(UnnamedSemaphore.create(memory, 64)) as semaphore:
        waiter = Background(lambda: semaphore.acquire(timeout=20))
        waiter.wait_blocked("futex")
        memory.buf[64] = 1  # the value, without a wake-up
        assert waiter.join() is True
        assert semaphore.value == 0


# --- System V ---------------------------------------------------------------------------------------------------------


def create_private_and_stop(told: EventFd) -> None:
    def stop(number: int, *_: object, **__: object) -> None:
        told.write(number + 1)
        pause(HERE)

    sem.start = stop
    SemaphoreSet.create(size=3, values=[1, 2, 3])


def test_a_private_set_stays_when_its_creator_is_killed_and_is_removed_by_its_number(spawn: Spawn) -> None:
    with EventFd.create() as told:
        killed_there(spawn(create_private_and_stop, told))
        number = told.read(0) - 1
    with SemaphoreSet.open_id(number) as left:
        assert (left.values(), left.stat().last_op_time) == ((0, 0, 0), 0)
    SemaphoreSet.remove_id(number)
    with pytest.raises(NotFoundError):
        SemaphoreSet.open_id(number)


def take_and_stop(forks: SemaphoreSet) -> None:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # others go first, when it has been given the token
    forks.op([(0, -1)], undo=True)
    pause(HERE)


def test_undo_gives_back_what_a_waiter_was_just_given_when_it_is_killed(spawn: Spawn) -> None:
    with SemaphoreSet.create(remove_on_close=True) as forks:
        waiter = spawn(take_and_stop, forks)
        waiter.wait_blocked("semtimedop", "semop")
        forks.op([(0, 1)])
        waiter.kill()
        with suppress(PermissionError):  # or the end of it, too, would wait until all others have nothing to do
            os.sched_setscheduler(waiter.pid, os.SCHED_OTHER, os.sched_param(0))
        assert waiter.join() == KILLED
        assert forks.value(0) == 1
