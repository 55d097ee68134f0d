"""sync.Mutex with priority inheritance: the priority that is lent, the owner's death, and what it is not for."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipckit._names import unique_name
from ipckit.errors import (
    ClosedError,
    DeadlockError,
    LayoutError,
    NotOwnerError,
    NotRecoverableError,
    OwnerDiedError,
    UnsupportedError,
)
from ipckit.posix import SharedMemory
from ipckit.sync import Condition, Mutex
from ipckit.testing import pause, reached, wait_blocked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Child, Spawn

WORD = 64  # the futex, from the beginning of the object
NAMESPACE = WORD + 40
PRIORITY = 7  # of SCHED_FIFO


def create(**how: bool) -> Mutex:
    try:
        return Mutex.create(unique_name(), priority_inheritance=True, unlink_on_close=True, **how)
    except UnsupportedError as error:
        pytest.skip(str(error))


@pytest.fixture
def mutex() -> Iterator[Mutex]:
    with contextlib.closing(create()) as made:
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


def acquire_in_real_time(mutex: Mutex) -> bool:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    return acquire_and_tell(mutex)


def priority_of(pid: int) -> int:
    """Field 18 of /proc/PID/stat: -1 - N for SCHED_FIFO of priority N, by right or lent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[15])


def may_be_real_time() -> bool:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        return False
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return True


def test_the_owner_runs_with_the_priority_of_who_waits(mutex: Mutex, spawn: Spawn) -> None:
    if not may_be_real_time():
        pytest.skip("SCHED_FIFO takes CAP_SYS_NICE, or RLIMIT_RTPRIO")
    owner = holder_of(mutex, spawn)
    before = priority_of(owner.pid)
    assert before >= 0
    waiter = spawn(acquire_in_real_time, mutex)
    waiter.wait_blocked("futex")
    while (lent := priority_of(owner.pid)) == before:  # and again between two slices of its wait
        os.sched_yield()
    assert lent == -1 - PRIORITY
    assert os.sched_getscheduler(owner.pid) == os.SCHED_OTHER  # lent, not given
    owner.resume("release")
    assert waiter.result() is False
    owner.join()


def test_acquire_release_owner(mutex: Mutex) -> None:
    assert mutex.priority_inheritance
    with mutex as got:
        assert not got.owner_died
        mine = mutex.owner()
        assert mine is not None
        assert (mine.pid, mine.thread, mine.depth, mine.lives) == (os.getpid(), threading.get_native_id(), 1, True)
        with pytest.raises(DeadlockError, match="this thread holds it already"):
            mutex.acquire()
    assert not mutex.locked()
    with pytest.raises(NotOwnerError):
        mutex.release()


def is_told(wanted: Mutex) -> bool:
    """Whether it would be waited for in vain."""
    try:
        wanted.acquire()
    except DeadlockError as error:
        assert "acquire mutexes in one order" in str(error)  # noqa: PT017
        return True
    wanted.release()
    return False


def hold_and_want(held: Mutex, wanted: Mutex) -> bool:
    with held:
        reached("held")
        pause("want")
        return is_told(wanted)


def test_of_owners_that_wait_for_each_other_one_is_told(mutex: Mutex, spawn: Spawn) -> None:
    with contextlib.closing(create()) as other:
        child = spawn(hold_and_want, other, mutex)
        child.wait_reached("held")
        with mutex:
            child.resume("want")
            child.wait_blocked("futex")
            told = is_told(other)
        assert child.result() is not told  # it is the child if it was between two slices when we came


def test_a_recursive_one() -> None:
    with contextlib.closing(create(recursive=True)) as mutex:
        for _ in range(3):
            assert mutex.acquire()
        for _ in range(3):
            mutex.release()
        assert not mutex.locked()


def test_it_waits_no_longer_than_it_may(mutex: Mutex, spawn: Spawn) -> None:
    owner = holder_of(mutex, spawn)
    assert mutex.try_acquire() is False
    assert mutex.acquire(timeout=0.02) is False
    owner.resume("release")
    assert mutex.acquire(timeout=20)
    mutex.release()
    owner.join()


def test_who_comes_after_a_death_is_told(mutex: Mutex, spawn: Spawn) -> None:
    owner = holder_of(mutex, spawn)
    owner.kill()
    owner.join()
    got = mutex.try_acquire()
    assert got
    assert got.owner_died
    mutex.mark_consistent()
    mutex.release()
    assert mutex.acquire(timeout=20).owner_died is False  # type: ignore[union-attr]
    mutex.release()


def test_who_waits_when_the_owner_dies_is_told(mutex: Mutex, spawn: Spawn) -> None:
    owner = holder_of(mutex, spawn)
    waiter = spawn(acquire_and_tell, mutex)
    waiter.wait_blocked("futex")
    owner.kill()
    owner.join()
    assert waiter.result() is True
    assert acquire_and_tell(mutex) is False


def test_what_nobody_puts_right_is_lost(mutex: Mutex, spawn: Spawn) -> None:
    owner = holder_of(mutex, spawn)
    owner.kill()
    owner.join()
    with contextlib.closing(Mutex.open(mutex.name, on_owner_death="raise")) as strict:
        with pytest.raises(OwnerDiedError):
            strict.acquire(timeout=20)
        strict.release()
        for attempt in (strict, mutex):
            with pytest.raises(NotRecoverableError):
                attempt.acquire(timeout=20)


def test_a_thread_that_ends_has_died(mutex: Mutex) -> None:
    thread = threading.Thread(target=mutex.acquire)
    thread.start()
    thread.join()
    assert acquire_and_tell(mutex) is True


def test_a_stopped_owner_is_not_robbed(mutex: Mutex, spawn: Spawn) -> None:
    owner = holder_of(mutex, spawn)
    owner.send_signal(signal.SIGSTOP)
    assert mutex.acquire(timeout=0.12) is False
    owner.send_signal(signal.SIGCONT)
    owner.resume("release")
    assert acquire_and_tell(mutex) is False
    owner.join()


def test_close_ends_the_waits_and_gives_back_what_was_acquired(mutex: Mutex, spawn: Spawn) -> None:
    owner = holder_of(mutex, spawn)
    ended = []

    def wait() -> None:
        try:
            mine.acquire()
        except ClosedError as error:
            ended.append(error)

    mine = Mutex.open(mutex.name)
    thread = threading.Thread(target=wait)
    thread.start()
    assert thread.native_id is not None
    wait_blocked(thread.native_id, "futex")
    mine.close()
    thread.join()
    assert len(ended) == 1
    owner.resume("release")
    owner.join()
    other = Mutex.open(mutex.name)
    other.acquire()
    other.close()
    assert acquire_and_tell(mutex) is True


def interrupted(mutex: Mutex) -> str:
    reached("ready")
    try:
        mutex.acquire()
    except KeyboardInterrupt:
        return "interrupted"
    return "acquired"


def test_ctrl_c_ends_a_wait(mutex: Mutex, spawn: Spawn) -> None:
    owner = holder_of(mutex, spawn)
    waiter = spawn(interrupted, mutex)
    waiter.wait_reached("ready")
    waiter.wait_blocked("futex")
    waiter.send_signal(signal.SIGINT)
    assert waiter.result() == "interrupted"
    owner.resume("release")
    owner.join()
    assert acquire_and_tell(mutex) is False


def count(mutex: Mutex, memory: SharedMemory, rounds: int) -> None:
    for _ in range(rounds):
        with mutex:
            struct.pack_into("Q", memory.buf, 0, struct.unpack_from("Q", memory.buf, 0)[0] + 1)


def test_many_processes_exclude_each_other(mutex: Mutex, spawn: Spawn) -> None:
    with SharedMemory.create(size=4096, unlink_on_close=True) as memory:
        children = [spawn(count, mutex, memory, 500) for _ in range(3)]
        for child in children:
            child.join()
        assert struct.unpack_from("Q", memory.buf, 0)[0] == 1500


def test_it_is_for_one_pid_namespace() -> None:
    with SharedMemory.create(size=4096, unlink_on_close=True) as memory:
        try:
            Mutex.create(within=memory, offset=128, priority_inheritance=True).close()
        except UnsupportedError as error:
            pytest.skip(str(error))
        namespace = struct.unpack_from("Q", memory.buf, 128 + NAMESPACE)[0]
        assert namespace == Path("/proc/self/ns/pid").stat().st_ino
        struct.pack_into("Q", memory.buf, 128 + NAMESPACE, namespace + 1)
        with pytest.raises(LayoutError, match="another pid namespace"):
            Mutex.open(within=memory, offset=128)


def test_a_thread_that_never_was_is_dead() -> None:
    with SharedMemory.create(size=4096, unlink_on_close=True) as memory:
        try:
            made = Mutex.create(within=memory, priority_inheritance=True)
        except UnsupportedError as error:
            pytest.skip(str(error))
        with contextlib.closing(made) as mine:
            for word, owner in ((1 << 29, True), ((1 << 30) - 1, True), (1 << 31, False), (0xFFFFFFFF, True)):
                struct.pack_into("I", memory.buf, WORD, word)
                got = mine.acquire(timeout=20)
                assert got
                assert got.owner_died is owner
                mine.mark_consistent()
                mine.release()


def test_not_for_a_condition(mutex: Mutex) -> None:
    with pytest.raises(ValueError, match="without priority_inheritance"):
        Condition.create(mutex=mutex)


def test_one_without_says_so() -> None:
    with contextlib.closing(Mutex.create()) as plain:
        assert not plain.priority_inheritance
