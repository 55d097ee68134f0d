"""sync.RWLock: readers together, writers alone, in turns; deaths of either; handles, threads, memory, garbage."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import struct
import threading
import time
import warnings
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import _syscalls
from ipckit._names import unique_name
from ipckit._wait import SLICE_NS
from ipckit.errors import (
    ClosedError,
    DeadlockError,
    IPCError,
    LayoutError,
    LimitError,
    NotOwnerError,
    NotRecoverableError,
    OwnerDiedError,
    OwnerDiedWarning,
    SyscallError,
)
from ipckit.posix import SharedMemory
from ipckit.sync import Mutex, RWLock, _turn, rwlock
from ipckit.sync import _rwlock_lane as lane
from ipckit.testing import pause, reached
from tests.primitives.interrupting import interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.testing import Child, Spawn

LEFT, RIGHT = 0, 8  # two numbers that are the same whenever nobody writes


@pytest.fixture
def lock() -> Iterator[RWLock]:
    with contextlib.closing(RWLock.create(unique_name(), unlink_on_close=True)) as made:
        yield made


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    with SharedMemory.create(size=1 << 14, unlink_on_close=True) as made:
        yield made


@contextlib.contextmanager
def another(lock: RWLock, **how: Any) -> Iterator[RWLock]:
    """A handle with a membership of its own, as another process has one."""
    with contextlib.closing(RWLock.open(lock.name, **how)) as other:
        yield other


def hold(lock: RWLock, verb: str) -> None:
    getattr(lock, f"acquire_{verb}")()
    reached("held")
    pause("release")
    getattr(lock, f"release_{verb}")()


def holder_of(lock: RWLock, spawn: Spawn, verb: str) -> Child:
    child = spawn(hold, lock, verb)
    child.wait_reached("held")
    return child


def killed_holder(lock: RWLock, spawn: Spawn, verb: str) -> None:
    child = holder_of(lock, spawn, verb)
    child.kill()
    child.join()


def acquire_and_tell(lock: RWLock, verb: str) -> bool:
    got = getattr(lock, f"acquire_{verb}")()
    if verb == "write" and got.owner_died:
        lock.mark_consistent()
    getattr(lock, f"release_{verb}")()
    return bool(got.owner_died)


def in_thread(call: Callable[[], Any]) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


# --- who excludes whom ------------------------------------------------------------------------------------------------


def test_readers_share_and_a_writer_is_alone(lock: RWLock) -> None:
    with another(lock) as other:
        with lock.reading() as got, other.reading(), lock.reading():
            assert not got.owner_died
            assert other.try_acquire_write() is False
            assert sorted((h.pid, h.held, h.lives) for h in lock.readers()) == [
                (os.getpid(), 1, True),
                (os.getpid(), 2, True),
            ]
        assert lock.readers() == []
        with lock.writing() as got:
            assert not got.owner_died
            assert other.try_acquire_write() is False
            assert other.try_acquire_read() is False
            assert other.acquire_read(blocking=False) is False
            assert in_thread(lambda: lock.acquire_write(timeout=0.01)) is False
            assert in_thread(lambda: lock.acquire_read(timeout=0.01)) is False
            writer = other.writer()
            assert writer is not None
            assert (writer.pid, writer.thread, writer.lives) == (os.getpid(), threading.get_native_id(), True)
        assert other.writer() is None


def test_downgrade_keeps_what_was_written(lock: RWLock, spawn: Spawn) -> None:
    lock.acquire_write()
    waiter = spawn(acquire_and_tell, lock, "write")
    waiter.wait_blocked("futex")
    lock.downgrade()
    with another(lock) as other:
        assert not other.try_acquire_write()
    assert [holder.held for holder in lock.readers()] == [1]
    with pytest.raises(NotOwnerError):
        lock.release_write()
    lock.release_read()
    assert waiter.result() is False


def test_a_stranger_cannot_release(lock: RWLock) -> None:
    with pytest.raises(NotOwnerError, match="nothing is read through this handle"):
        lock.release_read()
    for call in (lock.release_write, lock.downgrade, lock.mark_consistent):
        with pytest.raises(NotOwnerError, match="this thread does not hold it"):
            call()
    with lock.writing():
        for call in (lock.release_write, lock.downgrade, lock.mark_consistent):
            with pytest.raises(NotOwnerError):
                in_thread(call)
    lock.acquire_read()
    in_thread(lock.release_read)  # reads are the handle's
    with another(lock) as other, lock.reading(), pytest.raises(NotOwnerError):
        other.release_read()


def test_who_writes_cannot_wait_for_itself(lock: RWLock) -> None:
    with lock.writing():
        for again in (lock.acquire_write, lock.try_acquire_write, lock.acquire_read, lock.try_acquire_read):
            with pytest.raises(DeadlockError, match=r"release_write\(\) or downgrade\(\) first"):
                again()


def test_timeouts(lock: RWLock, spawn: Spawn) -> None:
    child = holder_of(lock, spawn, "write")
    for acquire in (lock.acquire_read, lock.acquire_write):
        start = time.monotonic()
        assert acquire(timeout=0.06) is False
        assert time.monotonic() - start >= 0.06
        assert acquire(timeout=0) is False
        with pytest.raises(ValueError, match="timeout must be None where blocking is false"):
            acquire(blocking=False, timeout=1)
    child.resume("release")
    assert lock.acquire_write(timeout=20)
    lock.release_write()


# --- turns ------------------------------------------------------------------------------------------------------------


def test_a_writer_that_waits_keeps_new_readers_out(lock: RWLock, spawn: Spawn) -> None:
    with another(lock) as other:
        with lock.reading():
            writer = spawn(acquire_and_tell, lock, "write")
            writer.wait_blocked("futex")
            assert not other.try_acquire_read()
        assert writer.result() is False
        assert other.acquire_read(timeout=20)
        other.release_read()


def test_a_writer_that_gave_up_is_in_nobodys_way(lock: RWLock) -> None:
    with another(lock) as other, lock.reading():
        assert other.acquire_write(timeout=0.01) is False
        assert other.acquire_read(timeout=0)
        other.release_read()


def tell_when(lock: RWLock, verb: str) -> int:
    """When it was had, on the clock of the system."""
    getattr(lock, f"acquire_{verb}")()
    now = time.monotonic_ns()
    getattr(lock, f"release_{verb}")()
    return now


def test_who_waits_to_read_goes_before_the_next_writer(lock: RWLock, spawn: Spawn) -> None:
    lock.acquire_write()
    reader = spawn(tell_when, lock, "read")
    writer = spawn(tell_when, lock, "write")
    writer.wait_blocked("futex")
    stop_asleep(reader)  # between two slices it would have no turn
    released = time.monotonic_ns()
    lock.release_write()
    with contextlib.suppress(SyscallError):  # it writes and ends: too early, or the reader's time is over
        writer.wait_blocked("futex")
    reader.send_signal(signal.SIGCONT)
    read, written = reader.result(), writer.result()
    assert read < written or written - released >= SLICE_NS  # who does not come for so long is passed over


def stop_asleep(child: Child) -> None:
    """Stop it within a sleep in futex(2)."""
    while True:
        child.wait_blocked("futex")
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        call = _syscalls.call_in(Path(f"/proc/{child.pid}/syscall").read_bytes())
        if call is not None and call.number in _syscalls.numbers(("futex",)):
            return
        child.send_signal(signal.SIGCONT)


def test_busy_readers_do_not_starve_a_writer(lock: RWLock, spawn: Spawn) -> None:
    readers = [spawn(read_until_told, lock) for _ in range(2)]
    for reader in readers:
        reader.wait_reached("busy")
    for _ in range(3):
        assert lock.acquire_write(timeout=20)
        lock.release_write()
    for reader in readers:
        reader.send_signal(signal.SIGUSR1)
        assert reader.result() > 0


def read_until_told(lock: RWLock) -> int:
    told = []
    signal.signal(signal.SIGUSR1, lambda *_: told.append(True))
    reads = 0
    while not told:
        with lock.reading():
            reads += 1
        if reads == 100:
            reached("busy")
    return reads


# --- death ------------------------------------------------------------------------------------------------------------


def read_in_threads(lock: RWLock) -> None:
    threads = [threading.Thread(target=lock.acquire_read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reached("held")
    pause("never")


def test_a_killed_reader_is_taken_off_with_all_its_threads(lock: RWLock, spawn: Spawn) -> None:
    child = spawn(read_in_threads, lock)
    child.wait_reached("held")
    child.kill()
    child.join()
    (holder,) = lock.readers()
    assert (holder.pid, holder.held, holder.lives) == (child.pid, 3, False)
    got = lock.try_acquire_write()
    assert got
    assert not got.owner_died
    lock.release_write()
    assert lock.readers() == []


def test_a_writer_waits_out_the_death_of_a_reader(lock: RWLock, spawn: Spawn) -> None:
    reader = holder_of(lock, spawn, "read")
    waiter = spawn(acquire_and_tell, lock, "write")
    waiter.wait_blocked("futex")
    reader.kill()
    assert waiter.result() is False


def test_the_death_of_a_writer_is_told_until_it_is_put_right(lock: RWLock, spawn: Spawn) -> None:
    killed_holder(lock, spawn, "write")
    for _ in range(2):
        with lock.reading() as got:
            assert got.owner_died
    with lock.writing() as got:
        assert got.owner_died
        lock.mark_consistent()
    with lock.reading() as got:
        assert not got.owner_died
    with lock.writing() as got:
        assert not got.owner_died


@pytest.mark.parametrize("verb", ["read", "write"])
def test_a_waiter_gets_what_a_killed_writer_held(lock: RWLock, spawn: Spawn, verb: str) -> None:
    writer = holder_of(lock, spawn, "write")
    waiter = spawn(acquire_and_tell, lock, verb)
    waiter.wait_blocked("futex")
    writer.kill()
    assert waiter.result() is True


def test_a_killed_waiter_is_no_loss(lock: RWLock, spawn: Spawn) -> None:
    lock.acquire_read()
    waiter = spawn(acquire_and_tell, lock, "write")
    waiter.wait_blocked("futex")
    waiter.kill()
    waiter.join()
    assert lock.acquire_read(timeout=20) == lock.acquire_read(timeout=20)
    for _ in range(3):
        lock.release_read()
    with lock.writing() as got:
        assert not got.owner_died
        reader = spawn(acquire_and_tell, lock, "read")
        reader.wait_blocked("futex")
        reader.kill()
        reader.join()
    assert lock.acquire_write(timeout=20)
    lock.release_write()


def test_a_release_without_putting_right_is_the_end(lock: RWLock, spawn: Spawn) -> None:
    killed_holder(lock, spawn, "write")
    assert lock.acquire_write().owner_died  # type: ignore[union-attr]
    lock.release_write()
    for again in (lock.acquire_read, lock.acquire_write, lock.try_acquire_read, lock.try_acquire_write):
        with pytest.raises(NotRecoverableError, match=r"without mark_consistent\(\)"):
            again()


def test_a_policy_can_raise(lock: RWLock, spawn: Spawn) -> None:
    with another(lock, on_owner_death="raise") as strict:
        killed_holder(lock, spawn, "write")
        with pytest.raises(OwnerDiedError, match=r"the lock is yours: release_read\(\)"):
            strict.acquire_read()
        assert lock.try_acquire_write() is False
        strict.release_read()
        with pytest.raises(OwnerDiedError), strict.reading():
            pytest.fail("the body must not run")
        assert lock.readers() == []
        with pytest.raises(OwnerDiedError, match=r"mark_consistent\(\), release_write\(\)"):
            strict.acquire_write()
        strict.mark_consistent()
        strict.release_write()
        with strict.writing(), pytest.raises(DeadlockError):
            strict.acquire_read()


def test_a_policy_can_recover(lock: RWLock, spawn: Spawn) -> None:
    with another(lock, on_owner_death="recover") as easy:
        killed_holder(lock, spawn, "write")
        with pytest.warns(OwnerDiedWarning, match="half-changed") as told, easy.reading() as got:
            assert got.owner_died
        assert told[0].filename == __file__
        with pytest.warns(OwnerDiedWarning) as told:
            assert easy.acquire_write()
        assert told[0].filename == __file__
        easy.release_write()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with easy.writing() as got:
                assert not got.owner_died
            killed_holder(lock, spawn, "write")
            for acquire in (easy.acquire_read, easy.acquire_write):
                with pytest.raises(OwnerDiedWarning):
                    acquire()
        with lock.writing() as got:  # what raised has left nothing
            assert not got.owner_died


@pytest.mark.parametrize("policy", ["Report", "", None])
def test_policies_have_names(policy: Any) -> None:
    with pytest.raises(ValueError, match="on_owner_death must be one of 'report', 'raise', 'recover'"):
        RWLock.create(on_owner_death=policy)


def test_to_close_lets_go_of_all(lock: RWLock) -> None:
    with another(lock) as other:
        other.acquire_read()
        other.acquire_read()
    assert lock.readers() == []
    with another(lock) as other:
        other.acquire_write()
    with lock.reading() as got:
        assert got.owner_died
    with lock.writing() as got:
        assert got.owner_died
        lock.mark_consistent()


def test_an_exception_of_a_signal_handler_leaves_nothing_taken(lock: RWLock, spawn: Spawn) -> None:
    def interrupt(verb: str) -> None:
        child = spawn(wait_until_interrupted, lock, verb)
        child.wait_blocked("futex")
        child.send_signal(signal.SIGUSR1)
        assert child.result() == "interrupted"

    with lock.writing():
        interrupt("read")
        interrupt("write")
    with lock.reading():
        interrupt("write")
        with another(lock) as other:
            assert other.acquire_read(timeout=0)  # the gate is open again
    with lock.writing() as got:
        assert not got.owner_died


def wait_until_interrupted(lock: RWLock, verb: str) -> str:
    def interrupt(*_: object) -> None:
        raise InterruptedError

    signal.signal(signal.SIGUSR1, interrupt)
    try:
        getattr(lock, f"acquire_{verb}")()
    except InterruptedError:
        return "interrupted"
    return "acquired"


# --- who is not dead --------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["read", "write"])
def test_a_stopped_holder_lives(lock: RWLock, spawn: Spawn, verb: str) -> None:
    child = holder_of(lock, spawn, verb)
    child.send_signal(signal.SIGSTOP)
    assert lock.acquire_write(timeout=1.0) is False
    child.send_signal(signal.SIGCONT)
    child.resume("release")
    got = lock.acquire_write(timeout=20)
    assert got
    assert not got.owner_died
    lock.release_write()


def read_without_descriptors(lock: RWLock) -> None:
    lock.acquire_read()
    own = lock.fileno()
    os.closerange(own, own + 3)
    reached("closed")
    pause("release")
    lock.release_read()


def test_a_reader_whose_descriptors_somebody_closed_lives(lock: RWLock, spawn: Spawn) -> None:
    child = spawn(read_without_descriptors, lock)
    child.wait_reached("closed")
    assert lock.acquire_write(timeout=0.06) is False
    assert [holder.lives for holder in lock.readers()] == [True]
    child.resume("release")
    assert lock.acquire_write(timeout=20)
    lock.release_write()


def test_a_forked_child_holds_nothing(lock: RWLock) -> None:
    lock.acquire_read()
    if (pid := os.fork()) == 0:
        try:
            with pytest.raises(NotOwnerError):
                lock.release_read()
            with lock.reading():
                assert len(lock.readers()) == 2
            lock.close()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert [holder.held for holder in lock.readers()] == [1]
    lock.release_read()


# --- handles, memory, others ------------------------------------------------------------------------------------------


def test_there_are_as_many_places_for_readers_as_it_was_made_with() -> None:
    with contextlib.closing(RWLock.create(unique_name(), readers=2, unlink_on_close=True)) as lock:
        lock.acquire_read()
        with another(lock) as second, second.reading(), another(lock) as third:
            for acquire in (third.acquire_read, third.try_acquire_read):
                with pytest.raises(LimitError, match="create it with more readers"):
                    acquire()
        with another(lock) as third, third.reading():  # the second gave its place back
            assert len(lock.readers()) == 2
        lock.release_read()


def test_a_downgrade_without_a_place_keeps_the_lock() -> None:
    with contextlib.closing(RWLock.create(unique_name(), readers=1, unlink_on_close=True)) as lock:
        with lock.reading():
            pass
        with another(lock) as other, other.writing():
            with pytest.raises(LimitError, match="readers"):
                other.downgrade()
            assert lock.try_acquire_read() is False


@pytest.mark.parametrize(
    ("readers", "error"), [(0, ValueError), (4097, ValueError), (True, TypeError), (1.5, TypeError)]
)
def test_numbers_of_readers_that_are_none(readers: Any, error: type[Exception]) -> None:
    for call in (RWLock.size, lambda n: RWLock.create(readers=n)):
        with pytest.raises(error, match="readers must be"):
            call(readers)


def test_it_lies_where_it_was_put(memory: SharedMemory) -> None:
    assert RWLock.size(64) == RWLock.SIZE
    with contextlib.closing(RWLock.create(within=memory, offset=64, readers=3)) as lock:
        with contextlib.closing(RWLock.open(within=memory, offset=64)) as other, lock.writing():
            assert other.writer() == lock.writer()
            assert repr(other) == "<RWLock at 64 of SharedMemory>"
        with pytest.raises(LayoutError, match="no Mutex of this version"):
            Mutex.open(within=memory, offset=64)
    with contextlib.closing(Mutex.create(within=memory, offset=8192)), pytest.raises(LayoutError, match="no RWLock"):
        RWLock.open(within=memory, offset=8192)


def change_and_look(lock: RWLock, memory: SharedMemory, turns: int) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def work() -> None:
        for turn in range(turns):
            if turn % 4:
                with lock.reading():
                    left, right = struct.unpack_from("=QQ", memory.buf, LEFT)
                    assert left == right
            else:
                with lock.writing():
                    (left,) = struct.unpack_from("=Q", memory.buf, LEFT)
                    struct.pack_into("=Q", memory.buf, LEFT, left + 1)
                    struct.pack_into("=Q", memory.buf, RIGHT, left + 1)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(work) for _ in range(2)]:
            done.result()


def test_processes_and_threads_exclude_each_other(memory: SharedMemory, spawn: Spawn) -> None:
    with contextlib.closing(RWLock.create(within=memory, offset=128)) as lock:
        children = [spawn(change_and_look, lock, memory, 200) for _ in range(2)]
        change_and_look(lock, memory, 200)
        for child in children:
            assert child.result() is None
        assert lock.readers() == []
    assert struct.unpack_from("=QQ", memory.buf, LEFT) == (300, 300)


def test_without_the_extension_it_is_the_same(lock: RWLock) -> None:
    with another(lock) as other:
        other._lane = lane.CffiLane(other._view)
        with other.reading(), lock.reading():
            assert other.try_acquire_write() is False
        with other.writing():
            assert lock.try_acquire_read() is False


def test_a_closed_one_says_so(lock: RWLock) -> None:
    with another(lock) as other:
        turn = other.reading()
    for call in (
        turn.__enter__,
        other.acquire_read,
        other.release_read,
        other.acquire_write,
        other.release_write,
        other.downgrade,
        other.readers,
        other.writer,
    ):
        with pytest.raises(ClosedError):
            call()


@pytest.mark.parametrize("pattern", [b"\xff", b"\x01", b"\x80", b"\x7f", b"\x40", b"\x20"])
@pytest.mark.parametrize(
    "place", [range(64), range(64, 128), range(128, 192), range(192, 448), range(448)], ids=lambda r: f"{r.start}"
)
def test_garbage_is_an_error_or_a_timeout(memory: SharedMemory, pattern: bytes, place: range) -> None:
    with contextlib.closing(RWLock.create(within=memory, offset=1024, readers=3)) as lock:
        memory.buf[1024 + place.start : 1024 + place.stop] = pattern * len(place)
        for verb in ("read", "write"):
            with contextlib.suppress(IPCError):
                if getattr(lock, f"acquire_{verb}")(timeout=0.001):
                    getattr(lock, f"release_{verb}")()
        with contextlib.suppress(IPCError):
            lock.readers()
    with contextlib.suppress(IPCError):
        RWLock.open(within=memory, offset=1024).close()


# --- blocks -----------------------------------------------------------------------------------------------------------


def test_blocks_are_the_same_without_the_extension(lock: RWLock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rwlock, "Turn", _turn.Turn)
    with lock.reading() as got:
        assert got
        assert len(lock.readers()) == 1
        assert not lock.try_acquire_write()
    with lock.writing() as got:
        assert got
        with another(lock) as other:
            assert not other.try_acquire_read()
    with pytest.raises(ZeroDivisionError), lock.writing():
        raise ZeroDivisionError
    with pytest.raises(NotOwnerError), lock.writing():
        lock.release_write()


@pytest.mark.parametrize("verb", ["reading", "writing"])
def test_a_handler_that_raises_leaves_no_lock_of_a_block_taken(lock: RWLock, verb: str) -> None:
    def block() -> None:
        with getattr(lock, verb)():
            pass

    for moment in count(1):
        there_was_one = interrupted(moment, block, "ipckit")
        assert lock.try_acquire_write(), moment
        lock.release_write()
        if not there_was_one:
            return


@pytest.mark.parametrize("writing", [True, False])
def test_nor_one_that_had_to_be_waited_for(lock: RWLock, writing: bool) -> None:
    for moment in count(1):
        got: list[object] = []
        # As where the first attempt is refused, and the lock is free by the time of the second.
        there_was_one = interrupted(
            moment,
            lambda: got.append(lock._enter_slowly(-errno.EAGAIN, writing)),  # noqa: B023
            "ipckit",
        )
        assert (lock.writer() is not None) == (writing and bool(got)), moment
        assert bool(lock.readers()) == (not writing and bool(got)), moment
        if not there_was_one:
            return
