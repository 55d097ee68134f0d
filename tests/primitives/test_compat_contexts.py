"""The contexts of the drop-in for multiprocessing: what they give, and that the standard library works by them."""

from __future__ import annotations

import inspect
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import context as of_multiprocessing
from multiprocessing import queues, synchronize
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.compat import multiprocessing as ours
from ipckit.errors import OwnerDiedWarning

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.testing import Spawn

METHODS = ["fork", "spawn", "forkserver"]
LOCKS = ["Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event", "Barrier"]
QUEUES = ["Queue", "JoinableQueue"]
PATIENCE = 20.0

methods = pytest.mark.parametrize("method", METHODS)


@methods
def test_locks_and_queues_are_ours(method: str) -> None:
    context = ours.get_context(method)
    for name in (*LOCKS, *QUEUES):
        made = getattr(context, name)(*([2] if name == "Barrier" else []))
        assert type(made) is getattr(ours, name)
        if name in QUEUES:
            made.close()
    assert context.Semaphore(3).get_value() == 3
    assert "maxvalue=4" in repr(context.BoundedSemaphore(value=4))
    assert context.Condition(lock := context.Lock())._lock is lock
    assert context.Barrier(2, action=None, timeout=1.5)._timeout == 1.5
    with_limit = context.Queue(maxsize=1)
    with_limit.put("only")
    assert with_limit.full()
    with_limit.close()
    for name in (*LOCKS, *QUEUES, "SimpleQueue"):
        theirs = inspect.signature(getattr(multiprocessing.get_context(method), name)).parameters.values()
        mine = inspect.signature(getattr(context, name)).parameters.values()
        assert [(p.name, p.default) for p in mine] == [(p.name, p.default) for p in theirs]


@methods
def test_a_context_is_the_standard_librarys_in_all_else(method: str) -> None:
    context, theirs = ours.get_context(method), multiprocessing.get_context(method)
    assert isinstance(context, type(theirs))
    assert context.Process is theirs.Process
    assert context.get_start_method() == method
    assert ours.get_context(method) is context is context.get_context() is context.get_context(method)
    for other in METHODS:
        assert context.get_context(other) is ours.get_context(other)
    for ask in (ours.get_context, context.get_context):
        with pytest.raises(ValueError, match="cannot find context for 'none'"):
            ask("none")
    with pytest.raises(ValueError, match="cannot set start method of concrete context"):
        context.set_start_method("fork")
    arrived = pickle.loads(pickle.dumps(context))
    assert type(arrived) is type(context)
    assert type(arrived.Lock()) is ours.Lock


def test_a_context_of_others_is_given_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(of_multiprocessing.SpawnContext):
        _name = "other"

    other = Other()
    monkeypatch.setitem(of_multiprocessing._concrete_contexts, "other", other)  # type: ignore[attr-defined]
    assert ours.get_context("other") is ours.get_context("fork").get_context("other") is other


def choose() -> None:
    assert multiprocessing.get_start_method(allow_none=True) is None
    default = ours.get_context()
    assert default is ours.get_context()
    assert default.get_start_method() == multiprocessing.get_start_method(allow_none=True), "it is settled now"
    with pytest.raises(RuntimeError, match="context has already been set"):
        ours.set_start_method("spawn")
    for module in (ours, multiprocessing):
        for method in METHODS:
            module.set_start_method(method, force=True)
            assert ours.get_context() is ours.get_context(method)
            assert ours.get_start_method() == method


def test_there_is_one_start_method_here_and_there(spawn: Spawn) -> None:
    spawn(choose).result(timeout=50)


def test_they_are_imported_when_they_are_first_used() -> None:
    code = (
        "import sys; import ipckit.compat.multiprocessing as m; names = 'ipckit.compat._contexts', 'ctypes'\n"
        "m.Lock(), m.set_start_method, dir(m); print(*(name in sys.modules for name in names))\n"
        "m.get_context('spawn').Lock(); print(*(name in sys.modules for name in names))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False", "True", "False"]


# --- processes --------------------------------------------------------------------------------------------------------


def take_part(made: dict[str, Any]) -> None:
    with made["Lock"], made["RLock"], made["Semaphore"], made["BoundedSemaphore"], made["Value"].get_lock():
        made["Value"].value += made["Array"][1]
    made["Barrier"].wait(PATIENCE)
    made["JoinableQueue"].put(made["Queue"].get(timeout=PATIENCE) + 1)
    made["SimpleQueue"].put("simple")
    with made["Condition"]:
        made["Condition"].notify()
    assert made["Event"].wait(PATIENCE)


def share(method: str) -> None:
    context = ours.get_context(method)
    made = {name: getattr(context, name)(*([2] if name == "Barrier" else [])) for name in (*LOCKS, *QUEUES)}
    made |= {"SimpleQueue": context.SimpleQueue(), "Value": context.Value("i", 2), "Array": context.Array("i", [1, 3])}
    with made["Condition"]:
        child = context.Process(target=take_part, args=(made,))
        child.start()
        made["Queue"].put(41)
        made["Barrier"].wait(PATIENCE)
        assert made["JoinableQueue"].get(timeout=PATIENCE) == 42
        assert made["SimpleQueue"].get() == "simple"
        assert made["Condition"].wait(PATIENCE)
    made["Event"].set()
    made["JoinableQueue"].task_done()
    made["JoinableQueue"].join()
    child.join()
    assert child.exitcode == 0
    assert made["Value"].value == 5


def hold(locks: list[Any], taken: Any) -> None:
    for lock in locks:
        lock.acquire()
    taken.set()
    signal.pause()


def kill_the_owner(method: str) -> None:
    context = ours.get_context(method)
    ours.set_start_method(method, force=True)
    values = [context.Value("i"), context.Array("i", 3), ours.Value("i"), ours.Array("i", 3)]
    locks = [context.Lock(), context.RLock(), *(value.get_lock() for value in values)]
    taken = context.Event()
    child = context.Process(target=hold, args=(locks, taken))
    child.start()
    assert taken.wait(PATIENCE)
    child.kill()
    child.join()
    for lock in locks:
        with pytest.warns(OwnerDiedWarning):
            assert lock.acquire(timeout=PATIENCE)
        lock.release()


def square(number: int) -> int:
    return number * number


def keep(lock: Any) -> None:
    global kept
    kept = lock


def square_with_lock(number: int) -> int:
    with kept:
        return square(number)


kept: Any = None


def use_pools(method: str) -> None:
    context = ours.get_context(method)
    with context.Pool(2, initializer=keep, initargs=(context.Lock(),)) as pool:
        assert pool.map(square_with_lock, range(50)) == [square(number) for number in range(50)]
        pool.close()
        pool.join()
    with context.Manager() as manager:
        shared = manager.list([1])
        with manager.Lock():
            shared.append(2)
        assert list(shared) == [1, 2]
    here, there = context.Pipe()
    here.send("word")
    assert there.recv() == "word"


def die(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def use_an_executor(method: str) -> None:
    """Its workers wait for one another in a queue that is the standard library's, on locks of ours."""
    context = ours.get_context(method)
    executor = ProcessPoolExecutor(2, mp_context=context, initializer=keep, initargs=(context.Lock(),))
    assert type(executor._call_queue._rlock) is ours.Lock  # type: ignore[attr-defined]
    assert list(executor.map(square_with_lock, range(50))) == [square(number) for number in range(50)]
    with pytest.raises(BrokenProcessPool):
        list(executor.map(die, range(9)))
    executor.shutdown()


def work(todo: Any, condition: Any, event: Any, barrier: Any) -> None:
    for _ in range(3):
        todo.get(timeout=PATIENCE)
        todo.task_done()
    with condition:
        condition.notify_all()
    assert event.wait(PATIENCE)
    barrier.wait(PATIENCE)


def elsewhere(call: Callable[[], Any]) -> Any:
    """The outcome in another thread."""
    got = []
    thread = threading.Thread(target=lambda: got.append(call()))
    thread.start()
    thread.join()
    return got[0]


def use_the_standard_librarys_own(method: str) -> None:
    """Its classes made by a context of ours, and so of locks of ours, whose insides they ask for."""
    context: Any = ours.get_context(method)
    todo: Any = queues.JoinableQueue(3, ctx=context)
    condition = synchronize.Condition(ctx=context)
    event, barrier = synchronize.Event(ctx=context), synchronize.Barrier(2, ctx=context)
    assert type(todo._sem) is ours.BoundedSemaphore
    assert type(condition._lock) is ours.RLock  # type: ignore[attr-defined]
    assert todo.qsize() == 0
    for item in range(3):
        todo.put(item)
    assert (todo.full(), todo.qsize()) == (True, 3)
    with pytest.raises(AssertionError):
        condition.notify()
    with condition, condition, condition:
        child = context.Process(target=work, args=(todo, condition, event, barrier))
        child.start()
        assert condition.wait(PATIENCE), "it gives back all three, or the child would wait"
        todo.join()
        condition.release()
        condition.release()
        assert not elsewhere(lambda: condition.acquire(timeout=0)), "and takes them again"
        assert condition.acquire()
        assert condition.acquire()
    event.set()
    barrier.wait(PATIENCE)
    child.join()
    assert child.exitcode == 0
    todo.close()
    todo.join_thread()


@pytest.mark.slow
@methods
@pytest.mark.parametrize("scene", [share, kill_the_owner, use_pools, use_an_executor, use_the_standard_librarys_own])
def test_with_processes(scene: Callable[[str], None], method: str, spawn: Spawn) -> None:
    """In a child, with which the servers of multiprocessing end."""
    spawn(scene, method).result(timeout=50)
