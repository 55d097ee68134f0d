"""What is left of locks on files when a process is killed, stopped, or becomes a daemon, and when a thread ends."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import EventFd
from ipckit.filelock import FileRWLock, Flock, OfdLock, PidFile, RecordLock
from ipckit.posix import Semaphore
from ipckit.sysv import SemaphoreSet
from ipckit.testing import pause, reached
from tests.contract.tools import Background
from tests.primitives.standstill import HERE, around_call

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ipckit.testing import Child, Spawn

KINDS: list[Any] = [RecordLock, OfdLock, Flock]
DESCRIPTION: list[Any] = [OfdLock, Flock]  # owned by an open file description
WAIT = ("fcntl", "flock")
KILLED = -signal.SIGKILL


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lock")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as exits:
        yield exits


def opened(stack: ExitStack, kind: Any, *args: Any, **kwargs: Any) -> Any:
    return stack.enter_context(closing(kind(*args, **kwargs)))


def killed(child: Child) -> None:
    child.kill()
    assert child.join() == KILLED


# --- killed in the middle ---------------------------------------------------------------------------------------------


def open_all(path: str) -> None:
    locks = [kind(path) for kind in (*KINDS, FileRWLock)]
    pause(HERE)
    del locks


def test_a_file_that_was_opened_and_not_locked_is_left_and_free(path: str, stack: ExitStack, spawn: Spawn) -> None:
    child = spawn(open_all, path)
    child.wait_reached(HERE)
    killed(child)
    assert os.path.getsize(path) == 0
    for kind in (*KINDS, FileRWLock):
        lock = opened(stack, kind, path)
        assert lock.try_acquire()
        lock.release()


def convert(lock: Any) -> None:
    assert lock.acquire(shared=True)
    reached("shared")
    lock.acquire()


@pytest.mark.parametrize("kind", KINDS)
def test_whoever_is_killed_while_it_converts_a_lock_has_none(
    kind: Any, path: str, stack: ExitStack, spawn: Spawn
) -> None:
    mine, third = opened(stack, kind, path), opened(stack, OfdLock if kind is RecordLock else kind, path)
    assert mine.acquire(shared=True)
    child = spawn(convert, mine)
    child.wait_reached("shared")
    child.wait_blocked(*WAIT)
    killed(child)
    assert mine.acquire(timeout=0)
    mine.release()
    assert third.try_acquire()


def hold(lock: Any, how: dict[str, Any]) -> None:
    assert lock.acquire(**how)
    reached("holding")
    pause("until")
    lock.release()
    lock.close()


def test_a_writer_that_is_killed_lets_the_others_in(path: str, stack: ExitStack, spawn: Spawn) -> None:
    first, second = (opened(stack, FileRWLock, path) for _ in range(2))
    writer = spawn(hold, first, {})
    writer.wait_reached("holding")
    assert not first.try_acquire(shared=True)
    killed(writer)
    assert first.try_acquire(shared=True)
    assert second.try_acquire(shared=True)


def test_a_reader_that_is_killed_while_it_waits_leaves_the_gate_open(path: str, stack: ExitStack, spawn: Spawn) -> None:
    writer, other = (opened(stack, FileRWLock, path) for _ in range(2))
    gate = opened(stack, OfdLock, path, start=1, length=1)
    with writer:
        reader = spawn(hold, other, {"shared": True})
        reader.wait_blocked("fcntl")
        assert not gate.try_acquire(), "it has gone through the gate"
        killed(reader)
        with gate:
            pass
    assert other.try_acquire()


# --- pid files --------------------------------------------------------------------------------------------------------


def become_the_instance(path: str) -> None:
    PidFile(path).acquire()


def test_a_killed_waiter_is_no_instance(path: str, stack: ExitStack, spawn: Spawn) -> None:
    mine, other = opened(stack, PidFile, path), opened(stack, PidFile, path)
    with mine:
        waiter = spawn(become_the_instance, path)
        waiter.wait_blocked("fcntl")
        killed(waiter)
        assert other.holder_pid() == os.getpid()
    assert other.try_acquire()
    other.release()


def become_and_stop(path: str, where: str) -> None:
    """Make the file, and stand still before it is locked, before it says who has it, or when it says half of that."""
    if where == "made":
        around_call(OfdLock, "acquire")
    else:
        around_call(os, "pwrite", after=where == "written")
    PidFile(path).acquire()


@pytest.mark.parametrize("where", ["made", "locked", "written"])
def test_what_a_process_left_that_was_killed_while_it_became_the_instance_is_taken_over(
    where: str, path: str, stack: ExitStack, spawn: Spawn
) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write("what a longer pid left: 99999999999\n")
    child = spawn(become_and_stop, path, where)
    child.wait_reached(HERE)
    other = opened(stack, PidFile, path)
    if where != "made":
        assert not other.try_acquire()
        assert other.holder_pid() in {None, child.pid}, "never a number that is not its own"
    killed(child)
    assert other.holder_pid() is None
    with other, open(path, encoding="ascii") as file:
        assert file.read() == f"{os.getpid()}\n"


# --- stopped, a thread that ends, a daemon ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_stopped_holder_keeps_its_lock_and_goes_on_with_it(
    kind: Any, path: str, stack: ExitStack, spawn: Spawn
) -> None:
    mine = opened(stack, kind, path)
    child = spawn(hold, mine, {})
    child.wait_reached("holding")
    child.send_signal(signal.SIGSTOP)
    assert os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    assert not mine.acquire(timeout=0.01)
    child.send_signal(signal.SIGCONT)
    child.resume("until")
    assert mine.acquire(timeout=20)
    assert child.join() == 0


def test_what_a_thread_took_stays_taken_when_it_ends(path: str, stack: ExitStack) -> None:
    locks = [opened(stack, kind, path + str(number)) for number, kind in enumerate(KINDS)]
    semaphore = opened(stack, Semaphore.create, value=1, unlink_on_close=True)
    thread = threading.Thread(target=lambda: [lock.acquire() for lock in (*locks, semaphore)])
    thread.start()
    thread.join()
    assert semaphore.value == 0
    for lock in locks:
        assert lock.held == "exclusive"
        rival = opened(stack, OfdLock if isinstance(lock, RecordLock) else type(lock), lock.name)
        assert not rival.try_acquire()
        lock.release()  # by another thread than took it
        assert rival.try_acquire()


def become_a_daemon(locks: list[Any], forks: SemaphoreSet, told: EventFd, until: EventFd) -> None:
    """As daemon(3) does, fork, and let the parent end; what it had is the child's, or is not."""
    for lock in locks:
        lock.acquire()
    forks.op([(0, -1)], undo=True)
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    told.write()
    until.read()
    os._exit(0)


def test_a_daemon_has_what_belongs_to_descriptions_and_nothing_that_belonged_to_its_parent(
    path: str, stack: ExitStack, spawn: Spawn
) -> None:
    locks = [opened(stack, kind, path + str(number)) for number, kind in enumerate(KINDS)]
    forks = stack.enter_context(SemaphoreSet.create(values=[1], remove_on_close=True))
    with EventFd.create() as told, EventFd.create() as until:
        parent = spawn(become_a_daemon, locks, forks, told, until)
        assert told.read(20) == 1
        assert parent.join() == 0
        record, *description = locks
        assert record.acquire(timeout=20)
        forks.op([(0, -1)], timeout=20)
        assert [lock.try_acquire() for lock in description] == [False, False]
        until.write()
        assert all(lock.acquire(timeout=20) for lock in description)


def take_and_exec(path: str) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.set_inheritable(fd, True)
    lock = RecordLock(fd)
    lock.acquire()
    os.execlp("sleep", "sleep", "1000")


def test_an_exec_keeps_a_record_lock_whose_descriptor_it_keeps(path: str, stack: ExitStack, spawn: Spawn) -> None:
    lock = opened(stack, RecordLock, path)
    child = spawn(take_and_exec, path)
    child.wait_blocked("clock_nanosleep")
    assert not lock.try_acquire()
    assert lock.holder().pid == child.pid
    killed(child)
    assert lock.try_acquire()


@pytest.mark.parametrize("kind", DESCRIPTION)
def test_a_circle_of_descriptions_waits_until_the_timeout(kind: Any, path: str, stack: ExitStack) -> None:
    """The kernel finds no deadlock among these."""
    mine, yours = (opened(stack, kind, path + name) for name in "ab")
    mine_next, yours_next = (opened(stack, kind, path + name) for name in "ba")
    mine.acquire()
    yours.acquire()
    other = Background(lambda: yours_next.acquire(timeout=20))
    other.wait_blocked(*WAIT)
    assert mine_next.acquire(timeout=0.06) is False
    mine.release()
    assert other.join() is True
