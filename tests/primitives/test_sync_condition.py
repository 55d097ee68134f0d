"""sync.Condition: who is woken, who is not, whose death costs what, two kinds of mutexes, garbage."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import struct
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipckit._names import unique_name
from ipckit.errors import (
    ClosedError,
    LayoutError,
    LimitError,
    NotOwnerError,
    NotRecoverableError,
    OwnerDiedError,
    OwnerDiedWarning,
)
from ipckit.posix import SharedMemory
from ipckit.sync import AtomicInt64, Condition, Mutex
from ipckit.testing import pause, reached
from tests.contract.tools import Background, in_fork

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Child, Spawn

LONG = 20.0
SLOT, SLOTS = 64, 256  # bytes of one, and where they begin
SLEEPING, NOTIFIED = 3, 4  # states of a slot, above the 28 bits of the member id
ID = (1 << 28) - 1


@pytest.fixture
def condition() -> Iterator[Condition]:
    with contextlib.closing(Condition.create(unique_name(), unlink_on_close=True)) as made:
        yield made


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    with SharedMemory.create(size=16384, unlink_on_close=True) as made:
        yield made


def wait_and_tell(condition: Condition, timeout: float | None = LONG) -> bool:
    with condition:
        return bool(condition.wait(timeout))


def waiting_thread(condition: Condition) -> Background:
    thread = Background(lambda: wait_and_tell(condition))
    thread.wait_blocked("futex")
    return thread


def waiting_child(condition: Condition, spawn: Spawn) -> Child:
    child = spawn(wait_and_tell, condition)
    child.wait_blocked("futex")
    return child


def until(true: Any) -> None:
    while not true():
        os.sched_yield()


# --- whom a notification is for ---------------------------------------------------------------------------------------


def test_those_who_waited_longest_are_woken_first_and_nobody_else(condition: Condition) -> None:
    waiters = [waiting_thread(condition) for _ in range(5)]
    assert condition.n_waiting == 5
    done: list[int] = []
    watchers = [Background(lambda i=i, w=w: done.append(i) if w.join() else None) for i, w in enumerate(waiters)]  # type: ignore[misc]
    with condition:
        assert condition.notify() == 1
    watchers[0].join()
    assert done == [0]
    with condition:
        assert condition.notify(2) == 2
        assert condition.n_waiting == 2
    watchers[1].join(), watchers[2].join()
    assert sorted(done) == [0, 1, 2]
    with condition:
        assert condition.notify(99) == 2
        assert condition.notify_all() == condition.notify() == condition.notify(0) == 0
    for watcher in watchers:
        watcher.join()


def test_a_notification_is_not_remembered_and_not_taken_by_who_comes_later(condition: Condition) -> None:
    with condition:
        assert condition.notify_all() == 0
        assert condition.wait(0.001) is False
    first = waiting_thread(condition)
    with condition:
        assert condition.notify() == 1
        assert condition.wait(0.001) is False  # the notification is the first one's, who has not even been woken yet
    assert first.join() is True


def test_who_is_notified_as_its_time_is_up_has_been_notified(condition: Condition) -> None:
    """Whoever of the two is first decides, for both."""
    outcomes = []
    for i in range(30):
        ended: list[bool] = []
        waiter = Background(lambda i=i, ended=ended: ended.append(wait_and_tell(condition, 0.0002 + i * 2e-5)))  # type: ignore[misc]
        until(lambda ended=ended: ended or condition.n_waiting)
        with condition:
            given = condition.notify()
        waiter.join()
        outcomes.append((given == 1, ended[0]))
    assert all(given == got for given, got in outcomes)


def test_the_mutex_must_be_held_by_the_thread_itself(condition: Condition) -> None:
    calls = {
        "wait": condition.wait,
        "wait(0)": lambda: condition.wait(0),
        "wait_for": lambda: condition.wait_for(lambda: True),
        "notify": condition.notify,
        "notify_all": condition.notify_all,
        "release": condition.release,
    }
    for call in calls.values():
        with pytest.raises(NotOwnerError, match="does not hold"):
            call()

    def all_refused() -> int:
        refused = 0
        for call in calls.values():
            try:
                call()
            except RuntimeError:
                refused += 1
        return refused

    with condition:
        assert Background(all_refused).join() == len(calls)
        assert not condition.wait(timeout=0)


@pytest.mark.parametrize("n", [-1, 1 << 32, 1.5, "1", None])
def test_a_bad_number_to_notify_is_refused(condition: Condition, n: Any) -> None:
    with condition, pytest.raises((ValueError, TypeError), match="n must be"):
        condition.notify(n)


def test_a_full_table_is_a_limit_that_says_what_to_do() -> None:
    with contextlib.closing(Condition.create(waiters=2)) as condition:
        waiters = [waiting_thread(condition) for _ in range(2)]
        with condition:
            with pytest.raises(LimitError, match="2 wait already: create it with more waiters"):
                condition.wait()
            assert condition.locked()
            condition.notify_all()
        assert [waiter.join() for waiter in waiters] == [True, True]
        assert condition.waiters == 2


def test_slots_of_the_dead_are_free_for_others(spawn: Spawn) -> None:
    with contextlib.closing(Condition.create(unique_name(), waiters=1, unlink_on_close=True)) as condition:
        victim = waiting_child(condition, spawn)
        victim.kill()
        victim.join()
        assert condition.n_waiting == 1
        assert wait_and_tell(condition, 0.001) is False
        assert condition.n_waiting == 0


def test_wait_for_looks_at_the_predicate_with_the_mutex_held(condition: Condition) -> None:
    seen: list[bool] = []

    def predicate() -> int:
        owner = condition.owner()
        assert owner is not None
        seen.append(owner.thread == threading.get_native_id())
        return 7 if len(seen) >= 3 else 0

    def wait() -> int:
        with condition:
            return condition.wait_for(predicate, LONG)

    waiter = Background(wait)
    for times in (1, 2):
        until(lambda: condition.n_waiting)
        with condition:
            assert len(seen) == times
            condition.notify()
    assert waiter.join() == 7
    assert seen == [True] * 3
    with condition:
        began = time.monotonic()
        assert condition.wait_for(lambda: None, 0.01) is None
        assert time.monotonic() - began >= 0.01


# --- the mutex --------------------------------------------------------------------------------------------------------


def test_a_recursive_mutex_is_given_back_fully_and_restored() -> None:
    with contextlib.closing(Condition.create(recursive=True)) as condition:

        def notify() -> None:
            until(lambda: condition.n_waiting)
            with condition:
                condition.notify()

        notifier = Background(notify)
        for _ in range(3):
            condition.acquire()
        assert condition.wait(LONG)
        notifier.join()
        owner = condition.owner()
        assert owner is not None
        assert owner.depth == 3
        assert not condition.wait(0.001)
        for _ in range(3):
            condition.release()
        assert not condition.locked()


def test_a_given_mutex_is_the_one_that_is_held_and_must_be_the_same_everywhere(memory: SharedMemory) -> None:
    with contextlib.ExitStack() as stack:
        mutex, other = (stack.enter_context(contextlib.closing(Mutex.create())) for _ in range(2))
        condition = stack.enter_context(contextlib.closing(Condition.create(within=memory, offset=64, mutex=mutex)))
        assert condition.mutex is mutex
        with mutex:
            assert condition.wait(0.001) is False
            assert condition.notify() == 0
        with condition:
            assert mutex.locked()
        again = stack.enter_context(contextlib.closing(Condition.open(within=memory, offset=64, mutex=mutex)))
        waiter = waiting_thread(again)
        with mutex:
            assert condition.notify() == 1
        assert waiter.join()
        with pytest.raises(ValueError, match="another one"):
            Condition.open(within=memory, offset=64, mutex=other)
        with pytest.raises(ValueError, match="must be given"):
            Condition.open(within=memory, offset=64)
        with pytest.raises(ValueError, match="on_owner_death"):
            Condition.open(within=memory, offset=64, mutex=mutex, on_owner_death="raise")
        with pytest.raises(ValueError, match="recursive"):
            Condition.create(mutex=mutex, recursive=True)
        with pytest.raises(TypeError, match="Mutex"):
            Condition.create(mutex=threading.Lock())  # type: ignore[arg-type]
        condition.close()
        assert not mutex.closed


def test_a_condition_with_its_own_mutex_takes_no_other(condition: Condition) -> None:
    assert condition.mutex is None
    with contextlib.closing(Mutex.create()) as mutex, pytest.raises(ValueError, match="of its own"):
        Condition.open(condition.name, mutex=mutex)


def test_a_pickle_takes_the_mutex_along(spawn: Spawn) -> None:
    with contextlib.ExitStack() as stack:
        mutex = stack.enter_context(contextlib.closing(Mutex.create(unique_name(), unlink_on_close=True)))
        condition = Condition.create(unique_name(), mutex=mutex, unlink_on_close=True)
        stack.enter_context(contextlib.closing(condition))
        copy = pickle.loads(pickle.dumps(condition))
        assert copy.mutex._identity() == mutex._identity()
        copy.close()
        copy.mutex.close()
        child = waiting_child(condition, spawn)
        with mutex:
            assert condition.notify() == 1
        assert child.result() is True


@pytest.mark.parametrize("waiters", [0, 65537, -1, 1.5, True])
def test_a_bad_number_of_waiters_is_refused(waiters: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="waiters"):
        Condition.create(waiters=waiters)


# --- death ------------------------------------------------------------------------------------------------------------


def test_a_dead_waiter_takes_no_notification(condition: Condition, spawn: Spawn) -> None:
    victim = waiting_child(condition, spawn)
    survivor = waiting_thread(condition)
    victim.kill()
    victim.join()
    with condition:
        assert condition.notify() == 1
    assert survivor.join()


def test_who_dies_notified_leaves_it_to_the_oldest_who_lives(condition: Condition, spawn: Spawn) -> None:
    victim = waiting_child(condition, spawn)
    survivors = [waiting_thread(condition) for _ in range(2)]
    victim.send_signal(signal.SIGSTOP)  # so that it does not see that it was notified
    wait_stopped(victim)
    with condition:
        assert condition.notify() == 1
    assert condition.n_waiting == 2
    victim.kill()
    victim.join()
    assert survivors[0].join()
    with condition:
        assert condition.notify() == 1
    assert survivors[1].join()


def wait_stopped(child: Child) -> None:
    until(lambda: "\nState:\tT" in Path(f"/proc/{child.pid}/status").read_text())


def test_who_is_stopped_keeps_its_notification(condition: Condition, spawn: Spawn) -> None:
    stopped = waiting_child(condition, spawn)
    other = waiting_thread(condition)
    stopped.send_signal(signal.SIGSTOP)
    wait_stopped(stopped)
    with condition:
        assert condition.notify() == 1
    assert wait_and_tell(condition, 0.12) is False  # two slices: time enough to rob
    assert condition.n_waiting == 1
    stopped.send_signal(signal.SIGCONT)
    assert stopped.result() is True
    with condition:
        assert condition.notify() == 1
    assert other.join()


def test_a_notifier_that_dies_before_it_wakes_costs_a_slice(memory: SharedMemory) -> None:
    with contextlib.closing(Condition.create(within=memory)) as condition:
        waiter = waiting_thread(condition)
        (word,) = struct.unpack_from("I", memory.buf, SLOTS)
        assert word >> 28 == SLEEPING
        struct.pack_into("I", memory.buf, SLOTS, NOTIFIED << 28 | (word & ID))  # as it would have left it
        assert waiter.join()


def notify_and_stay(condition: Condition) -> None:
    condition.acquire()
    condition.notify_all()
    reached("notified")
    pause("for ever")


@pytest.mark.parametrize("policy", ["report", "raise", "recover"])
def test_a_notifier_that_dies_with_the_mutex_is_told_to_the_waiter(policy: Any, spawn: Spawn) -> None:
    made = Condition.create(unique_name(), on_owner_death=policy, unlink_on_close=True)
    with contextlib.closing(made) as condition:
        outcome: list[Any] = []

        def wait() -> None:
            condition.acquire()
            if policy == "raise":
                with pytest.raises(OwnerDiedError, match="mark_consistent"):
                    condition.wait(LONG)
            elif policy == "recover":
                with pytest.warns(OwnerDiedWarning):
                    outcome.append(condition.wait(LONG))
            else:
                outcome.append(condition.wait(LONG))
            assert condition.locked()
            condition.mark_consistent()
            condition.release()

        waiter = Background(wait)
        waiter.wait_blocked("futex")
        victim = spawn(notify_and_stay, condition)
        victim.wait_reached("notified")
        victim.kill()
        victim.join()
        waiter.join()
        assert [(bool(got), got.notified, got.owner_died) for got in outcome] == [(True, True, True)] * (
            policy != "raise"
        )
        assert condition.acquire(timeout=0)
        condition.release()


def hold(condition: Condition) -> None:
    reached("here")
    pause("go")
    condition.acquire()
    reached("held")
    pause("for ever")


def holder_of(condition: Condition, spawn: Spawn) -> Child:
    child = spawn(hold, condition)
    child.resume("go")
    child.wait_reached("held")
    return child


def test_wait_for_has_no_result_for_a_death_and_raises(condition: Condition, spawn: Spawn) -> None:
    def wait() -> None:
        condition.acquire()
        with pytest.raises(OwnerDiedError):
            condition.wait_for(lambda: False)
        condition.mark_consistent()
        condition.release()

    waiter = Background(wait)
    waiter.wait_blocked("futex")
    victim = spawn(notify_and_stay, condition)
    victim.wait_reached("notified")
    victim.kill()
    victim.join()
    waiter.join()


@pytest.mark.slow
def test_who_gives_up_and_inherits_is_told_both(condition: Condition, spawn: Spawn) -> None:
    def wait() -> Any:
        condition.acquire()
        got = condition.wait(1.0)
        if got.owner_died:
            condition.mark_consistent()
        condition.release()
        return got

    while True:
        victim = spawn(hold, condition)
        victim.wait_reached("here")
        waiter = Background(wait)
        until(lambda: condition.n_waiting)
        victim.resume("go")
        victim.wait_reached("held")
        victim.kill()
        victim.join()
        got = waiter.join()
        assert not got
        if got.owner_died:
            assert repr(got) == "Waited(notified=False, owner_died=True)"
            return
        with condition:  # it had given up before the victim came
            condition.mark_consistent()


def test_who_waits_for_a_mutex_that_is_lost_is_told(condition: Condition, spawn: Spawn) -> None:
    """Nobody can hold it any more, and so nobody notify."""
    waiter = Background(lambda: (condition.acquire(), condition.wait()))
    waiter.wait_blocked("futex")
    victim = holder_of(condition, spawn)
    victim.kill()
    victim.join()
    got = condition.acquire()
    assert got
    assert got.owner_died
    condition.release()  # and nobody has put right what the dead one left
    with pytest.raises(NotRecoverableError):
        waiter.join()
    assert condition.n_waiting == 0


# --- ends of a wait ---------------------------------------------------------------------------------------------------


class Handled(Exception):
    pass


def test_an_exception_ends_the_wait_with_the_mutex_held_and_no_slot_taken(condition: Condition) -> None:
    def handler(*_: object) -> None:
        raise Handled

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        main = threading.main_thread().ident
        assert main is not None

        def interrupt() -> None:
            until(lambda: condition.n_waiting)
            signal.pthread_kill(main, signal.SIGUSR1)

        sender = Background(interrupt)
        with condition:
            with pytest.raises(Handled):
                condition.wait(LONG)
            owner = condition.owner()
            assert owner is not None
            assert owner.thread == threading.get_native_id()
            assert condition.n_waiting == 0
        sender.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert wait_and_tell(condition, 0.001) is False


@pytest.mark.parametrize("own", [True, False])
def test_close_ends_a_wait_and_a_given_mutex_is_had_back(own: bool) -> None:
    with contextlib.closing(Mutex.create()) as mutex:
        condition = Condition.create(mutex=None if own else mutex)
        held = []

        def wait() -> None:
            condition.acquire()
            try:
                condition.wait()
            finally:
                held.append(mutex.locked())
                if not own:
                    mutex.release()

        waiter = Background(wait)
        waiter.wait_blocked("futex")
        condition.close()
        with pytest.raises(ClosedError):
            waiter.join()
        assert held == [not own]
        assert not mutex.closed


def test_a_fork_of_a_waiter_waits_for_nothing(condition: Condition) -> None:
    waiter = waiting_thread(condition)

    def notify() -> int:
        with condition:
            return condition.notify()

    assert in_fork(notify) == 1
    assert waiter.join() is True


# --- many -------------------------------------------------------------------------------------------------------------


def exchange(condition: Condition, room: AtomicInt64, kind: str, turns: int) -> None:
    """A bounded buffer of one place, without its content: producers add, consumers take."""
    for _ in range(turns):
        with condition:
            while room.load() == (1 if kind == "producer" else 0):
                assert condition.wait(LONG)
            room.add(1 if kind == "producer" else -1)
            condition.notify_all()


@pytest.mark.slow
def test_many_processes_and_threads_lose_no_notification(condition: Condition, spawn: Spawn) -> None:
    with contextlib.closing(AtomicInt64.create(unique_name(), unlink_on_close=True)) as room:
        children = [spawn(exchange, condition, room, kind, 300) for kind in ("producer", "consumer") * 2]
        threads = [
            Background(lambda kind=kind: exchange(condition, room, kind, 300))  # type: ignore[misc]
            for kind in ("producer", "consumer")
        ]
        for runner in threads:
            runner.join()
        for child in children:
            child.result()
        assert room.load() == 0
        assert condition.n_waiting == 0


def wait_for_ever(condition: Condition, woken: AtomicInt64) -> None:
    while True:
        with condition as got:
            if got.owner_died:
                condition.mark_consistent()
            heard = condition.wait()
            if heard and heard.owner_died:  # the one that was woken before us was killed as it took the mutex
                condition.mark_consistent()
            woken.add(1)


@pytest.mark.slow
def test_killed_waiters_and_notifiers_stop_nobody(condition: Condition, spawn: Spawn) -> None:
    with contextlib.closing(AtomicInt64.create(unique_name(), unlink_on_close=True)) as woken:
        for _ in range(3):
            children = [spawn(wait_for_ever, condition, woken) for _ in range(3)]
            for child in children:
                child.wait_blocked("futex")
            for victim in children[:2]:
                victim.kill()
                with contextlib.ExitStack() as stack:
                    if (got := condition.acquire()) and got.owner_died:
                        condition.mark_consistent()
                    stack.callback(condition.release)
                    condition.notify_all()
                victim.join()
            before = woken.load()
            until(lambda: _notified(condition) or woken.load() > before)  # noqa: B023
            until(lambda: woken.load() > before)  # noqa: B023
            children[2].kill()
            children[2].join()


def _notified(condition: Condition) -> int:
    got = condition.acquire()
    assert got
    if got.owner_died:
        condition.mark_consistent()
    given = condition.notify()
    condition.release()
    return given


# --- memory and garbage -----------------------------------------------------------------------------------------------


def test_size_is_what_it_takes(memory: SharedMemory) -> None:
    assert Condition.size(1) == SLOTS + SLOT
    with pytest.raises(ValueError, match="within must have"):
        Condition.create(within=memory, waiters=1000)
    waiters = (16384 - SLOTS) // SLOT
    assert Condition.size(waiters) == 16384
    with contextlib.closing(Condition.create(within=memory, waiters=waiters)) as condition:
        assert wait_and_tell(condition, 0.001) is False


def test_garbage_in_the_slots_is_an_end_of_the_wait_and_nothing_worse(memory: SharedMemory) -> None:
    with contextlib.closing(Condition.create(within=memory, waiters=4)) as condition:
        end = Condition.size(4)
        for pattern in (b"\xff", b"\x00", b"\x40", b"\x31", b"\x7f", b"\xa5"):
            memory.buf[192:end] = pattern * (end - 192)
            assert condition.n_waiting <= 4
            with condition:
                condition.notify()
                condition.notify_all()
                with contextlib.suppress(LimitError):
                    condition.wait(0.001)
            waiter = Background(lambda: wait_and_tell(condition, 0.06))
            memory.buf[192:end] = pattern * (end - 192)
            with contextlib.suppress(LimitError):
                waiter.join()


def test_other_objects_and_a_broken_mutex_are_refused(memory: SharedMemory, condition: Condition) -> None:
    with contextlib.closing(Mutex.create(within=memory)), pytest.raises(LayoutError, match="no Condition"):
        Condition.open(within=memory)
    with pytest.raises(LayoutError, match="no Mutex"):
        Mutex.open(condition.name)
    with contextlib.closing(Condition.create(within=memory, offset=128)):
        memory.buf[128 + 64 : 128 + 72] = b"\xff" * 8
        with pytest.raises(LayoutError, match="Mutex"):
            Condition.open(within=memory, offset=128)


def test_a_named_condition_of_a_given_mutex_is_unlinked_by_close() -> None:
    name = unique_name()
    with contextlib.closing(Mutex.create()) as mutex:
        Condition.create(name, mutex=mutex, unlink_on_close=True).close()
        assert not os.path.exists(f"/dev/shm/ipckit.{name[1:]}")
