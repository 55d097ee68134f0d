"""Record, OFD and flock locks: who excludes whom, ranges, conversion, death, fork, exec, threads."""

from __future__ import annotations

import fcntl
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.errors import AccessError, ClosedError, NotFoundError, SyscallError, TimeoutExpired
from ipckit.filelock import FileRWLock, Flock, Holder, OfdLock, RecordLock
from ipckit.testing import reached, wait_blocked
from tests.contract.tools import when_main_thread_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ipckit.filelock._lock import FileLock
    from ipckit.testing import Spawn

KINDS: list[Any] = [RecordLock, OfdLock, Flock]
DESCRIPTION: list[Any] = [OfdLock, Flock]  # owned by an open file description
RANGES: list[Any] = [RecordLock, OfdLock]
BLOCKING = ("fcntl", "flock")


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lock")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as exits:
        yield exits


def opened(stack: ExitStack, kind: Any, path: str, **where: int) -> Any:
    lock = kind(path, **where)
    stack.callback(lock.close)
    return lock


def held_elsewhere(lock: FileLock, how: dict[str, Any]) -> None:
    """In a child: take the lock, say so, and hold it until killed or told to go on."""
    from ipckit.testing import pause

    assert lock.acquire(**how)
    reached("holding")
    pause("until")
    lock.release()
    lock.close()


def attempt(lock: FileLock, how: dict[str, Any]) -> bool:
    try:
        return lock.acquire(**how)
    finally:
        lock.close()


def attempt_ranges(kind: Any, path: str, ranges: list[tuple[int, int]]) -> list[bool]:
    return [attempt(kind(path, start=start, length=length), {"timeout": 0}) for start, length in ranges]


def wait_and_report(lock: FileLock) -> str:
    try:
        lock.acquire()
    except BaseException as error:
        return type(error).__name__
    else:
        return "acquired"
    finally:
        lock.close()


def wait_through_signals(lock: FileLock, timeout: float) -> tuple[bool, bool]:
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)  # a wait that began anew each time would never end
    started = time.monotonic()
    got = lock.acquire(timeout=timeout)
    waited = time.monotonic() - started
    signal.setitimer(signal.ITIMER_REAL, 0)
    lock.close()
    return got, timeout <= waited


@pytest.mark.parametrize("kind", KINDS)
def test_exclusive_excludes_and_shared_shares_between_processes(kind: Any, path: str, spawn: Spawn) -> None:
    lock = kind(path)
    holder = spawn(held_elsewhere, lock, {"shared": True})
    holder.wait_reached("holding")
    assert not lock.try_acquire()
    assert lock.held is None
    assert lock.acquire(shared=True)
    assert lock.held == "shared"
    lock.release()
    holder.resume("until")
    assert holder.join() == 0
    with lock:
        assert lock.held == "exclusive"
        other = spawn(attempt, lock, {"shared": True, "timeout": 0.01})
        assert other.result() is False
    lock.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_waiter_gets_the_lock_when_its_holder_is_killed(kind: Any, path: str, spawn: Spawn) -> None:
    lock = kind(path)
    holder = spawn(held_elsewhere, lock, {})
    holder.wait_reached("holding")
    waiter = spawn(attempt, lock, {})
    waiter.wait_blocked(*BLOCKING)
    holder.kill()
    assert waiter.result() is True
    assert holder.join() == -signal.SIGKILL
    lock.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_waiter_is_no_hindrance(kind: Any, path: str, spawn: Spawn) -> None:
    with ExitStack() as stack:
        lock = opened(stack, kind, path)
        with lock:
            victim = spawn(attempt, lock, {})
            victim.wait_blocked(*BLOCKING)
            victim.kill()
            victim.join()
        assert spawn(attempt, lock, {"timeout": 0}).result() is True


@pytest.mark.parametrize("kind", KINDS)
def test_signals_do_not_stretch_a_timeout(kind: Any, path: str, spawn: Spawn) -> None:
    lock = kind(path)
    with lock:
        assert spawn(wait_through_signals, lock, 0.3).result() == (False, True)
    lock.close()


def test_ctrl_c_ends_a_wait(path: str, spawn: Spawn) -> None:
    lock = OfdLock(path)
    with lock:
        waiter = spawn(wait_and_report, lock)
        waiter.wait_blocked(*BLOCKING)
        waiter.send_signal(signal.SIGINT)
        assert waiter.result() == "KeyboardInterrupt"
    lock.close()


class HandlerError(Exception):
    pass


@pytest.fixture
def raising() -> Iterator[None]:
    def interrupt(*_: object) -> None:
        raise HandlerError

    before = signal.signal(signal.SIGUSR1, interrupt)
    yield
    signal.signal(signal.SIGUSR1, before)


def interrupted_with(lock: FileLock, owner: FileLock) -> None:
    """Wait for the lock, get it, and have a signal handler raise before `acquire` is back.

    The signal goes to another thread: it does not end the wait, and its handler runs when that has the lock.
    """

    def signal_and_release() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        owner.release()

    releasing = when_main_thread_blocks(BLOCKING, signal_and_release)
    with pytest.raises(HandlerError):
        lock.acquire()
    releasing.join()


@pytest.mark.parametrize("kind", DESCRIPTION)
@pytest.mark.usefixtures("raising")
def test_a_handler_that_raises_when_the_lock_has_come_takes_none(kind: Any, path: str, stack: ExitStack) -> None:
    lock, owner, other = (opened(stack, kind, path) for _ in range(3))
    for _ in range(3):
        owner.acquire()
        interrupted_with(lock, owner)
        assert lock.held is None
        assert other.try_acquire()
        other.release()


@pytest.mark.usefixtures("raising")
def test_a_handler_that_raises_when_a_lock_is_converted_leaves_it_as_it_was(path: str, stack: ExitStack) -> None:
    lock, owner, other = (opened(stack, OfdLock, path) for _ in range(3))
    for _ in range(3):
        lock.acquire(shared=True)
        owner.acquire(shared=True)
        interrupted_with(lock, owner)
        assert lock.held == "shared"
        assert not other.try_acquire()
        assert other.try_acquire(shared=True)
        other.release()
        lock.release()


@pytest.mark.parametrize("kind", DESCRIPTION)
def test_handles_of_one_process_exclude_each_other(kind: Any, path: str, stack: ExitStack) -> None:
    mine, other = opened(stack, kind, path), opened(stack, kind, path)
    with mine:
        assert not other.acquire(timeout=0.01)
        with pytest.raises(TimeoutExpired), other.shared(timeout=0):
            pass
    with mine.shared(), other.shared():
        assert mine.held == other.held == "shared"


def test_record_locks_of_one_process_never_conflict(path: str, stack: ExitStack) -> None:
    mine, other = opened(stack, RecordLock, path), opened(stack, RecordLock, path)
    with mine:
        assert other.try_acquire()
        assert mine.holder() is None


@pytest.mark.parametrize("kind", RANGES)
def test_ranges_that_do_not_meet_do_not_exclude(kind: Any, path: str, spawn: Spawn, stack: ExitStack) -> None:
    middle = opened(stack, kind, path, start=100, length=10)
    around = {(0, 100): True, (109, 1): False, (110, 0): True, (99, 2): False, (0, 0): False, (110, 1 << 40): True}
    with middle:  # probed from a child: here, to close a probe would drop a record lock
        assert spawn(attempt_ranges, kind, path, list(around)).result() == list(around.values())


def test_unlocking_a_part_splits_a_lock(path: str, spawn: Spawn, stack: ExitStack) -> None:
    whole = opened(stack, RecordLock, path)
    hole = opened(stack, RecordLock, path, start=10, length=10)
    whole.acquire()
    hole.acquire()  # one owner: merged
    hole.release()
    probes = {0: False, 9: False, 10: True, 19: True, 20: False}
    assert spawn(attempt_ranges, OfdLock, path, [(at, 1) for at in probes]).result() == list(probes.values())
    whole.release()


def test_record_and_ofd_locks_see_each_other_and_flock_neither(path: str, stack: ExitStack) -> None:
    record, ofd, flock = (opened(stack, kind, path) for kind in KINDS)
    with record:
        assert not ofd.try_acquire()
        assert flock.try_acquire()
        assert flock.held == "exclusive"
    with ofd:
        assert not record.try_acquire()


def test_a_record_lock_goes_with_any_close_of_the_file_and_an_ofd_lock_does_not(path: str, stack: ExitStack) -> None:
    lock = opened(stack, RecordLock, path)
    ofd = opened(stack, OfdLock, path)
    lock.acquire()
    os.close(os.open(path, os.O_RDONLY))
    assert ofd.try_acquire()  # the record lock is gone, whatever its handle says
    os.close(os.open(path, os.O_RDONLY))
    third = opened(stack, OfdLock, path)
    assert not third.try_acquire()


@pytest.mark.parametrize("kind", DESCRIPTION)
def test_a_forked_child_shares_the_lock_and_may_release_it(kind: Any, path: str, stack: ExitStack) -> None:
    lock, other = opened(stack, kind, path), opened(stack, kind, path)
    lock.acquire()
    if (pid := os.fork()) == 0:
        lock.release()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert other.try_acquire()


def test_a_forked_child_has_no_record_lock(path: str, stack: ExitStack) -> None:
    lock = opened(stack, RecordLock, path)
    with lock:
        if (pid := os.fork()) == 0:
            free = lock.try_acquire()
            try:
                lock.release()
            except AccessError:
                os._exit(10 + free if lock.held is None else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 10
        assert lock.held == "exclusive"


@pytest.mark.parametrize("kind", DESCRIPTION)
def test_a_lock_is_kept_by_a_child_that_outlives_its_parents_handle(kind: Any, path: str, spawn: Spawn) -> None:
    reading, writing = os.pipe()
    lock = kind(path)
    lock.acquire()
    if (pid := os.fork()) == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    lock.close()
    with ExitStack() as stack:
        other = opened(stack, kind, path)
        assert not other.try_acquire()
        assert pid in other.holder().pids
        os.close(writing)
        assert other.acquire(timeout=20)
    os.waitpid(pid, 0)


def test_an_exec_drops_the_lock(path: str, spawn: Spawn, stack: ExitStack) -> None:
    for kind in KINDS:
        with opened(stack, kind, path):
            assert subprocess.run([sys.executable, "-c", ""], check=False).returncode == 0
        lock = kind(path)
        holder = spawn(take_and_exec, lock)
        holder.wait_reached("holding")
        assert lock.acquire(timeout=20), kind  # the child runs on, as another program
        holder.kill()
        lock.close()


def take_and_exec(lock: FileLock) -> None:
    lock.acquire()
    reached("holding")
    os.execlp("sleep", "sleep", "1000")


def test_a_shared_ofd_lock_is_kept_while_its_conversion_waits(path: str, stack: ExitStack) -> None:
    mine, other, third = (opened(stack, OfdLock, path) for _ in range(3))
    mine.acquire(shared=True)
    other.acquire(shared=True)
    assert not mine.acquire(timeout=0.01)
    assert mine.held == "shared"
    other.release()
    assert not third.try_acquire()  # mine is still there
    assert mine.acquire(timeout=0)
    assert mine.acquire(shared=True)  # and down again
    assert third.try_acquire(shared=True)


def test_a_failed_conversion_loses_a_flock(path: str, stack: ExitStack) -> None:
    mine, other = opened(stack, Flock, path), opened(stack, Flock, path)
    mine.acquire(shared=True)
    other.acquire(shared=True)
    assert not mine.try_acquire()
    assert mine.held is None
    assert other.try_acquire()  # nobody else has it any more
    with pytest.raises(AccessError, match="does not hold"):
        mine.release()


def cross(mine: RecordLock, wanted: RecordLock) -> str:
    mine.acquire()
    reached("holding")
    return wait_and_report(wanted)


def test_the_kernel_finds_a_circle_of_record_locks(path: str, spawn: Spawn, stack: ExitStack) -> None:
    first = opened(stack, RecordLock, path, start=0, length=1)
    second = opened(stack, RecordLock, path, start=1, length=1)
    first.acquire()
    child = spawn(cross, second, first)
    child.wait_reached("holding")
    child.wait_blocked("fcntl")
    try:
        outcome = "acquired" if second.acquire(timeout=20) else "timeout"
    except SyscallError as error:
        outcome = type(error).__name__
    first.release()
    # Where we came between two slices of the child's wait, it was the child who closed the circle.
    assert {outcome, child.result()} == {"DeadlockError", "acquired"}


def test_holders_are_found(path: str, spawn: Spawn, stack: ExitStack) -> None:
    for kind, where in ((RecordLock, (5, 10)), (OfdLock, (5, 10)), (Flock, (0, 0))):
        limits = {} if kind is Flock else {"start": where[0], "length": where[1]}
        mine = opened(stack, kind, path, **limits)
        assert mine.holder() is None
        for shared in (False, True):
            child = spawn(held_elsewhere, mine, {"shared": shared})
            child.wait_reached("holding")
            assert mine.holder() == Holder((child.pid,), shared, *where)
            assert mine.holder().pid == child.pid
            child.kill()
            child.join()


def test_an_exclusive_record_lock_needs_the_right_to_write_and_flock_does_not(path: str, stack: ExitStack) -> None:
    with open(path, "wb"):
        pass
    fd = os.open(path, os.O_RDONLY)
    stack.callback(os.close, fd)
    for kind in RANGES:
        lock = opened(stack, kind, fd)
        with pytest.raises(AccessError, match="open for writing"):
            lock.acquire()
        assert lock.try_acquire(shared=True)
        lock.release()
    with opened(stack, Flock, fd):
        pass


def test_a_lent_descriptor_stays_open_and_its_description_owns_the_lock(path: str, stack: ExitStack) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    stack.callback(os.close, fd)
    lent = OfdLock(fd)
    assert lent.name == ""
    other = opened(stack, OfdLock, path)
    lent.acquire()
    if (pid := os.fork()) == 0:
        lent.close()
        os._exit(0)
    os.waitpid(pid, 0)
    assert not other.try_acquire()
    lent.close()
    fcntl.fcntl(fd, fcntl.F_GETFD)
    assert other.try_acquire()
    with pytest.raises(TypeError, match="by path"):
        pickle.dumps(opened(stack, OfdLock, fd))


def test_a_pickled_lock_is_another_owner_of_the_same_file_or_an_error(path: str, stack: ExitStack) -> None:
    lock = opened(stack, OfdLock, path, start=3, length=4)
    data = pickle.dumps(lock)
    other = pickle.loads(data)
    stack.callback(other.close)
    with lock:
        assert not other.try_acquire()
    os.rename(path, path + ".old")
    with pytest.raises(NotFoundError):
        pickle.loads(data)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"start": -1}, ValueError),
        ({"length": -1}, ValueError),
        ({"start": 1 << 63}, ValueError),
        ({"start": 1 << 62, "length": 1 << 62}, ValueError),
        ({"start": True}, TypeError),
        ({"mode": 0o1777}, ValueError),
    ],
)
def test_bad_ranges_are_refused(path: str, arguments: dict[str, Any], error: type[Exception]) -> None:
    for kind in RANGES:
        with pytest.raises(error):
            kind(path, **arguments)
    assert not os.path.exists(path)


@pytest.mark.parametrize("where", ["", "a\0b", b"bytes", None, 1.5])
def test_bad_paths_are_refused(where: Any) -> None:
    for kind in KINDS:
        with pytest.raises((ValueError, TypeError), match="path_or_fd"):
            kind(where)


def test_a_bad_descriptor_and_a_missing_directory_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SyscallError):
        OfdLock(10_000)
    with pytest.raises(NotFoundError):
        OfdLock(tmp_path / "no" / "lock")
    with pytest.raises(ValueError, match="0 to"):
        OfdLock(-1)


def test_a_directory_can_be_locked_shared_or_by_flock(tmp_path: Path, stack: ExitStack) -> None:
    with opened(stack, OfdLock, str(tmp_path)).shared():
        pass
    with opened(stack, Flock, str(tmp_path)):
        pass


def test_threads_with_handles_of_their_own_exclude_each_other(path: str) -> None:
    inside = 0
    worst = 0

    def work() -> None:
        nonlocal inside, worst
        lock = OfdLock(path)
        for _ in range(50):
            with lock:
                inside += 1
                worst = max(worst, inside)
                inside -= 1
        lock.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert worst == 1


def test_closing_ends_a_wait_of_another_thread_and_keeps_the_descriptor_until_then(path: str) -> None:
    for kind in (OfdLock, Flock, FileRWLock):
        holder, waiter = kind(path), kind(path)
        holder.acquire()
        caught: list[BaseException] = []

        def wait(waiter: Any = waiter, caught: list[BaseException] = caught) -> None:
            try:
                waiter.acquire()
            except BaseException as error:
                caught.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        wait_blocked(os.getpid(), *BLOCKING, tid=thread.native_id)
        waiter.close()
        thread.join()
        assert isinstance(caught[0], ClosedError)
        holder.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("kind", [OfdLock, RecordLock, Flock, FileRWLock])
def test_another_users_file_in_a_sticky_directory(tmp_path: Path, kind: type[FileLock]) -> None:
    """Where sysctl fs.protected_regular is 1 or 2, as many distributions have it, O_CREAT is refused there."""
    tmp_path.chmod(0o1777)
    path = tmp_path / "lock"
    path.touch()
    path.chmod(0o666)
    os.chown(path, 65534, 65534)
    os.chown(tmp_path, 65533, 65533)
    lock = kind(path)
    with lock:
        assert lock.held == "exclusive"
    lock.close()
