"""sync.Event: both kinds, many waiters, many events, signal handlers, deaths, memory of the user's, garbage."""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.errors import AlreadyExistsError, ClosedError, LayoutError, NotFoundError
from ipckit.posix import SharedMemory
from ipckit.sync import Event, Mutex
from ipckit.sync import _event_lane as lanes
from ipckit.testing import reached, wait_blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.testing import Child, Spawn

WORD = 64  # of an event, from the beginning of the object
LONG = 20.0
PROMISED = 0.1  # seconds within which a death is made up for, as the documents say
SCHEDULED = 10.0  # more, for a machine that is busy

both = pytest.mark.parametrize("auto", [False, True], ids=["manual", "auto"])


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    with SharedMemory.create(size=1 << 16, unlink_on_close=True) as made:
        yield made


@pytest.fixture
def events(memory: SharedMemory) -> Iterator[Callable[..., list[Event]]]:
    """Make some events, each at its place of one memory."""
    made: list[Event] = []

    def make(count: int, *, auto: bool = False) -> list[Event]:
        first = len(made)
        for index in range(first, first + count):
            made.append(Event.create(within=memory, offset=index * Event.SIZE, auto_reset=auto))
            made[-1].set_spin(0)  # children are waited for until they sleep
        return made[first:]

    yield make
    for event in made:
        event.close()


# --- one event ------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("lane", ["compiled", "cffi"])
def test_set_clear_and_wait(
    auto: bool, lane: str, events: Callable[..., list[Event]], monkeypatch: pytest.MonkeyPatch
) -> None:
    if lane == "cffi":
        monkeypatch.setattr("ipckit.sync.event.lane_of", lanes.CffiLane)
    (event,) = events(1, auto=auto)
    assert isinstance(event._lane, lanes.CffiLane) == (lane == "cffi")
    assert event.auto_reset is auto
    assert not event.is_set()
    assert event.wait(timeout=0) is False
    assert event.wait(timeout=0.001) is False
    for _ in range(2):
        event.set()  # twice is once
        event.set()
        assert event.is_set() is True
        assert event.wait() is True
        assert event.is_set() is not auto
        assert event.wait(timeout=0) is not auto
        event.set()
        event.clear()
        assert not event.is_set()
        assert event.wait(timeout=0) is False


def wait_and_tell(event: Event, timeout: float) -> bool:
    reached("ready")
    return event.wait(timeout)


def start_waiters(spawn: Spawn, event: Event, count: int) -> list[Child]:
    children = [spawn(wait_and_tell, event, LONG) for _ in range(count)]
    for child in children:
        child.wait_blocked("futex")
    return children


def test_a_set_releases_all_though_a_clear_follows_at_once(events: Callable[..., list[Event]], spawn: Spawn) -> None:
    (event,) = events(1)
    children = start_waiters(spawn, event, 3)
    event.set()
    event.clear()
    assert [child.result() for child in children] == [True] * 3
    assert event.wait(timeout=0) is False


def test_each_set_of_an_auto_reset_event_releases_one(events: Callable[..., list[Event]], spawn: Spawn) -> None:
    (event,) = events(1, auto=True)
    children = start_waiters(spawn, event, 3)
    for left in (2, 1, 0):
        event.set()
        deadline = time.monotonic() + LONG
        while sum(child.running for child in children) > left and time.monotonic() < deadline:
            os.sched_yield()
        assert sum(child.running for child in children) == left
        assert not event.is_set()
    assert [child.result() for child in children] == [True] * 3


def consume(event: Event, answer: Event, stop: Event) -> int:
    consumed = 0
    while True:
        event.wait()
        if stop.is_set():
            event.set()  # for the next one
            return consumed
        consumed += 1
        answer.set()


def test_no_set_is_lost_and_none_counts_twice(events: Callable[..., list[Event]], spawn: Spawn) -> None:
    event, answer = events(2, auto=True)
    (stop,) = events(1)
    children = [spawn(consume, event, answer, stop) for _ in range(2)]
    counts = [0, 0]

    def here(index: int) -> None:
        counts[index] = consume(event, answer, stop)

    threads = [threading.Thread(target=here, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(1000):
        event.set()
        assert answer.wait(LONG)
    stop.set()
    event.set()
    for thread in threads:
        thread.join()
    assert sum(child.result() for child in children) + sum(counts) == 1000


def test_a_waiter_sees_what_was_done_before_the_set(memory: SharedMemory, spawn: Spawn) -> None:
    with contextlib.closing(Event.create(auto_reset=True)) as asked, contextlib.closing(Event.create()) as answered:
        child = spawn(copy_when_asked, memory, asked, answered)
        struct.pack_into("Q", memory.buf, 0, 12345)
        asked.set()
        assert answered.wait(LONG)
        assert struct.unpack_from("Q", memory.buf, 8) == (12345,)
        assert child.join() == 0


def copy_when_asked(memory: SharedMemory, asked: Event, answered: Event) -> None:
    asked.wait(LONG)
    memory.buf[8:16] = memory.buf[0:8]
    answered.set()


# --- deaths, stops, signals ---------------------------------------------------------------------------------------


@both
def test_a_killed_waiter_costs_nobody_anything(auto: bool, events: Callable[..., list[Event]], spawn: Spawn) -> None:
    (event,) = events(1, auto=auto)
    dead, alive = start_waiters(spawn, event, 2)
    dead.kill()
    dead.join()
    began = time.monotonic()
    event.set()
    assert alive.result() is True
    assert time.monotonic() - began < PROMISED + SCHEDULED
    event.set()
    assert event.wait(timeout=0)


def test_a_set_whose_setter_died_before_its_wake_up_is_found(
    memory: SharedMemory, events: Callable[..., list[Event]], spawn: Spawn
) -> None:
    (event,) = events(1, auto=True)
    (child,) = start_waiters(spawn, event, 1)
    struct.pack_into("I", memory.buf, WORD, 1)  # as such a setter leaves it
    assert child.result() is True


def test_an_auto_reset_event_that_a_killed_process_had_not_consumed_is_there_for_others(
    events: Callable[..., list[Event]], spawn: Spawn
) -> None:
    (event,) = events(1, auto=True)
    stopped, other = start_waiters(spawn, event, 2)
    for child in (stopped, other):
        child.send_signal(signal.SIGSTOP)
        assert os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    event.set()
    stopped.kill()
    stopped.join()
    other.send_signal(signal.SIGCONT)
    assert other.result() is True
    assert not event.is_set()


@both
def test_a_signal_handler_may_set_what_the_interrupted_wait_is_after(
    auto: bool, events: Callable[..., list[Event]]
) -> None:
    (event,) = events(1, auto=auto)
    calls = 0

    def handler(*_: object) -> None:
        nonlocal calls
        calls += 1
        event.set()
        event.is_set()

    main = threading.main_thread().ident
    assert main is not None
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        for _ in range(5):
            sender = threading.Thread(target=interrupt_when_blocked, args=(main,))
            sender.start()
            assert event.wait(LONG)
            sender.join()
            event.clear()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert calls == 5


def interrupt_when_blocked(thread: int) -> None:
    wait_blocked(os.getpid(), "futex", "futex_waitv")
    signal.pthread_kill(thread, signal.SIGUSR1)


def test_a_handler_that_sets_at_any_moment_loses_nothing(events: Callable[..., list[Event]]) -> None:
    """The timer fires anywhere in the loop: between two lines, in the core, in the kernel."""
    (event,) = events(1, auto=True)
    event.set_spin(40e-6)
    fired = 0

    def handler(*_: object) -> None:
        nonlocal fired
        fired += 1
        event.set()

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
    try:
        for _ in range(200):
            assert event.wait(LONG)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert fired >= 200


class Raised(Exception):
    pass


@pytest.mark.parametrize("lane", ["compiled", "cffi"])
def test_a_wait_that_ends_with_an_exception_has_consumed_nothing(
    lane: str, events: Callable[..., list[Event]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler sets and raises: whether or not the wait got it first, the event is set afterwards."""
    if lane == "cffi":
        monkeypatch.setattr("ipckit.sync.event.lane_of", lanes.CffiLane)
    (event,) = events(1, auto=True)
    within_the_wait = False
    ended: list[bool] = []
    main = threading.main_thread().ident
    assert main is not None

    def handler(*_: object) -> None:
        nonlocal within_the_wait
        within_the_wait = not ended
        raise Raised

    def set_and_interrupt() -> None:
        wait_blocked(os.getpid(), "futex")
        event.set()
        signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        for _ in range(10):
            sender = threading.Thread(target=set_and_interrupt)
            ended.clear()
            try:
                sender.start()
                ended.extend(map(event.wait, [LONG]))  # no handler between the one and the other
                sender.join()
            except Raised:
                sender.join()
                assert event.is_set() == within_the_wait  # or else in join(): then the wait has ended well
            else:
                assert ended == [True]  # it was quicker than the signal
            event.clear()
    finally:
        signal.signal(signal.SIGUSR1, before)


# --- several events ---------------------------------------------------------------------------------------------------


def test_any_returns_those_that_are_set_and_consumes_them(events: Callable[..., list[Event]]) -> None:
    first, second = events(2, auto=True)
    manual, other = events(2)
    every = [first, manual, second, other]
    assert Event.wait_any(every, timeout=0) == []
    assert Event.wait_any(every, timeout=0.001) == []
    second.set()
    manual.set()
    assert Event.wait_any(every) == [manual, second]
    assert not second.is_set()
    assert manual.is_set()
    assert Event.wait_any((first, manual), timeout=0) == [manual]
    assert Event.wait_any([manual, manual]) == [manual, manual]


def test_all_takes_all_or_none(events: Callable[..., list[Event]]) -> None:
    first, second = events(2, auto=True)
    (manual,) = events(1)
    every = [first, manual, second]
    first.set()
    manual.set()
    assert Event.wait_all(every, timeout=0) is False
    assert Event.wait_all(every, timeout=0.001) is False
    assert first.is_set()
    second.set()
    assert Event.wait_all(every) is True
    assert not first.is_set()
    assert not second.is_set()
    assert manual.is_set()


@pytest.mark.parametrize("function", [Event.wait_any, Event.wait_all])
def test_bad_lists_and_closed_events(function: Callable[..., Any], events: Callable[..., list[Event]]) -> None:
    first, second = events(2, auto=True)
    wrongs: list[Any] = [[1], first, (event for event in ())]
    for wrong in wrongs:
        with pytest.raises(TypeError, match="events must be a list of Events"):
            function(wrong, timeout=0)
    with pytest.raises(ValueError, match="at least one"):
        function([])
    with pytest.raises(ValueError, match="timeout"):
        function([first], timeout=-1)
    with pytest.raises(TypeError, match="timeout"):
        function([first], timeout=True)
    closed = Event.create()
    closed.close()
    with pytest.raises(ClosedError):
        function([first, closed])
    first.set()
    second.set()
    if function is Event.wait_all:
        with pytest.raises(ValueError, match="twice"):
            function([first, second, first])
    assert first.is_set()
    assert second.is_set()


def wait_for_any(events: list[Event]) -> list[int]:
    found = Event.wait_any(events, LONG)
    return [index for index, event in enumerate(events) if event in found]


def wait_for_all(events: list[Event]) -> bool:
    return Event.wait_all(events, LONG)


@pytest.mark.parametrize("count", [1, 3, 128, 200])
def test_any_of_few_and_many_wakes_for_one(count: int, events: Callable[..., list[Event]], spawn: Spawn) -> None:
    every = events(count, auto=True)
    child = spawn(wait_for_any, every)
    child.wait_blocked("futex_waitv", "futex")
    every[-1].set()
    assert child.result() == [count - 1]
    assert not every[-1].is_set()


@pytest.mark.parametrize("count", [2, 200])
def test_all_of_few_and_many_wakes_for_the_last(count: int, events: Callable[..., list[Event]], spawn: Spawn) -> None:
    every = events(count, auto=True)
    child = spawn(wait_for_all, every)
    for event in every[1:]:
        event.set()
    child.wait_blocked("futex_waitv", "futex")
    every[0].set()
    assert child.result() is True
    assert not any(event.is_set() for event in every)


def test_a_handler_may_set_what_the_wait_for_many_is_after(events: Callable[..., list[Event]]) -> None:
    every = events(3, auto=True)
    main = threading.main_thread().ident
    assert main is not None

    def handler(*_: object) -> None:
        for event in every:
            event.set()

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        for function in (Event.wait_any, Event.wait_all):
            sender = threading.Thread(target=interrupt_when_blocked, args=(main,))
            sender.start()
            assert function(every, LONG)
            sender.join()
            for event in every:
                event.clear()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_wait_for_many_that_ends_with_an_exception_has_consumed_nothing(events: Callable[..., list[Event]]) -> None:
    every = events(2, auto=True)
    main = threading.main_thread().ident
    assert main is not None

    def handler(*_: object) -> None:
        every[1].set()
        raise Raised

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        sender = threading.Thread(target=interrupt_when_blocked, args=(main,))
        sender.start()
        with pytest.raises(Raised):
            Event.wait_any(every, LONG)
        sender.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert every[1].is_set()


@pytest.mark.parametrize("function", [Event.wait_any, Event.wait_all])
def test_closing_one_of_them_ends_the_wait(function: Callable[..., Any], events: Callable[..., list[Event]]) -> None:
    every = events(3)

    def close_one() -> None:
        wait_blocked(os.getpid(), "futex_waitv", "futex")
        every[1].close()

    closer = threading.Thread(target=close_one)
    closer.start()
    with pytest.raises(ClosedError):
        function(every, LONG)
    closer.join()


def test_two_that_want_all_never_have_half_each(events: Callable[..., list[Event]], spawn: Spawn) -> None:
    every = events(2, auto=True)
    (answer,) = events(1, auto=True)
    children = [spawn(take_all_and_answer, order, answer, 100) for order in (every, every[::-1])]
    for _ in range(200):
        every[0].set()
        every[1].set()
        assert answer.wait(LONG)
    assert [child.join() for child in children] == [0, 0]
    assert not any(event.is_set() for event in every)


def take_all_and_answer(events: list[Event], answer: Event, times: int) -> None:
    for _ in range(times):
        assert Event.wait_all(events, LONG)
        answer.set()


# --- where it lives ---------------------------------------------------------------------------------------------------


def test_a_mapping_of_no_file_is_inherited_by_a_fork() -> None:
    with mmap.mmap(-1, 4096) as mapping, contextlib.closing(Event.create(within=mapping, offset=1024)) as event:
        if (pid := os.fork()) == 0:
            os._exit(not event.wait(LONG))
        event.set()
        assert os.waitpid(pid, 0)[1] == 0


def test_garbage_and_other_objects_are_refused(memory: SharedMemory) -> None:
    with pytest.raises(NotFoundError):
        Event.open(within=memory)
    with contextlib.closing(Mutex.create(within=memory)):
        with pytest.raises(LayoutError, match="no Event"):
            Event.open(within=memory)
        with pytest.raises(AlreadyExistsError):
            Event.create(within=memory)
    memory.buf[512:576] = os.urandom(64)
    with pytest.raises(LayoutError):
        Event.open(within=memory, offset=512)
    with pytest.raises(LayoutError):
        Event.create(within=memory, offset=512)
    with pytest.raises(ValueError, match="offset"):
        Event.create(within=memory, offset=32)


@both
def test_any_word_is_survived(auto: bool, memory: SharedMemory, events: Callable[..., list[Event]]) -> None:
    (event,) = events(1, auto=auto)
    for word in (0, 1, 2, 1 << 31, (1 << 31) | 1, (1 << 32) - 1, (1 << 32) - 2, 0x12345678):
        struct.pack_into("I", memory.buf, WORD, word)
        assert event.is_set() == bool(word & 1)
        assert event.wait(timeout=0.001) == bool(word & 1)
        event.set()
        assert event.wait(timeout=0)
        event.clear()
        assert not event.wait(timeout=0)
