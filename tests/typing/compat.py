"""How a user's code uses the drop-ins for locks; checked by mypy --strict, never run."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import SpawnContext

from typing_extensions import assert_type

from ipckit.compat import multiprocessing, threading
from ipckit.compat.threading import Lock, Thread


def locks() -> None:
    lock = Lock()
    assert_type(lock.acquire(blocking=True, timeout=-1), bool)
    lock.acquire(block=True)  # type: ignore[call-arg]
    with lock as got, multiprocessing.RLock():
        assert_type(got, bool)
    assert_type(multiprocessing.Lock().acquire(block=False), bool)
    assert_type(multiprocessing.Semaphore(2).get_value(), int)
    threading.Semaphore().release(n=2)


def meetings() -> None:
    condition = threading.Condition(Lock())
    assert_type(condition.wait_for(lambda: "x", timeout=1), str)
    assert_type(multiprocessing.Event().wait(1), bool)
    assert_type(multiprocessing.Barrier(2, print, timeout=3.0).wait(), int)
    threading.Condition(3)  # type: ignore[arg-type]


def others() -> None:
    Thread(target=locks).start()
    assert_type(threading.get_ident(), int)
    multiprocessing.Process(target=locks).start()


def contexts() -> None:
    assert_type(multiprocessing.get_context().Lock(), multiprocessing.Lock)
    context = multiprocessing.get_context("spawn")
    with context.RLock() as got, context.Condition(context.Lock()):
        assert_type(got, bool)
    assert_type(context.BoundedSemaphore(2).acquire(block=False), bool)
    queue: multiprocessing.Queue[int] = context.Queue(maxsize=3)
    queue.put_many([1, 2])
    context.JoinableQueue().task_done()
    context.SimpleQueue().put(context.Value("i", 0).value)
    context.Process(target=locks).start()
    multiprocessing.get_context().Process(target=locks).start()
    ProcessPoolExecutor(mp_context=context).submit(locks)
    ProcessPoolExecutor(mp_context=multiprocessing.get_context()).submit(locks)
    theirs: SpawnContext = multiprocessing.get_context().get_context("spawn")
    theirs.Pool(2).close()
    context.Queue(capacity=4096)  # type: ignore[call-arg]


def the_rest() -> None:
    from ipckit.compat.multiprocessing import Array, Value, get_logger
    from ipckit.compat.threading import TIMEOUT_MAX, stack_size

    Value("i", 0).value += len(Array("d", 4))
    get_logger().info("%s %s", TIMEOUT_MAX, stack_size())
    assert_type(threading.enumerate(), "list[Thread]")
    raise multiprocessing.TimeoutError
