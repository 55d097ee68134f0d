"""sync.Barrier: rounds, what breaks it, whose death is noticed and whose is not, garbage."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipckit._names import unique_name
from ipckit.errors import BrokenBarrierError, ClosedError, LayoutError
from ipckit.posix import SharedMemory
from ipckit.sync import AtomicInt64, Barrier, Mutex
from ipckit.testing import pause, reached
from tests.contract.tools import Background, in_fork

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Child, Spawn

LONG = 20.0
GUARD, TABLE = 64, 192  # bytes from the beginning of the object


@pytest.fixture
def barrier() -> Iterator[Barrier]:
    with Barrier.create(unique_name(), parties=2, unlink_on_close=True) as made:
        yield made


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    with SharedMemory.create(size=8192, unlink_on_close=True) as made:
        yield made


def until(true: Any) -> None:
    while not true():
        os.sched_yield()


def waiting_thread(barrier: Barrier, timeout: float | None = LONG) -> Background:
    thread = Background(lambda: barrier.wait(timeout))
    thread.wait_blocked("futex")
    return thread


def come(barrier: Barrier, times: int = 1) -> list[int]:
    return [barrier.wait(LONG) for _ in range(times)]


def come_and_stay(barrier: Barrier) -> None:
    barrier.wait(LONG)
    reached("passed")
    pause("for ever")


def dead(child: Child) -> None:
    child.kill()
    child.join()


# --- rounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_each_party_gets_another_index_in_every_round(spawn: Spawn) -> None:
    with Barrier.create(unique_name(), parties=4, unlink_on_close=True) as barrier:
        children = [spawn(come, barrier, 100) for _ in range(2)]
        threads = [Background(lambda: come(barrier, 100)) for _ in range(2)]
        indices = [thread.join() for thread in threads] + [child.result() for child in children]
        assert all(sorted(of_round) == [0, 1, 2, 3] for of_round in zip(*indices, strict=True))
        assert (barrier.parties, barrier.n_waiting, barrier.broken) == (4, 0, False)


def count_rounds(barrier: Barrier, counters: list[AtomicInt64], me: int, rounds: int) -> None:
    for done in range(1, rounds + 1):
        counters[me].store(done)
        barrier.wait(LONG)
        assert all(done <= counter.load() <= done + 1 for counter in counters)


@pytest.mark.slow
def test_nobody_passes_before_all_have_come(spawn: Spawn) -> None:
    with contextlib.ExitStack() as stack:
        barrier = stack.enter_context(Barrier.create(unique_name(), parties=3, unlink_on_close=True))
        counters = [stack.enter_context(AtomicInt64.create(unique_name(), unlink_on_close=True)) for _ in range(3)]
        children = [spawn(count_rounds, barrier, counters, me, 2000) for me in range(3)]
        for child in children:
            child.result()


def test_the_last_one_acts_before_anybody_passes() -> None:
    log: list[str] = []

    def act() -> None:
        log.append(f"acted, {acting.n_waiting} there")

    with Barrier.create(unique_name(), parties=3, action=act, unlink_on_close=True) as acting:

        def come_and_log() -> None:
            acting.wait(LONG)
            log.append("passed")

        threads = [Background(come_and_log) for _ in range(3)]
        for thread in threads:
            thread.join()
        assert log == ["acted, 3 there", "passed", "passed", "passed"]


def test_who_comes_while_the_last_one_acts_is_of_the_next_round() -> None:
    go = threading.Event()
    with Barrier.create(parties=2, action=lambda: go.wait(LONG)) as barrier:
        first = Background(lambda: barrier.wait(LONG))
        until(lambda: barrier.n_waiting == 1)
        last = Background(lambda: barrier.wait(LONG))
        until(lambda: barrier.n_waiting == 2)
        early = Background(lambda: barrier.wait(LONG))
        early.wait_blocked("futex")
        assert barrier.n_waiting == 2
        go.set()
        assert {first.join(), last.join()} == {0, 1}
        assert barrier.wait(LONG) + early.join() == 1


def test_an_action_that_raises_breaks_the_barrier() -> None:
    with Barrier.create(parties=2, action=lambda: 1 // 0) as barrier:
        waiter = waiting_thread(barrier)
        with pytest.raises(ZeroDivisionError):
            barrier.wait(LONG)
        with pytest.raises(BrokenBarrierError):
            waiter.join()
        assert barrier.broken


# --- what breaks it ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [0, 0.001, 0.06])
def test_time_that_is_up_breaks_it_for_all_until_it_is_reset(timeout: float) -> None:
    with Barrier.create(parties=3) as barrier:
        waiter = waiting_thread(barrier)
        with pytest.raises(BrokenBarrierError, match="time given is up"):
            barrier.wait(timeout)
        with pytest.raises(BrokenBarrierError, match="reset"):
            waiter.join()
        with pytest.raises(threading.BrokenBarrierError):
            barrier.wait()
        assert barrier.broken
        assert barrier.n_waiting == 0
        barrier.reset()
        assert not barrier.broken
        others = [waiting_thread(barrier) for _ in range(2)]
        assert barrier.wait(0) == 2
        assert sorted(other.join() for other in others) == [0, 1]


def test_abort_breaks_it_and_reset_sends_the_waiting_away(barrier: Barrier) -> None:
    waiter = waiting_thread(barrier)
    assert barrier.n_waiting == 1
    barrier.reset()
    with pytest.raises(BrokenBarrierError):
        waiter.join()
    assert not barrier.broken
    waiter = waiting_thread(barrier)
    barrier.abort()
    barrier.abort()
    with pytest.raises(BrokenBarrierError):
        waiter.join()
    with pytest.raises(BrokenBarrierError):
        barrier.wait()
    assert barrier.broken


class Handled(Exception):
    pass


def test_an_exception_in_a_wait_breaks_it(barrier: Barrier) -> None:
    def handler(*_: object) -> None:
        raise Handled

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        main = threading.main_thread().ident
        assert main is not None

        def interrupt() -> None:
            until(lambda: barrier.n_waiting)
            signal.pthread_kill(main, signal.SIGUSR1)

        sender = Background(interrupt)
        with pytest.raises(Handled):
            barrier.wait(LONG)
        sender.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert barrier.broken


def test_interrupted_wait_goes_on_for_what_remains(barrier: Barrier) -> None:
    times: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda *_: times.append(barrier.n_waiting))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        while 1 not in times:  # none comes amid a wait where we are held up until its time is up
            barrier.reset()
            with pytest.raises(BrokenBarrierError, match="time given is up"):
                barrier.wait(0.2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_close_under_a_wait_ends_it_and_breaks_the_barrier(barrier: Barrier) -> None:
    other = Barrier.open(barrier.name)
    waiter = waiting_thread(other)
    other.close()
    with pytest.raises(ClosedError):
        waiter.join()
    assert barrier.broken


# --- death ------------------------------------------------------------------------------------------------------------


def test_a_party_that_dies_waiting_breaks_it_for_the_others(spawn: Spawn) -> None:
    with Barrier.create(unique_name(), parties=3, unlink_on_close=True) as barrier:
        victim = spawn(come, barrier)
        victim.wait_blocked("futex")
        waiter = waiting_thread(barrier)
        dead(victim)
        with pytest.raises(BrokenBarrierError, match="a party died"):
            waiter.join()
        assert barrier.broken
        barrier.reset()
        others = [waiting_thread(barrier) for _ in range(2)]
        assert barrier.wait() == 2
        for other in others:
            other.join()


def test_a_party_of_the_last_round_that_dies_is_missed(barrier: Barrier, spawn: Spawn) -> None:
    victim = spawn(come_and_stay, barrier)
    barrier.wait(LONG)
    victim.wait_reached("passed")
    waiter = waiting_thread(barrier)
    dead(victim)
    with pytest.raises(BrokenBarrierError, match="a party died"):
        waiter.join()
    barrier.reset()
    waiter = waiting_thread(barrier)
    assert barrier.wait(LONG) == 1  # after a reset the dead one is not missed any more
    waiter.join()


def come_and_close(barrier: Barrier) -> None:
    barrier.wait(LONG)
    barrier.close()


def test_a_party_that_closed_its_handle_is_not_missed(barrier: Barrier, spawn: Spawn) -> None:
    gone = spawn(come_and_close, barrier)
    barrier.wait(LONG)
    gone.result()
    waiter = Background(lambda: barrier.wait(0.16))  # three slices, in which the dead would be noticed
    with pytest.raises(BrokenBarrierError, match="time given is up"):
        waiter.join()


def test_the_round_before_the_last_is_forgotten(barrier: Barrier, spawn: Spawn) -> None:
    victim = spawn(come_and_stay, barrier)
    barrier.wait(LONG)
    victim.wait_reached("passed")
    waiter = waiting_thread(barrier)
    barrier.wait()
    waiter.join()
    dead(victim)
    with pytest.raises(BrokenBarrierError, match="time given is up"):
        barrier.wait(0.11)


def test_who_is_stopped_is_alive(barrier: Barrier, spawn: Spawn) -> None:
    stopped = spawn(come_and_stay, barrier)
    barrier.wait(LONG)
    stopped.wait_reached("passed")
    stopped.send_signal(signal.SIGSTOP)
    until(lambda: "\nState:\tT" in Path(f"/proc/{stopped.pid}/status").read_text())
    with pytest.raises(BrokenBarrierError, match="time given is up"):
        barrier.wait(0.11)
    dead(stopped)


def act_and_die() -> None:
    reached("acting")
    pause("for ever")


def test_the_one_who_acts_may_die(spawn: Spawn) -> None:
    with Barrier.create(unique_name(), parties=2, action=act_and_die, unlink_on_close=True) as barrier:
        waiter = waiting_thread(barrier)
        victim = spawn(come, barrier)
        victim.wait_reached("acting")
        early = waiting_thread(barrier)
        dead(victim)
        for who in (waiter, early):
            with pytest.raises(BrokenBarrierError, match="a party died"):
                who.join()


def test_who_dies_in_the_guard_is_replaced(memory: SharedMemory) -> None:
    with Barrier.create(within=memory, parties=2) as barrier:
        waiter = waiting_thread(barrier)
        struct.pack_into("I", memory.buf, GUARD, 0x0ABCDEF)  # the id of nobody: the guard is a dead one's
        struct.pack_into("I", memory.buf, GUARD + 64 + 4, 7)  # who had not yet counted right
        assert barrier.wait(LONG) == 1
        assert waiter.join() == 0


@pytest.mark.slow
def test_parties_die_and_come_again(spawn: Spawn) -> None:
    with Barrier.create(unique_name(), parties=2, unlink_on_close=True) as barrier:
        for _ in range(4):
            victim = spawn(come, barrier, 10**9)
            for _ in range(20):
                barrier.wait(LONG)
            dead(victim)
            with pytest.raises(BrokenBarrierError, match="a party died"):
                while True:
                    barrier.wait(LONG)
            barrier.reset()


def test_a_fork_has_taken_part_in_nothing(barrier: Barrier) -> None:
    waiter = waiting_thread(barrier)
    assert in_fork(lambda: barrier.wait(LONG)) == 1
    assert waiter.join() == 0


# --- memory and arguments ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parties", [0, -1, 65537, 1.5, True, None])
def test_a_bad_number_of_parties_is_refused(parties: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="parties"):
        Barrier.create(parties=parties)


@pytest.mark.parametrize("timeout", [-1, float("nan"), True, "1"])
def test_a_bad_timeout_is_refused_before_anything_is_done(barrier: Barrier, timeout: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="timeout"):
        barrier.wait(timeout)
    assert (barrier.n_waiting, barrier.broken) == (0, False)


def test_the_action_travels_if_it_can(barrier: Barrier) -> None:
    with pickle.loads(pickle.dumps(barrier)) as copy:
        assert copy._action is None
    with Barrier.open(barrier.name, action=os.getpid) as acting, pickle.loads(pickle.dumps(acting)) as copy:
        assert copy._action is os.getpid


def test_garbage_breaks_it_and_nothing_worse(memory: SharedMemory) -> None:
    parties = (8192 - TABLE) // 64
    assert Barrier.size(parties) == 8192
    with Barrier.create(within=memory, parties=parties) as barrier:
        for pattern in (b"\xff", b"\x10", b"\x20", b"\x50", b"\x7f", b"\xa5"):
            memory.buf[TABLE - 64 : 8192] = pattern * (8192 - TABLE + 64)
            assert barrier.n_waiting <= parties
            with contextlib.suppress(BrokenBarrierError):
                barrier.wait(0.001)
            waiter = Background(lambda: barrier.wait(0.06))
            memory.buf[TABLE - 64 : 8192] = pattern * (8192 - TABLE + 64)
            with contextlib.suppress(BrokenBarrierError):
                waiter.join()
        barrier.reset()


def test_other_objects_are_refused(memory: SharedMemory, barrier: Barrier) -> None:
    with contextlib.closing(Mutex.create(within=memory)), pytest.raises(LayoutError, match="no Barrier"):
        Barrier.open(within=memory)
    with pytest.raises(LayoutError, match="no Mutex"):
        Mutex.open(barrier.name)
