"""Deadlines and waits on descriptors, on the real clock and the real poll(2)."""

from __future__ import annotations

import _thread
import math
import os
import select
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ipckit._handle import FdHandle
from ipckit._wait import FOREVER, NEVER_NS, PASSED, SLICE_NS, Deadline, wait_fd
from ipckit.errors import ClosedError
from ipckit.testing import Spawn, wait_blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def pipe() -> Iterator[tuple[FdHandle, FdHandle]]:
    read_fd, write_fd = os.pipe()
    with FdHandle(read_fd) as reader, FdHandle(write_fd) as writer:
        yield reader, writer


def wait_readable(handle: FdHandle, deadline: Deadline | None) -> bool:
    return wait_fd(handle, handle.fileno(), select.POLLIN, deadline)


def test_none_is_never_and_zero_has_passed() -> None:
    assert Deadline.after(None) is FOREVER
    assert Deadline.after(0) is PASSED
    assert Deadline.after(0.0) is PASSED
    assert PASSED.expired
    assert not FOREVER.expired
    assert PASSED.remaining_ns() == 0


@pytest.mark.parametrize("timeout", [math.inf, 1e300, 10**400, NEVER_NS])
def test_time_beyond_the_clock_is_never(timeout: float) -> None:
    assert Deadline.after(timeout) is FOREVER


@pytest.mark.parametrize("timeout", [1, 0.5, 1e-9, 1e9])
def test_deadline_is_so_many_seconds_from_now(timeout: float) -> None:
    before = time.monotonic_ns()
    deadline = Deadline.after(timeout)
    after = time.monotonic_ns()
    assert before + timeout * 1e9 <= deadline.at_ns <= after + timeout * 1e9 + 1
    assert deadline.remaining_ns() <= math.ceil(timeout * 1e9)


@pytest.mark.parametrize("timeout", [-1, -0.001, math.nan, -math.inf])
def test_times_that_are_none_are_refused(timeout: float) -> None:
    with pytest.raises(ValueError, match=f"timeout must be 0 or more seconds.*{timeout!r}"):
        Deadline.after(timeout)


@pytest.mark.parametrize("timeout", [True, False, "1", b"", [1], 1j])
def test_other_types_are_refused(timeout: object) -> None:
    with pytest.raises(TypeError, match="timeout must be seconds"):
        Deadline.after(timeout)  # type: ignore[arg-type]


def test_slices_end_at_the_deadline_at_the_latest() -> None:
    now = time.monotonic_ns()
    assert now + SLICE_NS <= FOREVER.slice_end_ns() <= time.monotonic_ns() + SLICE_NS
    near = Deadline(time.monotonic_ns() + 1)
    assert near.slice_end_ns() == near.at_ns
    assert PASSED.slice_end_ns() == 0


def test_ready_descriptor_is_seen_at_once_even_without_time(pipe: tuple[FdHandle, FdHandle]) -> None:
    reader, writer = pipe
    assert not wait_readable(reader, PASSED)
    os.write(writer.fileno(), b"x")
    assert wait_readable(reader, PASSED)
    assert wait_readable(reader, None)


def test_hang_up_ends_a_wait(pipe: tuple[FdHandle, FdHandle]) -> None:
    reader, writer = pipe
    writer.close()
    assert wait_readable(reader, None)


def test_wait_never_ends_before_its_deadline(pipe: tuple[FdHandle, FdHandle]) -> None:
    for timeout in (0.0001, 0.01, 0.12):  # 0.12: more than two slices
        start = time.monotonic_ns()
        assert not wait_readable(pipe[0], Deadline.after(timeout))
        assert time.monotonic_ns() - start >= timeout * 1e9


def in_thread(function: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def test_wait_ends_when_the_descriptor_becomes_ready(pipe: tuple[FdHandle, FdHandle]) -> None:
    reader, writer = pipe
    outcome = []
    thread = in_thread(lambda: outcome.append(wait_readable(reader, None)))
    wait_blocked(os.getpid(), "poll", tid=thread.native_id)
    os.write(writer.fileno(), b"x")
    thread.join()
    assert outcome == [True]


def test_close_in_another_thread_ends_the_wait_before_the_descriptor_goes(pipe: tuple[FdHandle, FdHandle]) -> None:
    reader, _ = pipe
    fd = reader.fileno()
    raised: list[bool] = []

    def wait() -> None:
        with pytest.raises(ClosedError, match="FdHandle is closed"):
            wait_fd(reader, fd, select.POLLIN, None)
        with pytest.raises(OSError):
            os.fstat(fd)  # the last one out released it
        raised.append(True)

    thread = in_thread(wait)
    wait_blocked(os.getpid(), "poll", tid=thread.native_id)
    reader.close()
    thread.join()
    assert raised


def test_wait_on_a_closed_handle_is_refused(pipe: tuple[FdHandle, FdHandle]) -> None:
    reader, _ = pipe
    fd = reader.fileno()
    reader.close()
    with pytest.raises(ClosedError):
        wait_fd(reader, fd, select.POLLIN, PASSED)


def wait_through_signals() -> tuple[bool, int, bool]:
    read_fd, write_fd = os.pipe()
    handled = []
    signal.signal(signal.SIGALRM, lambda signum, _: handled.append(signum))
    with FdHandle(read_fd) as reader, FdHandle(write_fd):
        start = time.monotonic()
        deadline = Deadline.after(1)
        signal.setitimer(signal.ITIMER_REAL, 0.1)  # of the kernel, which comes before the end whoever is held up
        ready = wait_readable(reader, deadline)
        elapsed = time.monotonic() - start
    return ready, len(handled), elapsed >= 1


@pytest.mark.slow
def test_handlers_run_and_the_wait_goes_on_with_what_is_left(spawn: Spawn) -> None:
    ready, handled, full_time = spawn(wait_through_signals).result()
    assert (ready, handled, full_time) == (False, 1, True)


class Enough(Exception):
    """Raised by a handler."""


def raise_enough(*_: object) -> None:
    raise Enough


def wait_until_a_handler_raises() -> bool:
    signal.signal(signal.SIGUSR1, raise_enough)
    read_fd, write_fd = os.pipe()
    with FdHandle(read_fd) as reader, FdHandle(write_fd):
        try:
            wait_readable(reader, None)
        except Enough:
            return not reader.closed and not reader._users
    return False


def test_handler_that_raises_ends_the_wait_and_leaves_the_handle_open(spawn: Spawn) -> None:
    child = spawn(wait_until_a_handler_raises)
    child.wait_blocked("poll")
    child.send_signal(signal.SIGUSR1)
    assert child.result() is True


def interrupt_the_main_thread() -> str:
    read_fd, write_fd = os.pipe()
    with FdHandle(read_fd) as reader, FdHandle(write_fd):

        def interrupt() -> None:
            wait_blocked(os.getpid(), "poll")
            _thread.interrupt_main()  # marks the signal pending, and wakes nobody

        thread = in_thread(interrupt)
        try:
            wait_readable(reader, None)
        except KeyboardInterrupt:
            return "interrupted"
        finally:
            thread.join()
    return "ready"


def test_interrupt_that_another_thread_took_ends_the_wait_of_the_main_thread(spawn: Spawn) -> None:
    assert spawn(interrupt_the_main_thread).result() == "interrupted"
