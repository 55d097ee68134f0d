"""sigwait, sigtimedwait and blocked: masks, threads, handlers meanwhile, timeouts."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import TimeoutExpired
from ipckit.signals import blocked, send, sigqueue, sigtimedwait, sigwait
from tests.contract.tools import Background

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

RT = signal.SIGRTMIN + 1


def mask() -> set[int]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


@pytest.fixture
def nothing_pending() -> Iterator[None]:
    before = mask()
    yield
    assert mask() == before
    assert signal.sigpending() == set()


@pytest.mark.usefixtures("nothing_pending")
def test_blocked_blocks_here_and_gives_back_what_was() -> None:
    before = mask()
    with blocked({RT, signal.SIGUSR1}):
        assert mask() == before | {RT, signal.SIGUSR1}
        with blocked([RT, RT + 1]):
            assert mask() == before | {RT, RT + 1, signal.SIGUSR1}
            there = Background(mask).join()
            assert there == before | {RT, RT + 1, signal.SIGUSR1}, "a thread begins with the mask of its maker"
        assert mask() == before | {RT, signal.SIGUSR1}
        assert Background(lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, {RT})).join() >= {RT}
        assert RT in mask(), "what a thread unblocks, it unblocks for itself"
    with pytest.raises(ZeroDivisionError), blocked({RT}):
        1 / 0  # noqa: B018
    with blocked(()):
        assert mask() == before


@pytest.mark.usefixtures("nothing_pending")
def test_one_blocked_is_for_one_block_and_one_thread() -> None:
    one = blocked({RT})
    assert repr(one) == "<blocked SIGRTMIN+1>"
    with one, pytest.raises(ValueError, match="entered already"):
        one.__enter__()
    with one:
        with pytest.raises(ValueError, match="thread that entered"):
            Background(lambda: one.__exit__(None, None, None)).join()
        assert RT in mask()


@pytest.mark.parametrize(
    ("signums", "error", "text"),
    [
        (signal.SIGTERM, TypeError, r"such as \{signal.SIGTERM\}"),
        ("SIGTERM", TypeError, "set of signal numbers"),
        ({"SIGTERM"}, TypeError, "signum must be an int"),
        (None, TypeError, "set of signal numbers"),
        ({signal.SIGKILL}, ValueError, "SIGKILL can be neither blocked"),
        ({signal.SIGSTOP, 10}, ValueError, "SIGSTOP can be neither blocked"),
        ({0}, ValueError, "1 to 64"),
        ({RT, 65}, ValueError, "1 to 64"),
    ],
)
def test_sets_that_are_none(signums: object, error: type[Exception], text: str) -> None:
    for call in (blocked, lambda s: sigtimedwait(s, 0), lambda s: sigwait(s, 0)):
        with pytest.raises(error, match=text):
            call(signums)  # type: ignore[arg-type]


def test_to_wait_for_what_is_not_blocked_is_refused() -> None:
    with pytest.raises(ValueError, match=r"does not block SIGUSR1, SIGRTMIN\+1.*signals\.blocked"):
        sigtimedwait({RT, signal.SIGUSR1}, 0)
    with blocked({RT}), pytest.raises(ValueError, match=r"does not block SIGUSR1, so"):
        sigwait({RT, signal.SIGUSR1}, 0)
    with pytest.raises(ValueError, match="at least one"):
        sigtimedwait((), 0)


@pytest.mark.usefixtures("nothing_pending")
def test_none_or_an_exception_when_the_time_is_up() -> None:
    with blocked({RT}):
        for timeout in (0, 0.0, 0.001, 0.06):
            began = time.monotonic_ns()
            assert sigtimedwait({RT}, timeout) is None
            assert time.monotonic_ns() - began >= timeout * 1e9
        with pytest.raises(TimeoutExpired, match=r"sigtimedwait: The time given is up: 'SIGRTMIN\+1'"):
            sigwait({RT}, 0.001)
        for bad in (-1, math.nan, True, "1"):
            signal.raise_signal(RT)
            with pytest.raises((ValueError, TypeError), match="timeout"):
                sigtimedwait({RT}, bad)  # type: ignore[arg-type]
            assert sigwait(iter({RT}), 0).signum == RT


@pytest.mark.usefixtures("nothing_pending")
def test_a_wait_is_ended_by_its_signal_however_long_it_would_last() -> None:
    with blocked({RT}):
        for timeout in (None, math.inf, 1e300, 20):
            waiter = Background(lambda timeout=timeout: sigtimedwait({RT}, timeout))
            waiter.wait_blocked("rt_sigtimedwait")
            signal.pthread_kill(waiter._thread.ident, RT)
            info = waiter.join()
            assert (info.signum, info.code_name, info.pid, info.value) == (RT, "SI_TKILL", os.getpid(), None)


@pytest.mark.usefixtures("nothing_pending")
def test_handlers_of_other_signals_run_and_the_wait_goes_on_for_what_remains() -> None:
    times: list[float] = []
    before = signal.signal(signal.SIGALRM, lambda *_: times.append(time.monotonic()))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    try:
        with blocked({RT}):
            while len(times) < 2:  # fewer come through where we are held up until the time is up
                times.clear()
                began = time.monotonic()
                assert sigtimedwait({RT}, 0.06) is None
                assert 0.06 <= time.monotonic() - began < 20
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def wait_for_ctrl_c(target: str) -> str:
    with blocked({RT}):
        main = threading.main_thread().ident

        def interrupt() -> None:
            from ipckit.testing import wait_blocked

            wait_blocked(os.getpid(), "rt_sigtimedwait")
            signal.pthread_kill(main if target == "main" else threading.get_ident(), signal.SIGINT)

        thread = Background(interrupt)
        try:
            sigtimedwait({RT})
        except KeyboardInterrupt:
            return "KeyboardInterrupt"
        finally:
            thread.join()
    return "returned"


@pytest.mark.parametrize("target", ["main", "other"])
def test_ctrl_c_ends_a_wait_whichever_thread_gets_it(target: str, spawn: Spawn) -> None:
    assert spawn(wait_for_ctrl_c, target).result() == "KeyboardInterrupt"


def take_ctrl_c() -> tuple[int, bool]:
    with blocked({signal.SIGINT}):
        send(os.getpid(), signal.SIGINT)
        return sigwait({signal.SIGINT}).signum, sigtimedwait({signal.SIGINT}, 0) is None


def test_ctrl_c_itself_can_be_waited_for(spawn: Spawn) -> None:
    assert spawn(take_ctrl_c).result() == (signal.SIGINT, True)


class Handled(Exception):
    pass


@pytest.mark.usefixtures("nothing_pending")
def test_what_is_pending_is_handled_on_leaving_and_may_raise() -> None:
    def handle(*_: object) -> None:
        raise Handled

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with pytest.raises(Handled), blocked({signal.SIGUSR1}):
            signal.raise_signal(signal.SIGUSR1)
            assert signal.sigpending() == {signal.SIGUSR1}
    finally:
        signal.signal(signal.SIGUSR1, before)


def count_in_threads(number: int, threads: int) -> tuple[list[int], int]:
    """Values taken by several threads at once, and how many were taken by the busiest."""
    with blocked({RT}):
        taken: list[list[int]] = [[] for _ in range(threads)]

        def take(mine: list[int]) -> None:
            while (value := sigwait({RT}).value) != -1:
                mine.append(value)

        running = [Background(lambda mine=mine: take(mine)) for mine in taken]
        for value in range(number):
            sigqueue(os.getpid(), RT, value)
        for _ in running:
            sigqueue(os.getpid(), RT, -1)
        for thread in running:
            thread.join()
        assert all(mine == sorted(mine) for mine in taken)
        return sorted(value for mine in taken for value in mine), len(taken)


def test_each_signal_goes_to_one_of_the_threads_that_wait(spawn: Spawn) -> None:
    values, threads = spawn(count_in_threads, 400, 4).result()
    assert threads == 4
    assert values == list(range(400))


def let_one_thread_not_block() -> tuple[bool, list[int]]:
    """The main thread waits; another one has the signal unblocked, and Python's handler runs in the main thread."""
    seen: list[int] = []
    signal.signal(RT, lambda signum, _: seen.append(signum))
    stop = threading.Event()
    other = Background(stop.wait)  # started before the mask, as a library does it
    other.wait_blocked("futex")
    with blocked({RT}):
        sigqueue(os.getpid(), RT, 5)
        while not seen:  # whoever looks first has it; so the other thread comes first
            pass
        lost = sigtimedwait({RT}, 0) is None
    stop.set()
    other.join()
    return lost, seen


def test_a_thread_that_does_not_block_a_signal_gets_it(spawn: Spawn) -> None:
    assert spawn(let_one_thread_not_block).result() == (True, [RT])
