"""The drop-ins for the locks of threading and of multiprocessing: the same scenes on both, and what death leaves."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref
from contextlib import suppress
from functools import partial
from multiprocessing import heap
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.compat import multiprocessing as our_multiprocessing
from ipckit.compat import threading as our_threading
from ipckit.compat._arena import _arenas
from ipckit.errors import LimitError, OwnerDiedWarning
from ipckit.testing import pause, reached, wait_blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.testing import Child, Spawn

pytestmark = pytest.mark.filterwarnings("ignore:This process.*multi-threaded.*:DeprecationWarning")

NAMES = ["Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event", "Barrier"]
QUEUES = ["Queue", "JoinableQueue", "SimpleQueue"]
CONTEXTS = ["get_context", "Value", "Array"]
PAIRS = {"threading": (our_threading, threading), "multiprocessing": (our_multiprocessing, multiprocessing)}
STANDARD = dict(PAIRS.values())
METHODS = ["fork", "spawn", "forkserver"]
PATIENCE = 20.0

faces = pytest.mark.parametrize("face", [our_threading, our_multiprocessing], ids=list(PAIRS))


@pytest.fixture(autouse=True)
def nothing_of_the_standard_librarys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Its barriers lie in memory that it keeps for good; its children share a process that outlives them."""
    monkeypatch.setattr(heap.BufferWrapper, "_heap", heap.Heap())
    yield
    gc.collect()
    monkeypatch.undo()


def tried(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return error


def elsewhere(call: Callable[[], Any]) -> Any:
    """The outcome in another thread."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(tried, call).result()


# --- the same scenes --------------------------------------------------------------------------------------------------


def take_and_give(m: Any) -> list[Any]:
    lock = m.Lock()
    seen = [lock.acquire(), lock.acquire(False), lock.release(), lock.acquire(True, 5), lock.acquire(True, 0.01)]
    return [*seen, lock.acquire(True, 0), lock.release(), lock.acquire(timeout=1.5), lock.acquire(timeout=0)]


def enter_a_lock(m: Any) -> list[Any]:
    seen = []
    for lock in (m.Lock(), m.RLock(), m.Semaphore(), m.BoundedSemaphore(1), m.Condition()):
        with suppress(KeyError), lock as got:
            seen += [got, elsewhere(lambda lock=lock: lock.acquire(False))]
            raise KeyError
        seen += [lock.acquire(False), lock.release()]
    return seen


def give_what_nobody_has(m: Any) -> list[Any]:
    return [tried(made.release) for made in (m.Lock(), m.RLock(), m.BoundedSemaphore(), m.Condition())]


def give_in_another_thread(m: Any) -> list[Any]:
    lock, recursive = m.Lock(), m.RLock()
    seen = [lock.acquire(), elsewhere(lock.release), lock.acquire(False), recursive.acquire()]
    return [*seen, elsewhere(recursive.release), elsewhere(partial(recursive.acquire, False)), recursive.release()]


def take_again(m: Any) -> list[Any]:
    lock = m.RLock()
    seen = [lock.acquire(), lock.acquire(), lock.acquire(False), lock.release(), lock.release()]
    seen += [elsewhere(partial(lock.acquire, False)), lock.release(), elsewhere(partial(lock.acquire, False))]
    return seen


def count_permits(m: Any) -> list[Any]:
    many, few = m.Semaphore(2), m.BoundedSemaphore(value=2)
    seen = [made.acquire(False) for made in (many, few) for _ in range(3)]
    seen += [tried(made.release) for made in (many, few) for _ in range(3)]
    none = m.Semaphore(0)
    seen += [none.acquire(False), none.acquire(timeout=0.01), none.acquire(timeout=-1), none.release()]
    return [*seen, none.acquire(timeout=0.01), tried(lambda: m.Semaphore("2")), tried(lambda: m.Semaphore(-1)) is None]


def wait_in_vain(m: Any) -> list[Any]:
    condition, event = m.Condition(), m.Event()
    with condition:
        seen = [condition.wait(0.01), condition.wait(0), condition.wait(-1)]
        seen += [condition.wait_for(lambda: 0, 0.01), condition.wait_for(list, -1), condition.wait_for(lambda: "x")]
        seen += [condition.notify(), condition.notify(3), condition.notify(0), condition.notify_all()]
    return [*seen, event.wait(0.01), event.wait(0), event.wait(-1), event.is_set()]


def wait_without_the_lock(m: Any) -> list[Any]:
    condition = m.Condition()
    calls = [condition.wait, condition.notify, condition.notify_all, condition.release]
    return [tried(call) for call in calls] + [condition.wait_for(lambda: 7)]


def wait_and_be_notified(m: Any) -> list[Any]:
    from concurrent.futures import ThreadPoolExecutor

    seen: list[Any] = []
    for condition in (m.Condition(), m.Condition(m.Lock()), m.Condition(lock=m.RLock())):
        ready: list[int] = []

        def sleep(condition: Any = condition, ready: list[int] = ready) -> Any:
            with condition:
                ready.append(1)
                return condition.wait(PATIENCE), condition.wait_for(lambda: len(ready) > 2, PATIENCE)

        with ThreadPoolExecutor(2) as pool:
            sleepers = [pool.submit(sleep) for _ in range(2)]
            while len(ready) < 2:
                time.sleep(0.001)
            with condition:
                condition.notify_all()
            with condition:
                ready.append(1)
                condition.notify(2)
            seen += [sleeper.result() for sleeper in sleepers]
    return seen


def wait_with_a_lock_taken_thrice(m: Any) -> list[Any]:
    condition = m.Condition()
    for _ in range(3):
        condition.acquire()
    seen = [condition.wait(0.01)]
    for _ in range(3):
        seen += [elsewhere(partial(condition.acquire, False)), condition.release()]
    return [*seen, tried(condition.release)]


def set_and_clear(m: Any) -> list[Any]:
    event = m.Event()
    seen = [event.is_set(), event.set(), event.is_set(), event.wait(), event.wait(0), event.wait(5)]
    return [*seen, event.clear(), event.is_set(), event.wait(0.01)]


def meet(m: Any) -> list[Any]:
    from concurrent.futures import ThreadPoolExecutor

    acted: list[int] = []
    barrier = m.Barrier(2, partial(acted.append, 1), timeout=PATIENCE)
    with ThreadPoolExecutor(1) as pool:
        for _ in range(3):
            other = pool.submit(barrier.wait)
            assert {barrier.wait(), other.result()} == {0, 1}
    return [acted, barrier.parties, barrier.n_waiting, barrier.broken]


def break_a_barrier(m: Any) -> list[Any]:
    barrier = m.Barrier(2, timeout=0.01)
    seen = [tried(barrier.wait), barrier.broken, tried(barrier.wait), barrier.reset(), barrier.broken]
    seen += [tried(partial(barrier.wait, 0)), barrier.reset(), tried(partial(barrier.wait, -1)), barrier.reset()]
    failing = m.Barrier(1, lambda: 1 // 0)
    return [*seen, barrier.abort(), barrier.broken, tried(failing.wait), failing.broken, m.Barrier(1).wait()]


STRUCK_OUT = (
    r"0x[0-9a-f]+|owner=\d+|(ipckit\.compat|multiprocessing)\.|(_?thread|threading|multiprocessing|synchronize)\."
)


def describe(m: Any) -> list[str]:
    """Without what differs for a reason: addresses, the owner's thread, the names of modules and of C types."""
    made = [m.Lock(), m.RLock(), m.Semaphore(3), m.BoundedSemaphore(3), m.Event(), m.Barrier(3), m.Condition(m.RLock())]
    seen = [repr(each) for each in made]
    for each in (*made[:4], made[6]):
        each.acquire()
    made[4].set()
    made[5].abort()
    seen += [repr(each) for each in made]
    made[0].release()
    seen += [elsewhere(partial(repr, each)) for each in made[:2]]
    return [re.sub(STRUCK_OUT, "", text).lower() for text in seen]


SAME = [
    take_and_give, enter_a_lock, give_what_nobody_has, give_in_another_thread, take_again, count_permits, wait_in_vain,
    wait_without_the_lock, wait_and_be_notified, wait_with_a_lock_taken_thrice, set_and_clear, meet, break_a_barrier,
]  # fmt: skip


def same(ours: Any, theirs: Any) -> bool:
    """Equal values, and whoever catches their exception catches ours."""
    if isinstance(theirs, BaseException):
        return isinstance(ours, type(theirs))
    return type(ours) is type(theirs) and ours == theirs


@faces
@pytest.mark.parametrize("scene", SAME)
def test_same_as_the_standard_library(face: Any, scene: Callable[[Any], list[Any]]) -> None:
    ours, theirs = scene(face), scene(STANDARD[face])
    assert [pair for pair in zip(ours, theirs, strict=True) if not same(*pair)] == []


@pytest.mark.skipif(sys.version_info < (3, 11), reason="not all had one before")
def test_representations() -> None:
    """Those of multiprocessing, and those of threading but for Condition, which names C types."""
    assert describe(our_multiprocessing) == describe(multiprocessing)
    ours, theirs = describe(our_threading), describe(threading)
    assert [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1] and "condition" not in pair[0]] == []
    recursive = our_threading.RLock()
    with recursive:
        native = threading.get_native_id()
        assert f"owner={native} count=1 at" in repr(recursive)


def arguments_of_threading(m: Any) -> list[Any]:
    lock = m.Lock()
    lock.acquire(blocking=True, timeout=-1)
    wrong = [(False, 1), (False, 0), (True, -2), (True, None), (True, "1"), (True, 1e100), (True, float("nan"))]
    semaphore = m.Semaphore()
    return [
        *(tried(partial(lock.acquire, *arguments)) for arguments in wrong),
        lock.acquire(blocking=False), tried(partial(semaphore.acquire, False, 1)),
        semaphore.release(2), semaphore.release(n=1), tried(partial(semaphore.release, 0)),
        tried(partial(m.Semaphore, -1)), semaphore.acquire(blocking=True, timeout=None),
    ]  # fmt: skip


def arguments_of_multiprocessing(m: Any) -> list[Any]:
    lock = m.Lock()
    lock.acquire(block=True, timeout=None)
    seen = [
        lock.acquire(block=False),
        lock.acquire(False, 5),
        lock.acquire(True, -1),
        tried(partial(lock.acquire, True, "1")),
    ]
    semaphore = m.Semaphore(2)
    seen += [semaphore.acquire(block=True, timeout=-1), semaphore.get_value(), semaphore.acquire(False, 9),
             semaphore.acquire(False, 9), semaphore.get_value(), tried(partial(semaphore.release, 1))]  # fmt: skip
    return seen


def test_parameters_of_each() -> None:
    for scene, ours, standard in (
        (arguments_of_threading, our_threading, threading),
        (arguments_of_multiprocessing, our_multiprocessing, multiprocessing),
    ):
        pairs = zip(scene(ours), scene(standard), strict=True)
        assert [pair for pair in pairs if not same(*pair)] == []


@faces
def test_whatever_else_is_the_standard_librarys(face: Any) -> None:
    standard = STANDARD[face]
    ours = NAMES if face is our_threading else [*NAMES, *QUEUES, *CONTEXTS]
    public = {name for name in standard.__all__ if name not in ours}
    assert [name for name in public if getattr(face, name) is not getattr(standard, name)] == []
    assert public | set(ours) <= set(dir(face))
    assert all(getattr(face, name) is not getattr(standard, name) for name in ours)
    with pytest.raises(AttributeError):
        face.nothing_of_the_kind  # noqa: B018
    assert not hasattr(face, "__path__")


@faces
def test_all_of_it_is_imported_at_once(face: Any) -> None:
    names: dict[str, Any] = {}
    exec(f"from {face.__name__} import *", names)
    assert set(STANDARD[face].__all__) <= set(names)
    assert all(names[name] is getattr(face, name) for name in STANDARD[face].__all__)


def test_a_condition_takes_no_lock_that_others_do_not_know() -> None:
    for lock in (threading.Lock(), multiprocessing.RLock(), our_threading.Semaphore(1)):
        with pytest.raises(TypeError, match=r"a Lock or RLock of ipckit\.compat"):
            our_threading.Condition(lock)  # type: ignore[arg-type]
    condition = our_threading.Condition(our_multiprocessing.Lock())
    with condition:
        assert condition.locked()


def test_conditions_of_the_standard_library_take_our_locks() -> None:
    for lock in (our_threading.Lock(), our_threading.RLock()):
        with (condition := threading.Condition(lock)):
            assert condition.wait(0.01) is False
            condition.notify()
        assert not lock.locked()


def wait_in_threads(condition: Any, sleepers: int) -> list[bool]:
    from concurrent.futures import ThreadPoolExecutor

    ready: list[int] = []

    def sleep() -> bool:
        with condition:
            ready.append(1)
            got: bool = condition.wait(PATIENCE)
            return got

    with ThreadPoolExecutor(sleepers) as pool:
        asleep = [pool.submit(sleep) for _ in range(sleepers)]
        while len(ready) < sleepers:
            time.sleep(0.001)
        try:
            with condition, pytest.raises(LimitError, match="256 wait already"):
                condition.wait(1)
        finally:
            with condition:
                condition.notify_all()
        return [each.result() for each in asleep]


def test_no_more_than_there_is_room_for_take_part() -> None:
    with pytest.raises(ValueError, match="parties must be 1 to 4096"):
        our_threading.Barrier(4097)
    assert wait_in_threads(our_threading.Condition(), 256) == [True] * 256


# --- processes --------------------------------------------------------------------------------------------------------


def use_all(made: dict[str, Any], method: str, *, further: bool) -> None:
    """In a child: let go of what the parent has, pass its tests, and wake it; perhaps through a child of its own."""
    if further:
        child = multiprocessing.get_context(method).Process(target=use_all, args=(made, ""), kwargs={"further": False})
        child.start()
        child.join()
        sys.exit(child.exitcode)
    made["Lock"].release()
    assert not made["RLock"].acquire(True, 0)
    made["Semaphore"].release()
    assert not made["BoundedSemaphore"].acquire(False)
    made["Barrier"].wait(PATIENCE)
    with made["Condition"]:
        made["Condition"].notify_all()
    made["Event"].set()


def share(maker: Any, method: str, *, further: bool) -> None:
    context = multiprocessing.get_context(method)
    maker = maker or context
    lock = maker.RLock()
    made: dict[str, Any] = {
        "Lock": maker.Lock(), "RLock": maker.RLock(), "Semaphore": maker.Semaphore(0), "Event": maker.Event(),
        "BoundedSemaphore": maker.BoundedSemaphore(1), "Barrier": maker.Barrier(2), "lock of Condition": lock,
        "Condition": maker.Condition(lock),
    }  # fmt: skip
    for name in ("Lock", "RLock", "BoundedSemaphore"):
        assert made[name].acquire()
    with lock:
        child = context.Process(target=use_all, args=(made, method), kwargs={"further": further})
        child.start()
        assert made["Lock"].acquire(True, PATIENCE), "released in the child"
        assert made["Semaphore"].acquire(True, PATIENCE)
        assert made["Barrier"].wait(PATIENCE) in {0, 1}
        assert made["Condition"].wait(PATIENCE)
        assert made["Event"].wait(PATIENCE)
        child.join()
        assert child.exitcode == 0
    made["RLock"].release()


def share_ours(method: str) -> None:
    for maker in (our_threading, our_multiprocessing):
        share(maker, method, further=maker is our_threading)


def share_theirs(method: str) -> None:
    share(None, method, further=False)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.slow
@pytest.mark.parametrize("scene", [share_ours, share_theirs])
def test_processes_share_them(scene: Callable[[str], None], method: str, spawn: Spawn) -> None:
    """In a child, with which the servers of multiprocessing end."""
    spawn(scene, method).result(timeout=50)


@faces
def test_a_pickle_reaches_only_a_process_that_is_being_started(face: Any) -> None:
    expected = RuntimeError if face is our_multiprocessing else TypeError
    for name in NAMES:
        made = getattr(face, name)(*([2] if name == "Barrier" else []))
        with pytest.raises(expected, match=f"cannot pickle a {name}: "):
            pickle.dumps(made)


def add(counter: Any, lock: Any, times: int) -> None:
    for _ in range(times):
        with lock:
            counter[0] += 1


def test_nobody_is_with_another_in_it() -> None:
    context = multiprocessing.get_context("fork")
    for lock in (our_multiprocessing.Lock(), our_multiprocessing.RLock(), our_threading.Semaphore()):
        counter = context.RawArray("q", 1)
        children = [context.Process(target=add, args=(counter, lock, 2000)) for _ in range(3)]
        for child in children:
            child.start()
        threads = [threading.Thread(target=add, args=(counter, lock, 1000)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for each in (*children, *threads):
            each.join()
        assert counter[0] == 8000


# --- death ------------------------------------------------------------------------------------------------------------


def hold(lock: Any, *, how: str = "acquire") -> None:
    getattr(lock, how)()
    reached("held")
    pause("never")


def dead(function: Callable[..., Any], *args: Any, spawn: Spawn, blocked: bool = False) -> None:
    """Kill a process that is in *function*."""
    child: Child = spawn(function, *args)
    if blocked:
        child.wait_reached("waiting")
        child.wait_blocked("futex")
    else:
        child.wait_reached("held")
    child.kill()
    child.join()


@faces
def test_the_lock_of_a_killed_owner_comes_back_with_a_warning(face: Any, spawn: Spawn) -> None:
    condition = face.Condition()
    for made, take in ((face.Lock(), "acquire"), (face.RLock(), "__enter__"), (condition, "acquire")):
        dead(hold, made, spawn=spawn)
        with pytest.warns(OwnerDiedWarning, match=r"the owner of <lock of ipckit.compat at .* died with it") as told:
            assert getattr(made, take)() is True
        assert told[0].filename == __file__
        made.release()
        with made:  # nothing is left of it
            pass
    dead(hold, condition, spawn=spawn)
    with pytest.warns(OwnerDiedWarning), condition:
        condition.notify_all()


def test_the_standard_librarys_is_lost() -> None:
    """What the drop-in is for: the very same scene."""
    context = multiprocessing.get_context("fork")
    for maker, comes_back in ((context, False), (our_multiprocessing, True)):
        lock = maker.Lock()
        taken = context.Event()
        child = context.Process(target=lambda lock=lock, taken=taken: (lock.acquire(), taken.set(), time.sleep(99)))
        child.start()
        assert taken.wait(PATIENCE)
        child.kill()
        child.join()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OwnerDiedWarning)
            assert lock.acquire(timeout=PATIENCE if comes_back else 0.2) is comes_back


def test_a_warning_that_is_an_error_leaves_the_lock_free(spawn: Spawn) -> None:
    for lock in (our_threading.Lock(), our_threading.RLock()):
        dead(hold, lock, spawn=spawn)
        with pytest.raises(OwnerDiedWarning), lock:
            pytest.fail("entered")
        assert not lock.locked()
        with lock:
            pass


def wait_on(condition: Any) -> None:
    with condition:
        reached("waiting")
        condition.wait()


def wait_for_event(event: Any) -> None:
    reached("waiting")
    event.wait()


@faces
def test_a_killed_waiter_hangs_nobody(face: Any, spawn: Spawn) -> None:
    condition, event = face.Condition(), face.Event()
    dead(wait_on, condition, spawn=spawn, blocked=True)
    dead(wait_for_event, event, spawn=spawn, blocked=True)
    with condition:
        condition.notify_all()
    event.set()
    assert event.is_set()
    with condition:
        assert condition.wait(0.01) is False


def wait_and_stay(barrier: Any) -> None:
    barrier.wait()
    reached("held")
    pause("never")


def meet_once(barrier: Any) -> None:
    barrier.wait(PATIENCE)


def test_a_party_that_is_killed_breaks_the_barrier(spawn: Spawn) -> None:
    barrier = our_threading.Barrier(2, timeout=PATIENCE)
    child = spawn(wait_and_stay, barrier)
    barrier.wait()
    child.wait_reached("held")
    child.kill()
    child.join()
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait()
    barrier.reset()
    assert not barrier.broken


def meet_one_after_the_other(method: str) -> None:
    context = multiprocessing.get_context(method)
    barrier = our_multiprocessing.Barrier(2)
    for _ in range(2):
        child = context.Process(target=meet_once, args=(barrier,))
        child.start()
        barrier.wait(PATIENCE)
        child.join()
        assert child.exitcode == 0
    began = time.monotonic()
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait(0.15)
    assert time.monotonic() - began >= 0.15, "it breaks because time is up: three slices, in each of which it looks"


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_party_that_ends_by_itself_is_not_missed(method: str, spawn: Spawn) -> None:
    """There may be more parties than take part at a time."""
    spawn(meet_one_after_the_other, method).result(timeout=50)


# --- signals ----------------------------------------------------------------------------------------------------------


class Enough(Exception):
    pass


def test_a_signal_handler_that_raises_takes_nothing_and_gives_nothing() -> None:
    """Also where its thread waits for the Lock that it has, and could be taken for one who has just got it."""

    def raise_enough(*_: object) -> None:
        raise Enough

    before = signal.signal(signal.SIGUSR1, raise_enough)
    try:
        for lock in (our_threading.Lock(), our_multiprocessing.Lock()):
            lock.acquire()
            main = threading.get_native_id()

            def interrupt(main: int = main) -> None:
                wait_blocked(main, "futex")
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

            thread = threading.Thread(target=interrupt)
            thread.start()
            with pytest.raises(Enough):
                lock.acquire()
            thread.join()
            assert lock.locked()
            lock.release()
            assert not lock.locked()
    finally:
        signal.signal(signal.SIGUSR1, before)


# --- memory and descriptors -------------------------------------------------------------------------------------------


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_thousand_take_a_few_descriptors_and_leave_none() -> None:
    gc.collect()
    before = descriptors()
    made = [getattr(our_threading, name)(*([2] if name == "Barrier" else [])) for name in NAMES for _ in range(150)]
    assert descriptors() - before < 60
    made[0].acquire()  # as those do who are collected while they have it
    del made
    gc.collect()
    assert descriptors() == before
    assert [arena() for arena in _arenas] == []


def test_what_is_in_a_circle_is_collected_without_a_warning() -> None:
    class User:
        def __init__(self) -> None:
            self.me = self
            self.made = [getattr(our_threading, name)(*([2] if name == "Barrier" else [])) for name in NAMES]

    gc.collect()
    before = descriptors()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        user = weakref.ref(User())
        gc.collect()
    assert user() is None
    assert descriptors() == before


def test_an_interpreter_ends_without_a_warning() -> None:
    code = (
        "from ipckit.compat import threading as t, multiprocessing as m\n"
        "kept = [t.Lock(), t.RLock(), t.Condition(), t.Event(), t.Semaphore(), m.Barrier(1), m.Lock()]\n"
        "kept[0].acquire(); kept[5].wait()"
    )
    ended = subprocess.run([sys.executable, "-X", "dev", "-W", "error", "-c", code], capture_output=True, check=True)
    assert ended.stderr == b""


def test_room_is_used_again_but_never_what_another_process_may_know() -> None:
    gc.collect()  # or what other tests have left could free room meanwhile
    keep = our_threading.Lock()
    lock = our_threading.Lock()
    place = lock._handle.offset
    del lock
    again = our_threading.Lock()
    assert again._handle.offset == place
    pid = os.fork()
    if pid == 0:
        os._exit(not again.acquire(timeout=0))
    del again
    after = [our_threading.Lock() for _ in range(8)]
    assert place not in {each._handle.offset for each in after if each._handle._within is keep._handle._within}
    assert os.waitpid(pid, 0)[1] == 0


def test_a_child_puts_nothing_into_memory_of_its_parents() -> None:
    gc.collect()  # or what other tests have left could free room meanwhile
    keep = our_threading.Lock()
    next_ = our_threading.Lock()
    place = next_._handle.offset + 128
    pid = os.fork()
    if pid == 0:
        theirs = our_threading.Lock()
        os._exit(not (theirs.acquire(timeout=0) and theirs._handle._within is not keep._handle._within))
    assert os.waitpid(pid, 0)[1] == 0
    mine = our_threading.Lock()
    assert mine._handle.offset == place
    assert not mine.locked()
