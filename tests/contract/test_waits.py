"""Waits: how long, what interrupts them and what does not, how they end; for each method that waits."""

from __future__ import annotations

import math
import re
import signal
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ipckit import errors
from ipckit._handle import Handle
from ipckit.errors import ClosedError, RemovedError, TimeoutExpired
from tests.contract.shapes import Made, Subject, Wait, dispose, make, unlink_name
from tests.contract.subjects import BY_TITLE, SUBJECTS, WAITS
from tests.contract.tools import Background, when_main_thread_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.testing import Spawn

SHORT = 0.06  # seconds: more than one slice of 50 ms
LONG = 20.0  # seconds: nothing waits that long unless it hangs

ENDED_BY_REMOVAL = [(subject, wait) for subject, wait in WAITS if subject.naming and not subject.naming.outlives]

every = pytest.mark.parametrize(("subject", "wait"), WAITS, ids=[f"{subject}-{wait}" for subject, wait in WAITS])


def when_time_is_up() -> dict[str, str]:
    """The table in the docstring of ipckit.errors: verb -> outcome."""
    rows = re.findall(r"^(\S.*?)  +(\S.*)$", errors.__doc__ or "", re.MULTILINE)
    outcomes = {}
    for verbs, outcome in rows:
        for verb in re.findall(r"``([\w./]+)``", verbs):
            owner, dot, names = verb.rpartition(".")
            outcomes.update({owner + dot + name: outcome for name in names.split("/")})
        if verbs.startswith("everything else"):
            outcomes["else"] = outcome
    return outcomes


OUTCOMES = when_time_is_up()


def gives_up(made: Made, wait: Wait, timeout: float) -> None:
    """Run the wait, which must give up in the way that the table says."""
    of_class = OUTCOMES.get(f"{type(made[0]).__name__}.{wait.verb}")
    if (of_class or OUTCOMES.get(wait.verb, OUTCOMES["else"])) == "returns False":
        assert wait.call(made, timeout) is False
    else:
        with pytest.raises(TimeoutExpired) as caught:
            wait.call(made, timeout)
        assert isinstance(caught.value, TimeoutError)
        assert "time given is up" in str(caught.value)


def release(result: object) -> None:
    """Close what a completed wait returned, if that is a handle."""
    if isinstance(result, Handle):
        result.close()


def test_table_of_outcomes_is_read() -> None:
    assert OUTCOMES["acquire"] == OUTCOMES["try_send"] == OUTCOMES["Condition.wait_for"] == "returns False"
    assert OUTCOMES["else"] == "raises TimeoutExpired"


@every
def test_timeout_is_kept_and_never_early_and_takes_nothing(subject: Subject, wait: Wait, made: Made) -> None:
    wait.block(made)
    for timeout in (0, 0.0, 0.001):
        gives_up(made, wait, timeout)
    began = time.monotonic_ns()
    gives_up(made, wait, SHORT)
    took = time.monotonic_ns() - began
    assert took >= SHORT * 1e9
    assert took < LONG * 1e9
    wait.complete(made)
    release(wait.call(made, LONG))


@every
def test_wait_ends_when_it_can_complete_however_long_it_would_last(subject: Subject, wait: Wait) -> None:
    for timeout in (None, math.inf, 1e300, int(LONG)):
        made = make(subject)
        try:
            wait.block(made)
            waiter = Background(partial(wait.call, made, timeout))
            waiter.wait_blocked(*wait.syscalls)
            wait.complete(made)
            release(waiter.join())
        finally:
            dispose(subject, made)


@every
def test_bad_timeout_is_refused_before_anything_is_done(subject: Subject, wait: Wait, made: Made) -> None:
    wait.block(made)
    wait.complete(made)  # so that it would succeed
    bad = [-1, -1e-9, math.nan, -math.inf, True, False, "1", b"1", [1], 1j]
    for timeout in bad:
        expected = ValueError if type(timeout) in {int, float} else TypeError
        with pytest.raises(expected, match="timeout"):
            wait.call(made, timeout)  # type: ignore[arg-type]
            pytest.fail(f"{timeout!r} was taken for a timeout")
    release(wait.call(made, 0))


@every
def test_close_by_another_thread_ends_the_wait(subject: Subject, wait: Wait, made: Made) -> None:
    wait.block(made)
    waiter = Background(lambda: wait.call(made, LONG))
    waiter.wait_blocked(*wait.syscalls)
    made[0].close()
    with pytest.raises(ClosedError):
        release(waiter.join())


@pytest.mark.parametrize(
    ("subject", "wait"), ENDED_BY_REMOVAL, ids=[f"{subject}-{wait}" for subject, wait in ENDED_BY_REMOVAL]
)
def test_removal_ends_the_wait(subject: Subject, wait: Wait, made: Made) -> None:
    wait.block(made)
    waiter = Background(lambda: wait.call(made, LONG))
    waiter.wait_blocked(*wait.syscalls)
    unlink_name(subject, made[0].name)
    with pytest.raises(RemovedError):
        release(waiter.join())


@pytest.fixture
def alarm() -> Iterator[Callable[[Callable[[], None]], list[float]]]:
    """Have a function called by SIGALRM every 10 ms; the list gets the times of the calls."""
    times: list[float] = []

    def start(function: Callable[[], None]) -> list[float]:
        def handler(*_: object) -> None:
            times.append(time.monotonic())
            function()

        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        return times

    before = signal.getsignal(signal.SIGALRM)
    yield start
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@every
def test_interrupted_wait_goes_on_for_what_remains(
    subject: Subject, wait: Wait, made: Made, alarm: Callable[[Callable[[], None]], list[float]]
) -> None:
    """Neither cut short by a handler, nor started anew: then it would never end under a timer."""
    wait.block(made)
    times = alarm(lambda: None)
    began = time.monotonic()
    gives_up(made, wait, SHORT)
    took = time.monotonic() - began
    assert took >= SHORT
    assert took < LONG
    assert any(began < at < began + took for at in times), "the handler ran during the wait"


class Handled(Exception):
    pass


@every
def test_handler_that_raises_ends_the_wait(subject: Subject, wait: Wait, made: Made) -> None:
    def handler(*_: object) -> None:
        raise Handled

    wait.block(made)
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        main = threading.main_thread().ident
        assert main is not None
        sender = when_main_thread_blocks(wait.syscalls, lambda: signal.pthread_kill(main, signal.SIGUSR1))
        with pytest.raises(Handled):
            release(wait.call(made, LONG))
        sender.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not made[0].closed
    wait.complete(made)
    release(wait.call(made, LONG))


PARTS = 8  # each of which takes a second or two


def interrupt_part(part: int) -> dict[str, str]:
    """In a child, for every wait of that part: Ctrl-C, once to the main thread and once to the thread beside it."""
    outcomes = {}
    for subject, wait in WAITS[part::PARTS]:
        for target in ("main thread", "other thread"):
            made = make(subject)
            try:
                outcomes[f"{subject}-{wait}-{target}"] = interrupt(wait, made, target)
            finally:
                dispose(subject, made)
    return outcomes


def interrupt(wait: Wait, made: Made, target: str) -> str:
    wait.block(made)
    # pthread_kill of oneself has the kernel give the signal to that very thread, not to the one that waits.
    main = threading.main_thread().ident
    assert main is not None
    thread = when_main_thread_blocks(
        wait.syscalls,
        lambda: signal.pthread_kill(main if target == "main thread" else threading.get_ident(), signal.SIGINT),
    )
    try:
        release(wait.call(made, LONG))
    except KeyboardInterrupt:
        return "KeyboardInterrupt"
    except errors.IPCError as error:
        return repr(error)
    else:
        return "returned"
    finally:
        thread.join()


@pytest.mark.parametrize("part", range(PARTS))
def test_ctrl_c_ends_every_wait_whichever_thread_gets_the_signal(part: int, spawn: Spawn) -> None:
    outcomes = spawn(interrupt_part, part).result(timeout=50)
    assert len(outcomes) == 2 * len(WAITS[part::PARTS])
    assert {key: outcome for key, outcome in outcomes.items() if outcome != "KeyboardInterrupt"} == {}


@pytest.mark.parametrize("subject", [s for s in SUBJECTS if s.waits], ids=str)
def test_try_verbs_tell_at_once(subject: Subject) -> None:
    """What ``try_X`` returns while ``X`` would wait."""
    for wait in BY_TITLE[subject.title].waits:
        made = make(subject)
        try:
            wait.block(made)
            verb = f"try_{wait.verb}"
            if verb in subject.calls:
                expected = {"returns False": False, 'returns None (``b""`` is a message)': None}
                result = subject.calls[verb](made[0])
                if verb in OUTCOMES and OUTCOMES[verb] in expected:
                    assert result is expected[OUTCOMES[verb]]
                else:
                    assert not result
        finally:
            dispose(subject, made)
