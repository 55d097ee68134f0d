"""sync.Semaphore, plain, bounded and tracked: permits between processes, and what becomes of them in a death."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from ipckit._names import unique_name
from ipckit.errors import (
    AlreadyExistsError,
    ClosedError,
    IPCError,
    LayoutError,
    LimitError,
    NotFoundError,
    NotOwnerError,
    SyscallError,
)
from ipckit.posix import SharedMemory
from ipckit.sync import Mutex, Semaphore, TrackedSemaphore
from ipckit.sync import _permit_lane as lane
from ipckit.testing import pause, reached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Child, Spawn

MOST = (1 << 31) - 1


@pytest.fixture(params=["plain", "tracked"])
def semaphore(request: pytest.FixtureRequest) -> Iterator[Semaphore]:
    """With two permits, of either kind."""
    with contextlib.closing(made(tracked=request.param == "tracked")) as semaphore:
        yield semaphore


@pytest.fixture
def tracked() -> Iterator[TrackedSemaphore]:
    with contextlib.closing(made(tracked=True)) as semaphore:
        assert isinstance(semaphore, TrackedSemaphore)
        yield semaphore


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    with SharedMemory.create(size=1 << 14, unlink_on_close=True) as made:
        yield made


def made(*, tracked: bool, value: int = 2) -> Semaphore:
    return Semaphore.create(unique_name(), value=value, tracked=tracked, unlink_on_close=True)


def take_and_hold(semaphore: Semaphore, permits: int) -> None:
    for _ in range(permits):
        assert semaphore.acquire(timeout=20)
    reached("held")
    pause("release")
    semaphore.release(permits)


def holder_of(semaphore: Semaphore, spawn: Spawn, permits: int = 2) -> Child:
    child = spawn(take_and_hold, semaphore, permits)
    child.wait_reached("held")
    return child


def take_and_tell(semaphore: Semaphore) -> bool:
    got = semaphore.acquire(timeout=20)
    reached("taken")
    return got


# --- either kind ------------------------------------------------------------------------------------------------------


def test_permits_are_counted(semaphore: Semaphore) -> None:
    assert semaphore.value == 2
    with semaphore as entered:
        assert entered is semaphore
        assert semaphore.acquire(timeout=1)
        assert semaphore.value == 0
        for nothing in (
            semaphore.try_acquire,
            lambda: semaphore.acquire(blocking=False),
            lambda: semaphore.acquire(timeout=0),
            lambda: semaphore.acquire(False),
        ):
            assert nothing() is False
        semaphore.release()
    assert semaphore.value == 2


def test_timeouts(semaphore: Semaphore) -> None:
    semaphore.acquire()
    semaphore.acquire()
    start = time.monotonic()
    assert semaphore.acquire(timeout=0.06) is False
    assert time.monotonic() - start >= 0.06
    with pytest.raises(ValueError, match="timeout must be None where blocking is false"):
        semaphore.acquire(blocking=False, timeout=1)
    semaphore.release(2)


@pytest.mark.parametrize(("n", "error"), [(0, ValueError), (-1, ValueError), (MOST + 1, ValueError), (1.5, TypeError)])
def test_numbers_that_are_none(semaphore: Semaphore, n: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="n must be"):
        semaphore.release(n)


def test_a_release_of_many_wakes_as_many(semaphore: Semaphore, spawn: Spawn) -> None:
    semaphore.acquire()
    semaphore.acquire()
    waiters = [spawn(take_and_tell, semaphore) for _ in range(2)]
    for waiter in waiters:
        waiter.wait_blocked("futex")
    semaphore.release(2)
    for waiter in waiters:
        assert waiter.result() is True


def test_a_killed_waiter_takes_nothing(semaphore: Semaphore, spawn: Spawn) -> None:
    semaphore.acquire()
    semaphore.acquire()
    waiters = [spawn(take_and_tell, semaphore) for _ in range(2)]
    for waiter in waiters:
        waiter.wait_blocked("futex")
    waiters[0].kill()
    semaphore.release()
    assert waiters[1].result() is True


def wait_until_interrupted(semaphore: Semaphore) -> str:
    def interrupt(*_: object) -> None:
        raise InterruptedError

    signal.signal(signal.SIGUSR1, interrupt)
    try:
        semaphore.acquire()
    except InterruptedError:
        return "interrupted"
    return "acquired"


def test_an_exception_of_a_signal_handler_takes_nothing(semaphore: Semaphore, spawn: Spawn) -> None:
    semaphore.acquire()
    semaphore.acquire()
    child = spawn(wait_until_interrupted, semaphore)
    child.wait_blocked("futex")
    child.send_signal(signal.SIGUSR1)
    assert child.result() == "interrupted"
    semaphore.release(2)
    assert semaphore.value == 2


def take_turns(semaphore: Semaphore, memory: SharedMemory, turns: int) -> None:
    def work() -> None:
        for _ in range(turns):
            with semaphore:
                (value,) = struct.unpack_from("=Q", memory.buf, 8192)
                struct.pack_into("=Q", memory.buf, 8192, value + 1)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(work) for _ in range(2)]:
            done.result()


@pytest.mark.parametrize("tracked", [False, True])
def test_one_permit_excludes_processes_and_threads(memory: SharedMemory, spawn: Spawn, *, tracked: bool) -> None:
    with contextlib.closing(Semaphore.create(within=memory, offset=64, tracked=tracked)) as semaphore:
        children = [spawn(take_turns, semaphore, memory, 200) for _ in range(2)]
        take_turns(semaphore, memory, 200)
        for child in children:
            child.join()
        assert semaphore.value == 1
    assert struct.unpack_from("=Q", memory.buf, 8192) == (1200,)


def test_it_is_opened_as_what_it_is(semaphore: Semaphore) -> None:
    with contextlib.closing(Semaphore.open(semaphore.name)) as other:
        assert type(other) is type(semaphore)
        assert other.try_acquire()
        assert semaphore.value == 1
        other.release()
    again = Semaphore.open_or_create(semaphore.name, value=7)
    assert again.value == 2
    again.close()
    with pytest.raises(AlreadyExistsError):
        Semaphore.create(semaphore.name)


def test_other_kinds_are_refused(memory: SharedMemory) -> None:
    with contextlib.closing(Semaphore.create(unique_name(), unlink_on_close=True)) as plain:
        with pytest.raises(LayoutError, match="no TrackedSemaphore of this version"):
            TrackedSemaphore.open(plain.name)
        with pytest.raises(LayoutError, match="no Mutex of this version"):
            Mutex.open(plain.name)
    with contextlib.closing(Mutex.create(within=memory)), pytest.raises(LayoutError, match="no Semaphore of this"):
        Semaphore.open(within=memory)
    with pytest.raises(NotFoundError, match="no Semaphore here"):
        Semaphore.open(within=memory, offset=128)


def test_without_the_extension_it_is_the_same(semaphore: Semaphore) -> None:
    kind = lane.TrackedCffiLane if isinstance(semaphore, TrackedSemaphore) else lane.CffiLane
    with contextlib.closing(Semaphore.open(semaphore.name)) as other:
        other._lane = kind(other._view)
        with other, other:
            assert semaphore.value == 0
            assert not other.try_acquire()
        assert semaphore.value == 2


def test_a_closed_one_says_so(semaphore: Semaphore) -> None:
    other = Semaphore.open(semaphore.name)
    other.close()
    for call in (other.acquire, other.try_acquire, other.release, lambda: other.release(2), lambda: other.value):
        with pytest.raises(ClosedError):
            call()


@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize("pattern", [b"\xff", b"\x01", b"\x80", b"\x7f", b"\x40", b"\x20"])
@pytest.mark.parametrize("place", [range(64), range(64, 128), range(64, 448)], ids=lambda r: f"{r.start}-{r.stop}")
def test_garbage_is_an_error_or_a_timeout(memory: SharedMemory, pattern: bytes, place: range, *, tracked: bool) -> None:
    with contextlib.closing(Semaphore.create(within=memory, offset=1024, tracked=tracked, holders=3)) as semaphore:
        memory.buf[1024 + place.start : 1024 + place.stop] = pattern * len(place)
        with contextlib.suppress(IPCError):
            if semaphore.acquire(timeout=0.001):
                semaphore.release()
        assert semaphore.value >= 0
    with contextlib.suppress(IPCError):
        Semaphore.open(within=memory, offset=1024).close()


# --- plain ------------------------------------------------------------------------------------------------------------


def test_a_permit_of_the_dead_is_lost(spawn: Spawn) -> None:
    with contextlib.closing(made(tracked=False)) as semaphore:
        child = holder_of(semaphore, spawn)
        child.kill()
        child.join()
        assert semaphore.acquire(timeout=0.06) is False
        semaphore.release()  # anybody may
        assert semaphore.acquire(timeout=0)


def test_a_bounded_one_has_never_more_than_at_first() -> None:
    with contextlib.closing(Semaphore.create(value=2, bounded=True)) as semaphore:
        with pytest.raises(ValueError, match="released too often"):
            semaphore.release()
        semaphore.acquire()
        with pytest.raises(ValueError, match="has 1 of its permits"):
            semaphore.release(2)
        semaphore.release()
        assert semaphore.value == 2


def test_it_counts_up_to_a_limit() -> None:
    with contextlib.closing(Semaphore.create(value=MOST - 1)) as semaphore:
        semaphore.release()
        for n in (1, MOST):
            with pytest.raises(SyscallError, match="release"):
                semaphore.release(n)
        assert semaphore.value == MOST


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ({"value": -1}, ValueError),
        ({"value": MOST + 1}, ValueError),
        ({"value": True}, TypeError),
        ({"value": 0, "tracked": True}, ValueError),
        ({"holders": 0, "tracked": True}, ValueError),
        ({"holders": 4097, "tracked": True}, ValueError),
    ],
)
def test_bad_arguments_are_named(how: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(how))):
        Semaphore.create(**how)


# --- tracked ----------------------------------------------------------------------------------------------------------


def test_only_who_took_a_permit_gives_it_back(tracked: TrackedSemaphore) -> None:
    with pytest.raises(NotOwnerError, match="not taken through this handle"):
        tracked.release()
    with contextlib.closing(TrackedSemaphore.open(tracked.name)) as other, tracked:
        with pytest.raises(NotOwnerError):
            other.release()
        with pytest.raises(NotOwnerError):
            tracked.release(2)
        assert tracked.value == 1
        assert [(holder.pid, holder.held, holder.lives) for holder in other.holders()] == [(os.getpid(), 1, True)]


def test_the_dead_give_back(tracked: TrackedSemaphore, spawn: Spawn) -> None:
    child = holder_of(tracked, spawn)
    child.kill()
    child.join()
    assert [(holder.pid, holder.held, holder.lives) for holder in tracked.holders()] == [(child.pid, 2, False)]
    assert tracked.value == 0
    assert tracked.try_acquire()
    assert tracked.value == 1
    tracked.release()


def test_a_waiter_gets_what_the_dead_had(tracked: TrackedSemaphore, spawn: Spawn) -> None:
    holder = holder_of(tracked, spawn)
    waiters = [spawn(take_and_tell, tracked) for _ in range(2)]
    for waiter in waiters:
        waiter.wait_blocked("futex")
    holder.kill()
    for waiter in waiters:
        assert waiter.result() is True


def test_to_close_gives_back(tracked: TrackedSemaphore) -> None:
    other = TrackedSemaphore.open(tracked.name)
    assert other.try_acquire()
    assert other.try_acquire()
    other.close()
    assert tracked.value == 2
    assert tracked.holders() == []


@pytest.mark.slow
def test_a_stopped_holder_keeps_its_permits(tracked: TrackedSemaphore, spawn: Spawn) -> None:
    child = holder_of(tracked, spawn)
    child.send_signal(signal.SIGSTOP)
    assert tracked.acquire(timeout=1.0) is False
    child.send_signal(signal.SIGCONT)
    child.resume("release")
    assert tracked.acquire(timeout=20)
    tracked.release()


def hold_without_descriptors(semaphore: Semaphore) -> None:
    own = semaphore.fileno()
    semaphore.acquire()
    semaphore.acquire()
    os.closerange(own, own + 3)
    reached("closed")
    pause("release")
    semaphore.release(2)


def test_a_holder_whose_descriptors_somebody_closed_keeps_them_too(tracked: TrackedSemaphore, spawn: Spawn) -> None:
    child = spawn(hold_without_descriptors, tracked)
    child.wait_reached("closed")
    assert tracked.acquire(timeout=0.06) is False
    child.resume("release")
    assert tracked.acquire(timeout=20)
    tracked.release()


def test_a_forked_child_has_no_permits(tracked: TrackedSemaphore) -> None:
    tracked.acquire()
    if (pid := os.fork()) == 0:
        try:
            with pytest.raises(NotOwnerError):
                tracked.release()
            with tracked:
                assert tracked.value == 0
            tracked.close()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert tracked.value == 1
    tracked.release()


def test_there_are_as_many_places_as_it_was_made_with() -> None:
    with contextlib.closing(
        TrackedSemaphore.create(unique_name(), value=9, holders=1, unlink_on_close=True)
    ) as semaphore:
        semaphore.acquire()
        with contextlib.closing(TrackedSemaphore.open(semaphore.name)) as other:
            for acquire in (other.acquire, other.try_acquire):
                with pytest.raises(LimitError, match="create it with more holders"):
                    acquire()
        semaphore.release()


def test_it_tells_how_large_it_is(memory: SharedMemory) -> None:
    assert TrackedSemaphore.size(64) == TrackedSemaphore.SIZE
    first = TrackedSemaphore.create(within=memory, holders=3)
    second = TrackedSemaphore.create(within=memory, offset=TrackedSemaphore.size(3), value=2)
    assert (first.value, second.value) == (1, 2)
    first.close()
    second.close()
