"""How a user's code uses synchronisation objects; checked by mypy --strict, never run."""

from __future__ import annotations

from typing_extensions import assert_type

from ipckit import Mapping, sync


def mutexes(memory: Mapping) -> None:
    mutex = sync.Mutex.create("/name", recursive=True, on_owner_death="raise")
    other = sync.Mutex.open(within=memory, offset=64)
    if got := mutex.acquire(timeout=1.0):
        assert_type(got.owner_died, bool)
        mutex.mark_consistent()
        mutex.release()
    with other as got:
        assert_type(got.owner_died, bool)
    owner = other.owner()
    if owner is not None:
        assert_type(owner.pid, int)
    urgent = sync.Mutex.create(priority_inheritance=True)
    assert_type(urgent, sync.Mutex)
    assert_type(urgent.priority_inheritance, bool)
    sync.Mutex.create(priority_inheritance=1.5)  # type: ignore[arg-type]


def readers_and_writers(memory: Mapping) -> None:
    lock = sync.RWLock.create("/name", readers=8, on_owner_death="recover")
    with lock.reading() as got, sync.RWLock.open(within=memory, offset=64).writing() as wrote:
        assert_type(got.owner_died, bool)
        assert_type(wrote.owner_died, bool)
    if acquired := lock.acquire_write(timeout=1.0):
        assert_type(acquired.owner_died, bool)
        lock.downgrade()
    assert_type([(reader.pid, reader.held, reader.lives) for reader in lock.readers()], list[tuple[int, int, bool]])
    assert_type(sync.RWLock.size(3), int)
    lock.reading(1)  # type: ignore[call-arg]


def semaphores(memory: Mapping) -> None:
    plain = sync.Semaphore.create(value=3, bounded=True)
    tracked = sync.Semaphore.create(within=memory, offset=64, tracked=True)
    assert_type(plain, sync.Semaphore)
    assert_type(tracked, sync.TrackedSemaphore)
    assert_type(sync.TrackedSemaphore.create(holders=3), sync.TrackedSemaphore)
    assert_type(plain.acquire(timeout=1.0), bool)
    assert_type(plain.value, int)
    assert_type([holder.held for holder in tracked.holders()], list[int])
    plain.holders()  # type: ignore[attr-defined]
    with plain as entered:
        assert_type(entered, sync.Semaphore)


def events(memory: Mapping) -> None:
    event = sync.Event.create("/name", auto_reset=True)
    other = sync.Event.open(within=memory, offset=128)
    event.set()
    assert_type(event.wait(timeout=1), bool)
    assert_type(event.is_set(), bool)
    assert_type(sync.Event.wait_any([event, other], timeout=1.5), list[sync.Event])
    assert_type(sync.Event.wait_all((event, other)), bool)
    event.wait("1")  # type: ignore[arg-type]
    sync.Event.wait_any(event)  # type: ignore[arg-type]
    with sync.EventPair.create(within=memory, offset=256) as pair:
        pair.set_low_wait_high(timeout=1)
        pair.set_high_wait_low()
        pair.wait_low(1.5)
    word = sync.Futex.create(within=memory, offset=4, value=1)
    assert_type(word.wait(1, timeout=0.5, bitset=3), bool)
    assert_type(word.wake(2), int)
    assert_type(word.compare_exchange(1, 2).exchanged, bool)
    assert_type(word.requeue(1, word, wake=1, move=2), int)
    assert_type(sync.Futex.wait_any([(word, 1)]), int)
    sync.Futex.wait_any([word])  # type: ignore[list-item]


def meet(memory: Mapping) -> None:
    mutex = sync.Mutex.create()
    condition = sync.Condition.create("/name", mutex=mutex, waiters=5)
    assert_type(sync.Condition.open(within=memory, offset=64, on_owner_death="raise"), sync.Condition)
    assert_type(condition.mutex, sync.Mutex | None)
    with condition as got:
        assert_type(got.owner_died, bool)
        if waited := condition.wait(timeout=1.5):
            assert_type(waited.owner_died, bool)
        assert_type(condition.wait_for(lambda: 5, 1), int)
        assert_type(condition.notify(2), int)
        condition.notify_all()
    condition.notify("all")  # type: ignore[arg-type]
    sync.Condition.create(waiters="many")  # type: ignore[arg-type]
    with sync.Barrier.create(parties=2, action=print) as barrier:
        assert_type(barrier.wait(timeout=1), int)
        assert_type(barrier.broken, bool)
        assert_type(barrier.n_waiting, int)
        barrier.reset()
        barrier.abort()
    sync.Barrier.create("/name")  # type: ignore[call-arg]
    with sync.Latch.create(count=3) as latch:
        assert_type(latch.count_down(2), int)
        assert_type(latch.wait(0.5), bool)
    with sync.Once.open("/name") as once:
        assert_type(once.run(print, timeout=1), bool)
        if once.begin() or once.try_begin():
            once.complete()
        assert_type(once.done, bool)
    once.run("f")  # type: ignore[arg-type]
    with sync.AtomicInt64.create(value=-1) as number, sync.AtomicUInt64.create(within=memory, offset=128) as unsigned:
        assert_type(number, sync.AtomicInt64)
        assert_type(number.fetch_add(), int)
        assert_type(unsigned.add(-3), int)
        exchanged, seen = number.compare_exchange(1, 2)
        assert_type(exchanged, bool)
        assert_type(seen, int)
        number.store(1.5)  # type: ignore[arg-type]
