"""`ipckit.ring.Queue`: what `multiprocessing.Queue` promises, and what it does not."""

from __future__ import annotations

import contextlib
import copy
import errno
import gc
import multiprocessing
import os
import pickle
import queue as standard
import resource
import signal
import subprocess
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.compat.multiprocessing import JoinableQueue, SimpleQueue
from ipckit.errors import ClosedError, LimitError, QueueEmpty, QueueFull
from ipckit.ring.codec import Pickled, Plain
from ipckit.ring.queue import Queue
from ipckit.signals import handler
from ipckit.testing import reached, wait_blocked
from tests.signalled import leave_to_another_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.testing import Spawn

LONG = 20.0
STARTS = ("fork", "spawn", "forkserver")


@pytest.fixture
def queue() -> Iterator[Queue[Any]]:
    with contextlib.closing(Queue[Any]()) as made:
        yield made
    made.join_thread()


def feeders() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "QueueFeederThread"}


# --- one process ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "item", [None, 0, "text", b"", b"x" * 100_000, bytearray(b"y" * 100_000), {"a": [1, 2.5, ("b",)]}, [[]] * 3]
)
def test_what_goes_in_comes_out(queue: Queue[Any], item: object) -> None:
    queue.put(item)
    got = queue.get(timeout=LONG)
    assert got == item
    assert type(got) is type(item)


def test_order_and_numbers(queue: Queue[Any]) -> None:
    assert (queue.qsize(), queue.empty(), queue.full()) == (0, True, False)
    for n in range(100):
        queue.put(n)
    assert (queue.qsize(), queue.empty(), queue.full()) == (100, False, False)
    assert [queue.get_nowait() for _ in range(100)] == list(range(100))
    assert queue.empty()


def test_the_item_is_as_it_was_when_it_was_put(queue: Queue[Any]) -> None:
    item = [1]
    queue.put(item)
    item.append(2)
    assert queue.get(timeout=LONG) == [1]


def test_failures_of_pickling_reach_the_caller_and_put_nothing(queue: Queue[Any]) -> None:
    class Stubborn:
        def __reduce__(self) -> str:
            raise OSError("not me")

    with pytest.raises(OSError, match="not me"):
        queue.put(Stubborn())
    with pytest.raises((pickle.PicklingError, AttributeError)):
        queue.put(lambda: None)
    with pytest.raises(OSError, match="not me"):
        queue.put_many([1, Stubborn()])
    assert queue.empty()


def test_an_item_may_put_while_it_is_pickled(queue: Queue[Any]) -> None:
    class Talkative:
        def __reduce__(self) -> tuple[Any, ...]:
            queue.put("within")
            return (int, ("7",))

    queue.put([Talkative(), "beside"])
    assert [queue.get(timeout=LONG) for _ in range(2)] == ["within", [7, "beside"]]


def test_empty_is_told_in_time(queue: Queue[Any]) -> None:
    for how in ({"block": False}, {"timeout": 0}, {"timeout": 0.01}, {"timeout": -1}, {"block": False, "timeout": 5}):
        with pytest.raises(standard.Empty) as caught:
            queue.get(**how)
        assert isinstance(caught.value, QueueEmpty)
        with pytest.raises(standard.Empty):
            queue.get_many(3, **how)
    with pytest.raises(standard.Empty):
        queue.get_nowait()


def test_full_is_told_in_time() -> None:
    with contextlib.closing(Queue[int](2)) as queue:
        queue.put(1)
        queue.put_nowait(2)
        assert queue.full()
        for how in ({"block": False}, {"timeout": 0}, {"timeout": 0.01}, {"timeout": -1}):
            with pytest.raises(standard.Full) as caught:
                queue.put(3, **how)
            assert isinstance(caught.value, QueueFull)
        with pytest.raises(standard.Full):
            queue.put_nowait(3)
        assert queue.get() == 1
        with pytest.raises(QueueFull) as full:
            queue.put_many([3, 4, 5], timeout=0)
        assert full.value.completed == 1
        assert queue.get_many(10) == [2, 3]


def test_many_at_once(queue: Queue[Any]) -> None:
    queue.put_many(range(1000))
    got: list[int] = []
    while len(got) < 1000:
        batch = queue.get_many(300, timeout=LONG)
        assert 1 <= len(batch) <= 300
        got += batch
    assert got == list(range(1000))


def test_put_without_a_limit_never_waits(queue: Queue[Any]) -> None:
    before = feeders()
    queue.put(b"small")
    assert feeders() == before  # as long as there is room, there is no thread
    items = [bytes([n]) * 100_000 for n in range(100)]
    for item in items:
        queue.put(item)
    queue.put_many([b"last", b"of all"])
    (feeder,) = feeders() - before
    assert queue.qsize() == 103
    assert [queue.get(timeout=LONG) for _ in range(103)] == [b"small", *items, b"last", b"of all"]
    feeder.join(LONG)  # and not `join_thread`, which may return when the thread has sent all and is about to end
    assert feeders() == before


@pytest.mark.parametrize("maxsize", [0, 3])
def test_items_of_any_size(maxsize: int, spawn: Spawn) -> None:
    big = [os.urandom(n) for n in (70_000, 400_000, 3_000_000)]
    with contextlib.closing(Queue[bytes](maxsize, capacity=1 << 18)) as queue:
        for item in big:
            queue.put(item)
        assert [queue.get(timeout=LONG) for _ in big] == big
        assert queue.empty()


def test_arrays_come_out_writable(queue: Queue[Any]) -> None:
    np = pytest.importorskip("numpy")
    frozen = np.arange(10_000)
    frozen.flags.writeable = False
    items = [np.arange(10_000.0), np.arange(20_000)[::2], np.zeros((100, 100), order="F"), frozen, np.arange(3)]
    for item in items:
        queue.put(item)
    for item in items:
        got = queue.get(timeout=LONG)
        assert np.array_equal(got, item)
        assert got.flags.writeable == item.flags.writeable
    queue.put({"all": items})
    assert all(map(np.array_equal, queue.get(timeout=LONG)["all"], items))


def test_codecs() -> None:
    with contextlib.closing(Queue[Any](codec=Plain())) as queue:
        for item in (b"bytes", bytearray(b"array"), memoryview(b"view")):
            queue.put(item)
            assert queue.get(timeout=LONG) == bytes(item)
        with pytest.raises(TypeError):
            queue.put("no bytes")
        queue.put(b"\x01 not what it seems")
        raw = queue._ring.receive(timeout=LONG)
    with pytest.raises(pickle.UnpicklingError):
        Pickled().decode(memoryview(raw))


def test_pickles_with_lying_heads_are_refused() -> None:
    codec = Pickled()
    whole = b"".join(bytes(part) for part in codec.encode([pickle.PickleBuffer(bytearray(8192))]))
    assert codec.decode(memoryview(whole)) == [bytearray(8192)]
    for cut in range(len(whole) - 8192):
        with pytest.raises(Exception):  # noqa: B017
            codec.decode(memoryview(whole[:cut]))
    for wrong in (whole + b"x", whole[:-1], b"\x01", b"\x01" + b"\xff" * 200, b""):
        with pytest.raises((pickle.UnpicklingError, EOFError)):
            codec.decode(memoryview(wrong))


@contextlib.contextmanager
def limited(which: int, soft: int) -> Iterator[None]:
    before = resource.getrlimit(which)
    resource.setrlimit(which, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(which, before)


def test_an_item_that_finds_no_room_for_its_file_is_lost_alone(
    queue: Queue[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    for n in range(12):
        queue.put(bytes([n]) * 100_000)  # the last wait for room
    assert len(feeders()) == 1
    with limited(resource.RLIMIT_FSIZE, 2 << 20):  # Python ignores SIGXFSZ
        queue.put(bytes(3 << 20))
        queue.put("behind it")
        assert [queue.get(timeout=LONG)[0] for _ in range(12)] == list(range(12))
        assert queue.get(timeout=LONG) == "behind it"
    (only,) = told
    assert isinstance(only.exc_value, OSError)
    assert only.exc_value.errno == errno.EFBIG


def test_join_does_not_wait_for_what_could_not_be_put() -> None:
    with contextlib.closing(JoinableQueue[Any]()) as jobs:
        with limited(resource.RLIMIT_FSIZE, 2 << 20), pytest.raises(OSError, match="File too large"):
            jobs.put_many([1, bytes(3 << 20), 2])
        assert jobs.get(timeout=LONG) == 1
        jobs.task_done()
        with pytest.raises(ValueError, match="too many times"):
            jobs.task_done()


class Interruption(Exception):
    """What a signal handler raises."""


def interrupt(*_: object) -> None:
    raise Interruption


def put_until_interrupted(jobs: JoinableQueue[int]) -> None:
    with handler(signal.SIGUSR1, interrupt):
        reached("putting")
        with pytest.raises(Interruption):
            jobs.put_many(range(5))


def test_join_does_not_wait_for_what_a_signal_handler_kept_from_being_put(spawn: Spawn) -> None:
    with contextlib.closing(JoinableQueue[int](2)) as jobs:
        child = spawn(put_until_interrupted, jobs)
        child.wait_reached("putting")
        child.wait_blocked("futex")
        child.send_signal(signal.SIGUSR1)
        child.result()
        assert jobs.get_many(5) == [0, 1]
        for _ in range(2):
            jobs.task_done()
        with pytest.raises(ValueError, match="too many times"):
            jobs.task_done()


def put_and_join(queue: Queue[bytes], *, wakes: bool) -> None:
    for number in range(20):
        queue.put(bytes([number]) * 100_000)
    queue.close()
    if not wakes:
        leave_to_another_thread(signal.SIGUSR1)
    with handler(signal.SIGUSR1, interrupt):
        reached("joining")
        with pytest.raises(Interruption):
            queue.join_thread()
    reached("interrupted")


@pytest.mark.parametrize("wakes", [True, False])
def test_join_thread_is_interrupted_and_nothing_is_lost(queue: Queue[bytes], spawn: Spawn, wakes: bool) -> None:
    child = spawn(put_and_join, queue, wakes=wakes)
    child.wait_reached("joining")
    child.wait_blocked("futex")
    child.send_signal(signal.SIGUSR1)
    child.wait_reached("interrupted")
    child.wait_blocked("futex")  # at its exit, where it waits as well
    assert [queue.get(timeout=LONG)[0] for _ in range(20)] == list(range(20))
    child.result()


def test_without_descriptors(recwarn: pytest.WarningsRecorder) -> None:
    probe = os.dup(0)
    os.close(probe)
    made = Queue[int]()
    with limited(resource.RLIMIT_NOFILE, 0):
        made.close()
    for free in range(4):
        with limited(resource.RLIMIT_NOFILE, probe + free), contextlib.suppress(LimitError):
            Queue[int]().close()
    gc.collect()
    assert not recwarn.list


def test_closed(queue: Queue[Any]) -> None:
    queue.put(1)
    with pytest.raises(ValueError, match="close the queue before"):
        queue.join_thread()
    queue.close()
    queue.close()
    for call in (
        lambda: queue.put(2),
        queue.get,
        queue.get_nowait,
        lambda: queue.put_many([1]),
        lambda: queue.get_many(1),
    ):
        with pytest.raises(ClosedError, match="is closed"):
            call()
    with pytest.raises(OSError, match="is closed"):
        queue.empty()
    with pytest.raises(ClosedError):
        pickle.dumps(queue)
    assert "closed" in repr(queue)


def test_arguments() -> None:
    for wrong in ("1", 1.5, None):
        with pytest.raises(TypeError, match="maxsize must be an int"):
            Queue(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="capacity must be"):
        Queue(capacity=0)


def test_it_goes_without_a_word() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = Queue[int]()
        made.put(1)
        del made
        gc.collect()


def test_threads_share_it(queue: Queue[Any]) -> None:
    def put(number: int) -> None:
        for n in range(2000):
            queue.put((number, n))

    def get() -> None:
        while (item := queue.get(timeout=LONG)) is not None:
            got.append(item)

    got: list[tuple[int, int]] = []
    putters = [threading.Thread(target=put, args=(number,)) for number in range(3)]
    getters = [threading.Thread(target=get) for _ in range(3)]
    for thread in [*putters, *getters]:
        thread.start()
    for thread in putters:
        thread.join()
    queue.put_many([None] * 3)
    for thread in getters:
        thread.join()
    assert sorted(got) == [(number, n) for number in range(3) for n in range(2000)]


# --- processes --------------------------------------------------------------------------------------------------------


def double(inward: Queue[Any], outward: Queue[Any]) -> None:
    while (item := inward.get()) is not None:
        outward.put((os.getpid(), item * 2))


@pytest.mark.slow
@pytest.mark.parametrize("start", STARTS)
def test_it_travels_to_children(start: str) -> None:
    context: Any = multiprocessing.get_context(start)
    with contextlib.closing(Queue[Any](5)) as inward, contextlib.closing(Queue[Any]()) as outward:
        workers = [context.Process(target=double, args=(inward, outward)) for _ in range(2)]
        for worker in workers:
            worker.start()
        for n in range(200):
            inward.put(n)
        inward.put(None)
        inward.put(None)
        got = [outward.get(timeout=LONG) for _ in range(200)]
        for worker in workers:
            worker.join()
        assert sorted(item for _, item in got) == list(range(0, 400, 2))
        assert {pid for pid, _ in got} <= {worker.pid for worker in workers}


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_is_not_pickled_at_other_times_nor_copied(queue: Queue[Any], take: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match=r"cannot pickle a Queue: .* as an argument of a Process"):
        take(queue)
    queue.put(1)
    assert queue.get(timeout=LONG) == 1


def put_all(simple: SimpleQueue[Any], items: list[bytes]) -> None:
    for item in items:
        simple.put(item)


def test_a_simple_queue_waits_where_its_memory_is_full() -> None:
    with contextlib.closing(SimpleQueue[Any]()) as simple:
        assert os.fstat(simple._queue._ring.fileno()).st_size < 2 << 20
        numbers = range(40)
        items = [bytes([n]) * 60_000 for n in numbers]  # more than it holds
        putting = threading.Thread(target=put_all, args=(simple, items), daemon=True)
        putting.start()
        wait_blocked(putting.native_id or 0, "futex")
        assert 0 < simple._queue.qsize() < len(items)
        assert [simple.get() for _ in numbers] == items
        putting.join(LONG)
        assert not feeders()
        simple.put(bytes(3 << 20))  # longer than all its memory
        assert simple.get() == bytes(3 << 20)


AT_THE_END = """
import os
import threading
from multiprocessing import get_context
from ipckit import Queue

def put(queue):
    for n in range(20):
        queue.put(n, timeout=20)  # for the thread of the parent, whose main thread waits for this process

def get():
    while True:
        os.write(1, b"%d " % queue.get())

queue = Queue(1)
get_context("fork").Process(target=put, args=(queue,)).start()
threading.Thread(target=get, daemon=True).start()
"""


def test_threads_go_on_with_it_until_the_children_have_ended() -> None:
    command = [sys.executable, "-X", "dev", "-W", "ignore:This process:DeprecationWarning", "-c", AT_THE_END]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=True)
    assert [int(word) for word in ended.stdout.split()][:18] == list(range(18))  # the last ones may come too late
    assert not ended.stderr


def put_and_end(queue: Queue[Any], number: int, *, cancel: bool) -> None:
    for n in range(number):
        queue.put(bytes([n]) * 100_000)
    if cancel:
        queue.cancel_join_thread()


@pytest.mark.slow
@pytest.mark.parametrize("start", STARTS)
def test_what_a_child_has_put_is_sent_before_it_ends(start: str, queue: Queue[Any]) -> None:
    context: Any = multiprocessing.get_context(start)
    child = context.Process(target=put_and_end, args=(queue, 50), kwargs={"cancel": False})
    child.start()
    for n in range(50):
        assert queue.get(timeout=LONG) == bytes([n]) * 100_000
    child.join()
    assert child.exitcode == 0


def test_a_child_need_not_wait_for_what_it_has_put(queue: Queue[Any]) -> None:
    child = multiprocessing.get_context("fork").Process(target=put_and_end, args=(queue, 50), kwargs={"cancel": True})
    child.start()
    child.join(LONG)
    assert child.exitcode == 0
    assert queue.get(timeout=LONG) == bytes(100_000)


def test_a_forked_child_begins_with_nothing_to_send(queue: Queue[Any]) -> None:
    for n in range(30):
        queue.put(bytes([n]) * 100_000)
    child = multiprocessing.get_context("fork").Process(target=put_and_end, args=(queue, 1), kwargs={"cancel": False})
    child.start()
    got = [queue.get(timeout=LONG)[:1] for _ in range(31)]
    child.join()
    assert sorted(got) == sorted([bytes([n]) for n in range(30)] + [bytes(1)])


def get_for_ever(queue: Queue[Any]) -> None:
    while True:
        queue.get()


def test_the_end_of_others_is_no_end_of_the_queue(queue: Queue[Any], spawn: Spawn) -> None:
    """Neither of those who put, nor of those who get; killed or closed."""
    getter = spawn(get_for_ever, queue)
    getter.wait_blocked("futex")
    putter = spawn(put_and_end, queue, 3, cancel=False)
    putter.join()
    getter.wait_blocked("futex")
    assert queue.empty()
    getter.kill()
    getter.join()
    for n in range(50):  # more than there is room for
        queue.put(bytes([n]) * 100_000)
    assert [queue.get(timeout=LONG)[:1] for _ in range(50)] == [bytes([n]) for n in range(50)]
    with pytest.raises(QueueEmpty):
        queue.get(timeout=0.01)


def send_a_connection(queue: Queue[Any]) -> None:
    ours, theirs = multiprocessing.Pipe()
    with contextlib.closing(ours):
        queue.put(theirs)
        theirs.close()
        with contextlib.closing(queue.get(timeout=LONG)) as arrived:
            arrived.send("through")
            assert ours.recv() == "through"


def test_connections_go_through_it(queue: Queue[Any], spawn: Spawn) -> None:
    """What multiprocessing knows how to pickle, and pickle alone does not; in a child: it starts a thread."""
    spawn(send_a_connection, queue).result()
