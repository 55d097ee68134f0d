"""sync.Mutex: owners, their death, who is not taken for dead, memory of the user's, garbage."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import struct
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from ipckit._names import unique_name
from ipckit.errors import (
    AlreadyExistsError,
    ClosedError,
    DeadlockError,
    IPCError,
    LayoutError,
    NotFoundError,
    NotOwnerError,
    NotRecoverableError,
    OwnerDiedError,
    OwnerDiedWarning,
)
from ipckit.posix import SharedMemory
from ipckit.sync import Mutex
from ipckit.sync import _mutex_lane as lanes
from ipckit.testing import pause, reached, wait_blocked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Child, Spawn

WORD = 64  # of the lock, from the beginning of the object
RECORD = WORD + 16  # id and pid (32 bits each), start time, pid namespace
ID = (1 << 28) - 1
DIED = 1 << 30


@pytest.fixture
def mutex() -> Iterator[Mutex]:
    with contextlib.closing(Mutex.create(unique_name(), unlink_on_close=True)) as made:
        yield made


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    with SharedMemory.create(size=8192, unlink_on_close=True) as made:
        yield made


def hold(mutex: Mutex) -> None:
    mutex.acquire()
    reached("held")
    pause("release")
    mutex.release()


def holder_of(mutex: Mutex, spawn: Spawn) -> Child:
    child = spawn(hold, mutex)
    child.wait_reached("held")
    return child


def acquire_and_tell(mutex: Mutex) -> bool:
    got = mutex.acquire()
    assert got
    if got.owner_died:
        mutex.mark_consistent()
    mutex.release()
    return got.owner_died


# --- owners -----------------------------------------------------------------------------------------------------------


def test_a_stranger_cannot_release(mutex: Mutex) -> None:
    with pytest.raises(NotOwnerError, match="this thread does not hold it"):
        mutex.release()
    mutex.acquire()
    refused = []

    def release() -> None:
        try:
            mutex.release()
        except RuntimeError as error:
            refused.append(error)

    thread = threading.Thread(target=release)
    thread.start()
    thread.join()
    assert isinstance(refused[0], NotOwnerError)
    mutex.release()
    with pytest.raises(NotOwnerError):
        mutex.release()


def test_who_has_it_cannot_wait_for_it(mutex: Mutex) -> None:
    with mutex:
        for again in (mutex.acquire, mutex.try_acquire, lambda: mutex.acquire(timeout=1)):
            with pytest.raises(DeadlockError, match="make it recursive"):
                again()
    assert not mutex.locked()


def test_a_recursive_one_is_released_as_often_as_it_was_acquired() -> None:
    with contextlib.closing(Mutex.create(recursive=True)) as mutex:
        for depth in range(1, 4):
            assert mutex.acquire(timeout=0)
            owner = mutex.owner()
            assert owner is not None
            assert owner.depth == depth
        for _ in range(3):
            assert mutex.locked()
            mutex.release()
        assert not mutex.locked()
        with pytest.raises(NotOwnerError):
            mutex.release()


def test_the_owner_tells_who_it_is(mutex: Mutex, spawn: Spawn) -> None:
    assert mutex.owner() is None
    with mutex:
        mine = mutex.owner()
        assert mine is not None
        assert (mine.pid, mine.thread, mine.depth, mine.lives) == (os.getpid(), threading.get_native_id(), 1, True)
    child = holder_of(mutex, spawn)
    other = mutex.owner()
    assert other is not None
    assert (other.pid, other.lives) == (child.pid, True)
    child.kill()
    child.join()
    gone = mutex.owner()
    assert gone is not None
    assert not gone.lives


def test_timeouts(mutex: Mutex, spawn: Spawn) -> None:
    child = holder_of(mutex, spawn)
    start = time.monotonic()
    assert mutex.acquire(timeout=0.12) is False
    assert time.monotonic() - start >= 0.12
    assert mutex.acquire(timeout=0) is False
    assert mutex.acquire(blocking=False) is False
    assert mutex.try_acquire() is False
    with pytest.raises(ValueError, match="timeout must be None where blocking is false"):
        mutex.acquire(blocking=False, timeout=1)
    child.resume("release")
    assert mutex.acquire(timeout=20)
    mutex.release()


@pytest.mark.parametrize("lane", ["compiled", "cffi"])
def test_an_exception_of_a_signal_handler_leaves_nothing_taken(lane: str, mutex: Mutex, spawn: Spawn) -> None:
    child = spawn(wait_until_interrupted, mutex, lane)
    mutex.acquire()
    child.wait_reached("waiting")
    child.wait_blocked("futex")
    child.send_signal(signal.SIGUSR1)
    assert child.result() == "interrupted"
    mutex.release()
    assert mutex.acquire(timeout=0)
    mutex.release()


def use(lane: str, mutex: Mutex) -> None:
    """Have the handle use that lane."""
    if lane == "cffi":
        mutex._lane = lanes.CffiLane(mutex._opened())


def wait_until_interrupted(mutex: Mutex, lane: str) -> str:
    use(lane, mutex)

    def interrupt(*_: object) -> None:
        raise InterruptedError

    signal.signal(signal.SIGUSR1, interrupt)
    reached("waiting")
    try:
        mutex.acquire()
    except InterruptedError:
        return "interrupted"
    return "acquired"


# --- death ------------------------------------------------------------------------------------------------------------


def killed_holder(mutex: Mutex, spawn: Spawn) -> None:
    child = holder_of(mutex, spawn)
    child.kill()
    child.join()


def test_the_next_owner_is_told_once(mutex: Mutex, spawn: Spawn) -> None:
    killed_holder(mutex, spawn)
    got = mutex.try_acquire()
    assert got
    assert got.owner_died
    assert repr(got) == "Acquired(owner_died=True)"
    mutex.mark_consistent()
    mutex.release()
    with mutex as got:
        assert not got.owner_died


def test_a_waiter_gets_what_a_killed_owner_held(mutex: Mutex, spawn: Spawn) -> None:
    holder = holder_of(mutex, spawn)
    waiter = spawn(acquire_and_tell, mutex)
    waiter.wait_blocked("futex")
    holder.kill()
    assert waiter.result() is True


def test_a_killed_waiter_is_no_loss(mutex: Mutex, spawn: Spawn) -> None:
    mutex.acquire()
    killed, waiter = spawn(acquire_and_tell, mutex), spawn(acquire_and_tell, mutex)
    killed.wait_blocked("futex")
    waiter.wait_blocked("futex")
    killed.kill()
    mutex.release()
    assert waiter.result() is False
    assert not mutex.locked()


def test_a_release_without_putting_right_is_the_end(mutex: Mutex, spawn: Spawn) -> None:
    killed_holder(mutex, spawn)
    assert mutex.acquire(timeout=20)
    waiter = spawn(is_refused, mutex)
    waiter.wait_blocked("futex")
    mutex.release()
    assert waiter.result() is True
    for again in (mutex.acquire, mutex.try_acquire, lambda: mutex.acquire(timeout=1)):
        with pytest.raises(NotRecoverableError, match=r"without mark_consistent\(\)"):
            again()


def is_refused(mutex: Mutex) -> bool:
    try:
        mutex.acquire()
    except NotRecoverableError:
        return True
    return False


def test_a_policy_can_raise(mutex: Mutex, spawn: Spawn) -> None:
    with contextlib.closing(Mutex.open(mutex.name, on_owner_death="raise")) as strict:
        killed_holder(mutex, spawn)
        with pytest.raises(OwnerDiedError, match="the mutex is yours"):
            strict.acquire()
        assert mutex.try_acquire() is False
        strict.mark_consistent()
        strict.release()
        killed_holder(mutex, spawn)
        with pytest.raises(OwnerDiedError), strict:
            pytest.fail("the body must not run")
        with pytest.raises(NotRecoverableError):
            mutex.acquire()


def test_a_policy_can_recover(mutex: Mutex, spawn: Spawn) -> None:
    with contextlib.closing(Mutex.open(mutex.name, on_owner_death="recover")) as easy:
        killed_holder(mutex, spawn)
        with pytest.warns(OwnerDiedWarning, match="half-changed"), easy as got:
            assert got.owner_died
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with easy as got:
                assert not got.owner_died


@pytest.mark.parametrize("policy", ["Report", "", None])
def test_policies_have_names(policy: Any) -> None:
    with pytest.raises(ValueError, match="on_owner_death must be one of 'report', 'raise', 'recover'"):
        Mutex.create(on_owner_death=policy)


def test_to_close_while_holding_is_as_to_die(mutex: Mutex) -> None:
    other = Mutex.open(mutex.name)
    other.acquire()
    other.close()
    got = mutex.acquire(timeout=0)
    assert got
    assert got.owner_died
    mutex.mark_consistent()
    mutex.release()


def test_who_closes_without_holding_disturbs_nobody(mutex: Mutex) -> None:
    with mutex:
        Mutex.open(mutex.name).close()
        with contextlib.closing(Mutex.open(mutex.name)) as other:
            assert not other.try_acquire()
    assert not mutex.acquire().owner_died
    mutex.release()


# --- who is not dead --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_stopped_owner_lives(mutex: Mutex, spawn: Spawn) -> None:
    child = holder_of(mutex, spawn)
    child.send_signal(signal.SIGSTOP)
    assert mutex.acquire(timeout=1.0) is False
    child.send_signal(signal.SIGCONT)
    child.resume("release")
    got = mutex.acquire(timeout=20)
    assert got
    assert not got.owner_died
    mutex.release()


def hold_without_descriptors(mutex: Mutex) -> None:
    mutex.acquire()
    own = mutex.fileno()
    reached("held")
    os.closerange(own, own + 3)
    reached("closed")
    pause("release")
    mutex.release()


def test_an_owner_whose_descriptors_somebody_closed_lives(mutex: Mutex, spawn: Spawn) -> None:
    child = spawn(hold_without_descriptors, mutex)
    child.wait_reached("closed")
    assert mutex.acquire(timeout=0.06) is False
    owner = mutex.owner()
    assert owner is not None
    assert owner.lives
    child.resume("release")
    got = mutex.acquire(timeout=20)
    assert got
    assert not got.owner_died
    mutex.release()


def hold_and_fork(mutex: Mutex) -> None:
    mutex.acquire()
    if os.fork() == 0:
        with pytest.raises(NotOwnerError):
            mutex.release()
        parent = os.getppid()
        reached("forked")
        while os.getppid() == parent:
            os.sched_yield()
        got = mutex.acquire(timeout=20)
        os._exit(0 if got and got.owner_died else 1)
    pause("never")


def test_an_owner_that_is_another_program_now_lives(mutex: Mutex) -> None:
    gone, end = os.pipe()  # the end closes with the program
    child = os.fork()
    if child == 0:
        try:
            mutex.acquire()
            os.execvp("sleep", ["sleep", "60"])
        finally:
            os._exit(1)
    os.close(end)
    assert os.read(gone, 1) == b""
    os.close(gone)
    try:
        assert not mutex.acquire(timeout=0.15)
        owner = mutex.owner()
        assert owner is not None
        assert (owner.pid, owner.lives) == (child, True)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    got = mutex.acquire()
    assert got
    assert got.owner_died
    mutex.mark_consistent()
    mutex.release()


def test_a_forked_child_owns_nothing_and_keeps_no_dead_parent_alive(mutex: Mutex, spawn: Spawn) -> None:
    child = spawn(hold_and_fork, mutex)
    child.wait_reached("forked")
    child.kill()
    # Whoever of us and the child's child comes first inherits from it; the other one from the first.
    got = mutex.acquire(timeout=20)
    assert got
    assert got.owner_died


def forged(memory: SharedMemory, at: int, start_time: int) -> None:
    """An owner that no lock of the kernel speaks for, with the record of this process, or nearly so."""
    stat = os.stat("/proc/self/ns/pid")
    struct.pack_into("=I", memory.buf, at + WORD, 12345)
    struct.pack_into("=IIQQ", memory.buf, at + RECORD, 12345, os.getpid(), start_time, stat.st_ino)


def test_a_pid_that_was_reused_is_not_the_owner(memory: SharedMemory) -> None:
    with open("/proc/self/stat", encoding="ascii") as file:
        start_time = int(file.read().rpartition(")")[2].split()[19])
    with contextlib.closing(Mutex.create(within=memory, offset=128)) as mutex:
        forged(memory, 128, start_time)
        assert mutex.try_acquire() is False
        forged(memory, 128, start_time + 1)
        got = mutex.try_acquire()
        assert got
        assert got.owner_died
        mutex.mark_consistent()
        mutex.release()


# --- memory of the user's ---------------------------------------------------------------------------------------------


def test_many_in_one_memory_share_their_descriptors(memory: SharedMemory) -> None:
    before = len(os.listdir("/proc/self/fd"))
    made = [Mutex.create(within=memory, offset=offset) for offset in range(0, 8192, Mutex.SIZE)]
    assert len(made) == 64
    for mutex in made:
        assert mutex.acquire(timeout=0)
    assert len(os.listdir("/proc/self/fd")) == before + 2
    for mutex in made:
        mutex.release()
        mutex.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_object_is_made_once_and_found_where_it_is(memory: SharedMemory) -> None:
    with contextlib.closing(Mutex.create(within=memory, offset=64)) as mutex:
        with pytest.raises(AlreadyExistsError):
            Mutex.create(within=memory, offset=64)
        with contextlib.closing(Mutex.open(within=memory, offset=64)) as other, mutex:
            assert other.owner() == mutex.owner()
        with contextlib.closing(Mutex.open_or_create(within=memory, offset=64)) as again:
            assert repr(again) == "<Mutex at 64 of SharedMemory>"
    with pytest.raises(NotFoundError, match="no Mutex here"):
        Mutex.open(within=memory, offset=192)
    with pytest.raises(ValueError, match="multiple of 64"):
        Mutex.create(within=memory, offset=32)
    with pytest.raises(ValueError, match="offset must be 0 to 8064"):
        Mutex.create(within=memory, offset=8128)
    with pytest.raises(ValueError, match="name must be None where within is given"):
        Mutex.create("/name", within=memory)
    with pytest.raises(ValueError, match="offset must be 0 to 0"):
        Mutex.create(offset=64)
    with pytest.raises(TypeError, match="within must be memory with a descriptor"):
        Mutex.create(within=bytearray(128))
    with pytest.raises(BufferError), contextlib.closing(Mutex.open(within=memory, offset=64)):
        memory.close()


def test_it_is_not_made_over_other_bytes(memory: SharedMemory) -> None:
    memory.buf[64:72] = b"whatever"
    with pytest.raises(LayoutError, match="zero them first"):
        Mutex.create(within=memory, offset=64)
    with pytest.raises(LayoutError, match="no Mutex of this version at offset 64"):
        Mutex.open(within=memory, offset=64)


def test_in_memory_of_no_file_it_is_made_before_the_fork() -> None:
    memory = mmap.mmap(-1, 4096)
    with contextlib.closing(Mutex.create(within=memory)) as mutex:
        mutex.acquire()
        pid = os.fork()
        if pid == 0:
            os._exit(0 if Mutex.open(within=memory).acquire(timeout=10) else 1)
        wait_blocked(pid, "futex")
        mutex.release()
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        got = mutex.acquire(timeout=20)
        assert got
        assert got.owner_died  # it had not released
    stranger = mmap.mmap(-1, 4096)
    stranger[:] = memory[:]
    with pytest.raises(LayoutError, match="make the object before you fork"):
        Mutex.open(within=stranger)


# --- others -----------------------------------------------------------------------------------------------------------


def count(mutex: Mutex, memory: SharedMemory, turns: int) -> None:
    def add() -> None:
        for _ in range(turns):
            with mutex:
                (value,) = struct.unpack_from("=Q", memory.buf, 4096)
                struct.pack_into("=Q", memory.buf, 4096, value + 1)

    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_processes_and_threads_exclude_each_other(memory: SharedMemory, spawn: Spawn) -> None:
    with contextlib.closing(Mutex.create(within=memory)) as mutex:
        children = [spawn(count, mutex, memory, 500) for _ in range(2)]
        count(mutex, memory, 500)
        for child in children:
            child.join()
    assert struct.unpack_from("=Q", memory.buf, 4096) == (3000,)


def test_a_closed_one_says_so(mutex: Mutex) -> None:
    other = Mutex.open(mutex.name)
    other.close()
    for call in (other.acquire, other.release, other.locked, other.mark_consistent):
        with pytest.raises(ClosedError):
            call()


@pytest.mark.parametrize("lane", ["compiled", "cffi"])
def test_to_close_under_a_waiter_takes_nothing(lane: str, mutex: Mutex) -> None:
    other = Mutex.open(mutex.name)
    use(lane, other)
    closed = []

    def wait() -> None:
        try:
            other.acquire()
        except ClosedError:
            closed.append(True)

    mutex.acquire()
    thread = threading.Thread(target=wait)
    thread.start()
    wait_blocked(os.getpid(), "futex", tid=thread.native_id)
    other.close()
    mutex.release()
    thread.join()
    assert closed
    assert mutex.acquire(timeout=0)
    mutex.release()


@pytest.mark.parametrize("lane", ["compiled", "cffi"])
def test_a_waiter_outlasts_slices_and_handlers(lane: str, mutex: Mutex, spawn: Spawn) -> None:
    child = holder_of(mutex, spawn)
    use(lane, mutex)
    fired = 0

    def count(*_: object) -> None:
        nonlocal fired
        fired += 1
        if fired == 3:
            child.resume("release")

    before = signal.signal(signal.SIGALRM, count)
    signal.setitimer(signal.ITIMER_REAL, 0.03, 0.03)
    try:
        assert mutex.acquire(timeout=20)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert fired >= 3
    mutex.release()
    child.join()


@pytest.mark.parametrize("pattern", [b"\xff", b"\x01", b"\x80", b"\x7f", b"\x40", b"\x20"])
@pytest.mark.parametrize("place", [range(64), range(64, 128), range(128)], ids=["header", "lock", "both"])
def test_garbage_is_an_error_or_a_timeout(memory: SharedMemory, pattern: bytes, place: range) -> None:
    mutex = Mutex.create(within=memory, offset=1024)
    memory.buf[1024 + place.start : 1024 + place.stop] = pattern * len(place)
    with contextlib.suppress(IPCError):
        if mutex.acquire(timeout=0.01):
            mutex.release()
    mutex.close()
    with contextlib.suppress(IPCError):
        Mutex.open(within=memory, offset=1024).close()


def test_a_new_thread_is_not_taken_for_one_that_has_ended(mutex: Mutex) -> None:
    """It may have the stack of that one, and with it what pthread_self(3) says."""
    owners = []

    def own() -> None:
        with mutex:
            owner = mutex.owner()
            owners.append((owner and owner.thread, threading.get_native_id()))

    for _ in range(20):
        thread = threading.Thread(target=own)
        thread.start()
        thread.join()
    assert [pair for pair in owners if pair[0] != pair[1]] == []
