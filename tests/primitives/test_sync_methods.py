"""The methods of `ipckit.sync` that are in C: beside those in Python they are one step, and look the same."""

from __future__ import annotations

import contextlib
import inspect
import os
import pickle
import signal
import subprocess
import sys
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.errors import ClosedError
from ipckit.sync import Barrier, Condition, Event, Mutex, Semaphore, TrackedSemaphore
from ipckit.sync._meeting_lane import CffiConditionLane
from ipckit.sync._mutex_lane import CffiLane
from tests.contract.tools import when_main_thread_blocks
from tests.primitives.interrupting import Interruption, alarm, blocks_interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.primitives.interrupting import Alarm

CLASSES = [Barrier, Condition, Event, Mutex, Semaphore]

in_c = pytest.mark.skipif(find_spec("ipckit._lane") is None, reason="without the extension the methods are in Python")


class HandlerError(Exception):
    """Raised by a signal handler."""


def raise_at_once(*_: object) -> None:
    raise HandlerError


def taken(handle: Any) -> bool:
    """Whether somebody has it."""
    return handle.value == 0 if isinstance(handle, Semaphore) else handle.locked()


@pytest.fixture(params=[Mutex, Condition, Semaphore, TrackedSemaphore], ids=lambda cls: cls.__name__)
def lock(request: pytest.FixtureRequest) -> Iterator[Any]:
    made = request.param.create()
    yield made
    made.close()


@in_c
@pytest.mark.skipif(sys.version_info >= (3, 14), reason="there, a handler may run between __enter__ and the block")
def test_a_handler_that_raises_anywhere_around_a_with_block_leaves_nothing_taken(lock: Any) -> None:
    for moment in blocks_interrupted(lambda: lock, 200):
        assert not taken(lock), moment


@in_c
def test_a_handler_that_raises_comes_before_or_after_an_acquire(lock: Any) -> None:
    acquire: Callable[[bool], object] = lock.acquire
    with alarm() as signalled:
        for tenths in range(200):
            acquire_interrupted(lock, acquire, signalled, tenths)
            assert not taken(lock)


def acquire_interrupted(lock: Any, acquire: Callable[[bool], object], signalled: Alarm, tenths: int) -> None:
    """Acquire and release until a handler raises, and give back what was acquired last."""
    got: list[object] = []
    with pytest.raises(Interruption):  # anywhere in it
        signalled.arm(tenths)
        while True:
            got.clear()
            got.extend(map(acquire, [True]))  # in C: no handler runs between the return and the list
            lock.release()
            got.clear()
    if got and taken(lock):
        lock.release()


# --- a condition's wait, which is one call of its lane ----------------------------------------------------------------


@pytest.fixture(params=["compiled", "cffi"])
def condition(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Condition]:
    if request.param == "cffi":
        monkeypatch.setattr("ipckit.sync.mutex.lane_of", CffiLane)
    elif find_spec("ipckit._lane") is None:
        pytest.skip("without the extension there is one lane")
    made = Condition.create(recursive=True)
    assert isinstance(made._lane, CffiConditionLane) == (request.param == "cffi")
    yield made
    made.close()


def test_a_wait_ends_with_the_mutex_as_deep_as_it_was(condition: Condition) -> None:
    def notify() -> None:
        with condition:
            condition.notify()

    with condition, condition:
        assert not condition.wait(0.001)
        thread = when_main_thread_blocks(("futex",), notify)
        assert condition.wait(timeout=20)
        thread.join()
        owner = condition.owner()
        assert owner is not None
        assert owner.depth == 2
    assert not condition.locked()


def test_a_handler_that_raises_ends_a_wait_with_the_mutex(condition: Condition) -> None:
    main = threading.get_ident()
    before = signal.signal(signal.SIGUSR1, raise_at_once)
    try:
        with condition, condition:
            thread = when_main_thread_blocks(("futex",), lambda: signal.pthread_kill(main, signal.SIGUSR1))
            with pytest.raises(HandlerError):
                condition.wait(timeout=20)
            thread.join()
            assert condition.n_waiting == 0
            owner = condition.owner()
            assert owner is not None
            assert owner.depth == 2
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not condition.locked()


def test_to_close_a_condition_ends_its_waits_without_its_mutex(condition: Condition) -> None:
    memory = os.dup(condition.fileno())
    condition.acquire()
    thread = when_main_thread_blocks(("futex",), condition.close)
    with pytest.raises(ClosedError):
        condition.wait(timeout=20)
    thread.join()
    with contextlib.closing(Condition.from_fd(memory)) as other:
        assert (other.n_waiting, other.locked()) == (0, False)


# --- what they look like ----------------------------------------------------------------------------------------------


@in_c
@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_class_looks_as_it_is_written(cls: type[Any]) -> None:
    written = cls.__base__
    assert written is not None
    assert written.__name__ == f"_{cls.__name__}"
    assert (cls.__module__, cls.__doc__) == (written.__module__, written.__doc__)
    assert getattr(sys.modules[cls.__module__], cls.__qualname__) is cls
    assert pickle.loads(pickle.dumps(cls)) is cls
    methods = [name for name, member in vars(cls).items() if inspect.ismethoddescriptor(member)]
    assert methods
    for name in methods:
        ours, theirs = (inspect.signature(getattr(one, name)) for one in (cls, written))
        assert [(p.name, p.default) for p in ours.parameters.values()] == [
            (p.name, p.default) for p in theirs.parameters.values()
        ], name
        assert inspect.getdoc(getattr(cls, name)) == inspect.getdoc(getattr(written, name))


def test_a_subclass_overrides_them_and_calls_them() -> None:
    class Counted(Mutex):
        __slots__ = ("times",)

        times: int

        def acquire(self, blocking: bool = True, timeout: float | None = None) -> Any:
            self.times = getattr(self, "times", 0) + 1
            return super().acquire(blocking, timeout)

    mutex = Counted.create()
    with mutex as got:
        assert got
    assert mutex.acquire(timeout=1)
    assert mutex.times == 1
    mutex.release()
    mutex.close()


def test_an_object_whose_constructor_has_not_run_is_no_lock() -> None:
    with pytest.raises(AttributeError):
        object.__new__(Mutex).acquire()
    with pytest.raises(AttributeError):
        object.__new__(Event).set()
    with pytest.raises(AttributeError):
        object.__new__(Barrier).wait()
    with pytest.raises(AttributeError):
        object.__new__(Condition).notify()
    with pytest.raises(AttributeError):
        object.__new__(Semaphore).release()


WRONG: list[tuple[Callable[[], Any], str, tuple[Any, ...], dict[str, Any], type[Exception]]] = [
    (Mutex.create, "acquire", (True, None, 1), {}, TypeError),
    (Mutex.create, "acquire", (), {"block": True}, TypeError),
    (Mutex.create, "acquire", (True,), {"blocking": True}, TypeError),
    (Mutex.create, "acquire", (), {"timeout": -1}, ValueError),
    (Mutex.create, "acquire", (), {"timeout": float("nan")}, ValueError),
    (Mutex.create, "acquire", (), {"timeout": True}, TypeError),
    (Mutex.create, "acquire", (False, 1.0), {}, ValueError),
    (Mutex.create, "release", (1,), {}, TypeError),
    (Semaphore.create, "acquire", (), {"timeout": "1"}, TypeError),
    (Semaphore.create, "release", (0,), {}, ValueError),
    (Semaphore.create, "release", (), {"m": 1}, TypeError),
    (Event.create, "wait", (-1.0,), {}, ValueError),
    (Event.create, "wait", (1, 2), {}, TypeError),
    (Condition.create, "wait", (), {"time": 1}, TypeError),
    (Condition.create, "notify", (-1,), {}, ValueError),
    (Condition.create, "notify", ("1",), {}, TypeError),
    (lambda: Barrier.create(parties=1), "wait", (float("nan"),), {}, ValueError),
]


@pytest.mark.parametrize(("make", "method", "args", "kwargs", "error"), WRONG)
def test_wrong_arguments_are_what_they_are_in_python(
    make: Callable[[], Any], method: str, args: tuple[Any, ...], kwargs: dict[str, Any], error: type[Exception]
) -> None:
    handle = make()
    try:
        with pytest.raises(error):
            getattr(handle, method)(*args, **kwargs)
    finally:
        handle.close()
    if error is not TypeError:
        with pytest.raises((ClosedError, error)):
            getattr(handle, method)(*args, **kwargs)


def test_arguments_of_all_sorts() -> None:
    mutex, semaphore, event, barrier = (
        Mutex.create(),
        Semaphore.create(value=4),
        Event.create(),
        Barrier.create(parties=1),
    )
    for args, kwargs in (
        ((), {}),
        ((True,), {}),
        ((1,), {}),
        ((False,), {}),
        ((True, 1.0), {}),
        ((True, 1), {}),
        ((), {"timeout": 0}),
        ((), {"timeout": 1e300}),
        ((), {"timeout": 10**400}),
        ((), {"blocking": False}),
        ((), {"timeout": None, "blocking": True}),
    ):
        for lock in (mutex, semaphore):
            assert lock.acquire(*args, **kwargs), (args, kwargs)
            lock.release()
    assert not event.wait(0)
    assert not event.wait(timeout=1e-9)
    event.set()
    assert event.wait(timeout=None)
    assert event.wait(3)
    assert (barrier.wait(), barrier.wait(1), barrier.wait(timeout=1e-9)) == (0, 0, 0)
    for handle in (mutex, semaphore, event, barrier):
        handle.close()


WITHOUT = """
import sys
sys.modules["ipckit._lane"] = None
from ipckit.sync import Barrier, Condition, Event, Mutex, Semaphore
for cls in (Barrier, Condition, Event, Mutex, Semaphore):
    assert cls.__base__.__name__ != f"_{cls.__name__}"
with Mutex.create() as got, Semaphore.create(), Condition.create() as condition:
    print(got)
condition = Condition.create()
with condition:
    print(condition.wait(timeout=0.001), condition.notify())
print(Event.create().wait(0.001), Barrier.create(parties=1).wait(), Semaphore.create(value=0).acquire(timeout=0.001))
"""


def test_without_the_extension_the_class_is_the_one_in_python() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stderr, done.stdout) == ("", "Acquired(owner_died=False)\nFalse 0\nFalse 0 False\n")
