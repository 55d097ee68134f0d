"""CPython's own tests of locks and queues with the drop-ins in place: test.lock_tests, test._test_multiprocessing.

What can't apply is listed, with the reason; all the rest passes as it stands.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import sys
import time
import unittest
import warnings
from multiprocessing import heap
from typing import TYPE_CHECKING, Any

import pytest

from ipckit._tasks import tasks
from ipckit.compat import multiprocessing as our_multiprocessing
from ipckit.compat import threading as our_threading
from ipckit.errors import SyscallError
from ipckit.testing import wait_blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytest.importorskip("test.lock_tests", reason="this Python comes without the standard library's tests")
pytest.importorskip("test._test_multiprocessing", reason="this Python comes without the standard library's tests")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # their imports' affair
    from test import _test_multiprocessing as of_multiprocessing
    from test import lock_tests as of_threading

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:This process.*multi-threaded.*:DeprecationWarning"),
]

MODULE_NAME = "the pattern asks for a module without a dot; test_compat_synchronize compares the rest"
REINIT = "it calls what only threading's own code calls, to make a lock anew in a child that shares no lock"
NOT_OURS = "it gives a Condition a threading.Lock, of which other processes would know nothing: TypeError"
SHAPE = "its lock looks like a lock of threading, and not of multiprocessing"
ACCEPTED = "multiprocessing takes that time-out, and so does its drop-in"
NAME = "multiprocessing calls that parameter block, and so does its drop-in"
INSIDE = "it asks for a method of threading's RLock that is its own affair"
AT_ONCE = "multiprocessing gives one permit at a time, and so does its drop-in"

PATIENCE = 20.0
CALLER = "what cannot be pickled is told to the caller of put, and not printed by a thread"

STANDARD = "its module imports multiprocessing itself, and gives the feeder thread of that one's Queue three seconds"

EXCEPT: dict[str, dict[str, str]] = {
    "threading": {
        "BarrierTests.test_repr": MODULE_NAME,
        "BoundedSemaphoreTests.test_repr": MODULE_NAME,
        "ConditionTests.test_acquire": NOT_OURS,
        "EventTests.test_at_fork_reinit": REINIT,
        "EventTests.test_repr": MODULE_NAME,
        "LockTests.test_at_fork_reinit": REINIT,
        "SemaphoreTests.test_repr": MODULE_NAME,
    },
    "multiprocessing": {
        "BarrierTests.test_repr": MODULE_NAME,
        "BoundedSemaphoreTests.test_acquire_timeout": ACCEPTED,
        "BoundedSemaphoreTests.test_multirelease": AT_ONCE,
        "BoundedSemaphoreTests.test_repr": SHAPE,
        "ConditionTests.test_acquire": NOT_OURS,
        "EventTests.test_at_fork_reinit": REINIT,
        "EventTests.test_repr": SHAPE,
        "LockTests.test_at_fork_reinit": REINIT,
        "LockTests.test_locked_repr": SHAPE,
        "LockTests.test_repr": SHAPE,
        "LockTests.test_state_after_timeout": NAME,
        "LockTests.test_timeout": ACCEPTED,
        "RLockTests.test_locked_repr": SHAPE,
        "RLockTests.test_recursion_count": INSIDE,
        "RLockTests.test_release_save_unacquired": INSIDE,
        "RLockTests.test_repr": SHAPE,
        "RLockTests.test_timeout": ACCEPTED,
        "SemaphoreTests.test_acquire_timeout": ACCEPTED,
        "SemaphoreTests.test_multirelease": AT_ONCE,
        "SemaphoreTests.test_repr": SHAPE,
    },
}
EXCEPT_OF_QUEUES = {
    "test_no_import_lock_contention": STANDARD,
    "test_queue_feeder_donot_stop_onexc": CALLER,
    "test_queue_feeder_on_queue_feeder_error": CALLER,
}
FACES = {"threading": our_threading, "multiprocessing": our_multiprocessing}
SUITES = {
    "LockTests": {"locktype": "Lock"}, "RLockTests": {"locktype": "RLock"}, "EventTests": {"eventtype": "Event"},
    "ConditionTests": {"condtype": "Condition"}, "SemaphoreTests": {"semtype": "Semaphore"},
    "BoundedSemaphoreTests": {"semtype": "BoundedSemaphore"}, "BarrierTests": {"barriertype": "Barrier"},
}  # fmt: skip


def lock_tests() -> Iterator[tuple[str, str, str]]:
    for face in FACES:
        for suite in SUITES:
            for name in unittest.TestLoader().getTestCaseNames(getattr(of_threading, suite)):  # type: ignore[arg-type]
                if f"{suite}.{name}" not in EXCEPT[face]:
                    yield face, suite, name


@pytest.fixture(autouse=True)
def fresh_heap(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the standard library's own shared values lie in, it keeps for good."""
    monkeypatch.setattr(heap.BufferWrapper, "_heap", heap.Heap())


def outcome(suite: Any, name: str) -> str:
    """What is wrong; "" if nothing is. Those of time-outs race with the clock, and lose where the machine is busy.

    So does Python 3.10's test_set_and_clear, whose threads have a quarter of a second to begin.
    """
    for _ in range(10 if "timeout" in name or name == "test_set_and_clear" else 1):
        result = unittest.TestResult()
        suite(name).run(result)
        assert result.testsRun == 1
        wrong = "\n".join(text for _, text in [*result.errors, *result.failures])
        if not wrong:
            break
    return wrong


@pytest.mark.parametrize(("face", "suite", "name"), list(lock_tests()))
def test_lock_tests(face: str, suite: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    others = set(tasks("self"))

    def wait_threads_blocked(_: int) -> None:
        """The original sleeps for 10 ms a thread, after which some may not have begun."""
        for tid in set(tasks("self")) - others:
            try:
                wait_blocked(os.getpid(), "futex", tid=tid)
            except SyscallError as error:
                if error.errno != errno.ESRCH:  # one of an earlier bunch was still about to end
                    raise

    monkeypatch.setattr(of_threading, "wait_threads_blocked", wait_threads_blocked, raising=False)
    types: dict[str, Any] = {key: getattr(FACES[face], value) for key, value in SUITES[suite].items()}
    if suite == "BarrierTests" and "timeout" not in name:
        types["defaultTimeout"] = PATIENCE  # 2 seconds are the standard
    assert outcome(type(suite, (getattr(of_threading, suite), unittest.TestCase), types), name) == ""


@pytest.mark.skipif(sys.version_info < (3, 11), reason="some tests came later")
def test_exemptions_are_tests() -> None:
    for name in EXCEPT_OF_QUEUES:
        assert hasattr(of_multiprocessing._TestQueue, name), name
    for name in set().union(*EXCEPT.values()):
        suite, _, test = name.partition(".")
        assert hasattr(getattr(of_threading, suite), test), name
    assert len(list(lock_tests())) > 120


# --- multiprocessing's own --------------------------------------------------------------------------------------------


FORKING = multiprocessing.get_context("fork")


class Ours:
    """What those tests take from a mixin, with the drop-ins in their place."""

    TYPE = "processes"
    Process = FORKING.Process
    Value, RawValue, Array = FORKING.Value, FORKING.RawValue, FORKING.Array
    Pipe = FORKING.Pipe
    Queue, JoinableQueue = our_multiprocessing.Queue, our_multiprocessing.JoinableQueue
    current_process = staticmethod(multiprocessing.current_process)
    active_children = staticmethod(multiprocessing.active_children)
    Lock, RLock = our_multiprocessing.Lock, our_multiprocessing.RLock
    Semaphore, BoundedSemaphore = our_multiprocessing.Semaphore, our_multiprocessing.BoundedSemaphore
    Condition, Event, Barrier = our_multiprocessing.Condition, our_multiprocessing.Event, our_multiprocessing.Barrier

    def assertReturnsIfImplemented(self, value: int, function: Callable[..., int], *args: Any) -> None:  # noqa: N802
        """The original looks once, a tenth of a second after whoever is to change the value was told to."""
        until = time.monotonic() + PATIENCE
        while function(*args) != value and time.monotonic() < until:
            time.sleep(0.001)
        assert function(*args) == value

    def check_invariant(self, condition: Any) -> None:
        """The original asks for the semaphores that its condition is made of."""
        assert condition._handle.n_waiting == 0


def multiprocessing_tests() -> Iterator[Callable[[], unittest.TestCase]]:
    for suite in ("_TestQueue", "_TestLock", "_TestSemaphore", "_TestCondition", "_TestEvent", "_TestBarrier"):
        cls: Any = type(suite, (Ours, getattr(of_multiprocessing, suite), unittest.TestCase), {})
        for name in unittest.TestLoader().getTestCaseNames(cls):
            if suite == "_TestQueue" and name in EXCEPT_OF_QUEUES:
                continue
            yield pytest.param(cls, name, id=f"{suite[1:]}-{name}")  # type: ignore[misc]


@pytest.mark.parametrize(("suite", "name"), list(multiprocessing_tests()))
def test_multiprocessing_tests(suite: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_multiprocessing, "multiprocessing", our_multiprocessing)
    assert outcome(suite, name) == ""
