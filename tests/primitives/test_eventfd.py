"""eventfd: counting, semaphores, limits, sharing, readiness."""

from __future__ import annotations

import errno
import os
import resource
import select
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import ClosedError, LimitError, SyscallError, TimeoutExpired
from ipckit.eventfd import MAXIMUM, EventFd
from ipckit.testing import wait_blocked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

SLEEP = ("clock_nanosleep", "select")  # what time.sleep calls; the second is Python 3.10's


@pytest.fixture
def event() -> Iterator[EventFd]:
    with EventFd.create() as made:
        yield made


def read_until_interrupted(event: EventFd) -> bool:
    with event:
        try:
            event.read()
        except KeyboardInterrupt:
            return True
    return False


def read_with_handler(event: EventFd, timeout: float) -> float:
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)  # a wait that began anew each time would never end
    started = time.monotonic()
    with event, pytest.raises(TimeoutExpired):
        event.read(timeout)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return time.monotonic() - started


def test_reading_takes_all(event: EventFd) -> None:
    event.write(5)
    event.write()
    assert event.value == 6
    assert event.read() == 6
    assert event.value == 0
    assert event.try_read() is None
    for timeout in (0, 0.01):
        with pytest.raises(TimeoutExpired):
            event.read(timeout)


def test_a_semaphore_gives_one_at_a_time() -> None:
    with EventFd.create(3, semaphore=True) as event:
        assert event.semaphore
        assert [event.read(), event.try_read(), event.read(0), event.try_read()] == [1, 1, 1, None]


def test_the_counter_ends_at_its_maximum(event: EventFd) -> None:
    event.write(MAXIMUM)
    assert event.value == MAXIMUM == 2**64 - 2
    assert event.try_write() is False
    poller = select.poll()
    poller.register(event, select.POLLIN | select.POLLOUT)
    assert poller.poll(0) == [(event.fileno(), select.POLLIN)]
    for n in (1, 2):
        with pytest.raises(TimeoutExpired):
            event.write(n, timeout=0)
        with pytest.raises(TimeoutExpired):
            event.write(n, timeout=0.02)
    assert event.read() == MAXIMUM
    assert event.try_write(MAXIMUM) is True


@pytest.mark.parametrize("n", [-1, 2**64 - 1, 2**64, 1 << 100])
def test_additions_beyond_the_limit_name_it(event: EventFd, n: int) -> None:
    for call in (event.write, event.try_write):
        with pytest.raises(ValueError, match=str(MAXIMUM)):
            call(n)
    assert event.value == 0


@pytest.mark.parametrize("n", ["1", 1.5, None])
def test_additions_of_a_wrong_type(event: EventFd, n: object) -> None:
    with pytest.raises(TypeError):
        event.write(n)  # type: ignore[arg-type]


@pytest.mark.parametrize("initial", [-1, 2**32])
def test_initial_values_beyond_the_limit_name_it(initial: int) -> None:
    with pytest.raises(ValueError, match="4294967295"):
        EventFd.create(initial)


@pytest.mark.parametrize("initial", ["1", 1.0, None, True])
def test_initial_values_of_a_wrong_type(initial: object) -> None:
    with pytest.raises(TypeError, match="initial must be an int"):
        EventFd.create(initial)  # type: ignore[arg-type]


def test_the_kernel_itself_refuses_what_the_counter_can_not_take(event: EventFd) -> None:
    for refused in (
        lambda fd: os.read(fd, 7),
        lambda fd: os.write(fd, b"1234567"),
        lambda fd: os.write(fd, b"\xff" * 8),
    ):
        with pytest.raises(OSError, match="Invalid argument"):
            refused(event.fileno())
    event.write(MAXIMUM - 1)
    poller = select.poll()
    poller.register(event, select.POLLIN | select.POLLOUT)
    assert poller.poll(0) == [(event.fileno(), select.POLLIN | select.POLLOUT)]
    assert event.try_write(2) is False
    assert event.try_write(1) is True


def test_the_largest_initial_value() -> None:
    with EventFd.create(2**32 - 1) as event:
        assert event.read() == 2**32 - 1


@pytest.mark.parametrize("bad", [-1, float("nan"), True])
def test_bad_timeouts_are_refused_before_anything_happens(event: EventFd, bad: float) -> None:
    with pytest.raises((ValueError, TypeError), match="timeout"):
        event.write(1, bad)
    assert event.value == 0
    event.write()
    with pytest.raises((ValueError, TypeError), match="timeout"):
        event.read(bad)
    assert event.value == 1


def test_an_addition_of_nothing_changes_nothing(event: EventFd) -> None:
    event.write(0)
    assert event.try_read() is None


def test_a_write_that_poll_calls_possible_waits_for_enough_room(event: EventFd) -> None:
    event.write(MAXIMUM - 1)  # 1 fits, 2 do not
    thread = threading.Thread(target=event.write, args=(2,))
    thread.start()
    wait_blocked(os.getpid(), *SLEEP, tid=thread.native_id)  # it sleeps, and does not spin
    assert event.read() == MAXIMUM - 1
    thread.join(10)
    assert event.read() == 2


def test_the_description_is_non_blocking_for_every_holder(event: EventFd) -> None:
    copy = os.dup(event.fileno())
    assert not os.get_blocking(copy)
    os.close(copy)
    assert not os.get_inheritable(event.fileno())


def test_taking_over_a_descriptor() -> None:
    with EventFd.from_fd(os.eventfd(4)) as event:
        assert not os.get_blocking(event.fileno())
        assert event.semaphore is False
        assert event.read() == 4
    flags = os.EFD_SEMAPHORE
    with EventFd.from_fd(os.eventfd(4, flags), semaphore=True) as event:
        assert event.semaphore is True
        assert event.read() == 1


def test_what_is_no_eventfd_is_refused() -> None:
    reading, writing = os.pipe()
    with pytest.raises(ValueError, match="must be an eventfd"):
        EventFd.from_fd(reading)
    os.close(reading)
    os.close(writing)
    with pytest.raises(SyscallError, match="fd 999999"):
        EventFd.from_fd(999999)


def test_after_close(event: EventFd) -> None:
    assert repr(event) == f"<EventFd fd={event.fileno()}>"
    event.close()
    event.close()
    assert repr(event) == "<EventFd closed>"
    calls = [event.read, event.write, event.try_read, event.try_write, event.fileno, lambda: event.value]
    for call in calls:
        with pytest.raises(ClosedError):
            call()


def test_close_in_another_thread_ends_a_wait(event: EventFd) -> None:
    outcome: list[type] = []

    def wait() -> None:
        try:
            event.read()
        except ClosedError as error:
            outcome.append(type(error))

    thread = threading.Thread(target=wait)
    thread.start()
    wait_blocked(os.getpid(), "poll", tid=thread.native_id)
    event.close()
    thread.join(10)
    assert outcome == [ClosedError]


def test_ctrl_c_ends_a_wait(event: EventFd, spawn: Spawn) -> None:
    child = spawn(read_until_interrupted, event)
    child.wait_blocked("poll")
    child.send_signal(signal.SIGINT)
    assert child.result() is True


def test_a_handler_runs_and_the_wait_goes_on_with_the_rest_of_its_time(event: EventFd, spawn: Spawn) -> None:
    assert spawn(read_with_handler, event, 0.3).result() >= 0.3


def test_too_many_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(LimitError, match=r"eventfd.*RLIMIT_NOFILE") as caught:
            EventFd.create()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.errno == errno.EMFILE
