"""Conditions, barriers, latches, onces and atomic integers in shared memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ipckit.posix.shm import SharedMemory
from ipckit.sync.atomic import AtomicInt64, AtomicUInt64
from ipckit.sync.barrier import Barrier
from ipckit.sync.condition import Condition
from ipckit.sync.latch import Latch
from ipckit.sync.once import Once
from tests.contract.families.sync_mutex import MUTEX, MUTEX_TRAITS, SYNC_CALLS, SYNC_CONSTANTS, another_process
from tests.contract.shapes import Made, Subject, Wait, named

if TYPE_CHECKING:
    from collections.abc import Callable

OFFSET = frozenset({"offset"})
BARRIER = replace(MUTEX, create={"parties": 1})
LATCH = replace(MUTEX, create={"count": 1})


def within(cls: type[Any], **how: Any) -> Callable[[], Made]:
    def make() -> Made:
        memory = SharedMemory.create(size=8192, unlink_on_close=True)
        return [cls.create(within=memory, offset=64, **how), memory]

    return make


class Flag:
    """What a condition is about, here."""

    raised = False

    def close(self) -> None:
        pass


def wait_for_flag(made: Made, timeout: float | None) -> bool:
    with made[0]:
        return bool(made[0].wait_for(lambda: made[-1].raised, timeout))


def raise_flag(made: Made) -> None:
    made[-1].raised = True
    with made[0]:
        made[0].notify_all()


CONDITION: dict[str, Any] = {
    **MUTEX_TRAITS,
    "calls": {
        **MUTEX_TRAITS["calls"],
        "wait": lambda h: h.wait(),
        "wait_for": lambda h: h.wait_for(lambda: True),
        "notify": lambda h: h.notify(),
        "notify_all": lambda h: h.notify_all(),
        "n_waiting": lambda h: h.n_waiting,
    },
    "constants": OFFSET | {"waiters", "mutex"},
    "never_waits": frozenset({"wait"}),  # nobody remembers a notification
}

CONDITION_WAITS = (
    Wait(
        "acquire",
        lambda made, timeout: made[0].acquire(timeout=timeout),
        lambda made: another_process(made).acquire(),
        lambda made: made[-1].release(),
        ("futex",),
    ),
    Wait("wait_for", wait_for_flag, lambda made: made.append(Flag()), raise_flag, ("futex",)),
)

BARRIER_TRAITS: dict[str, Any] = {
    "calls": {
        **SYNC_CALLS,
        "wait": lambda h: h.wait(),
        "reset": lambda h: h.reset(),
        "abort": lambda h: h.abort(),
        "n_waiting": lambda h: h.n_waiting,
        "broken": lambda h: h.broken,
    },
    "constants": OFFSET | {"parties"},
    "never_waits": frozenset({"wait"}),  # a wait that gave up leaves nothing that could complete
    "there": lambda h: h.wait(10),
    "here": lambda made, result: result == 0,  # noqa: ARG005
}

LATCH_TRAITS: dict[str, Any] = {
    "calls": {
        **SYNC_CALLS,
        "wait": lambda h: h.wait(),
        "count_down": lambda h: h.count_down(),
        "count": lambda h: h.count,
    },
    "constants": SYNC_CONSTANTS,
    "there": lambda h: h.count_down(),
    "here": lambda made, result: made[0].count == result == 0,
}

ONCE_TRAITS: dict[str, Any] = {
    "calls": {
        **SYNC_CALLS,
        "run": lambda h: h.run(int),
        "begin": lambda h: h.begin(),
        "try_begin": lambda h: h.try_begin(),
        "complete": lambda h: h.complete(),
        "abandon": lambda h: h.abandon(),
        "done": lambda h: h.done,
    },
    "constants": SYNC_CONSTANTS,
    "there": lambda h: h.run(int),
    "here": lambda made, result: result is made[0].done is True,
}


def begun_elsewhere(verb: str, call: Callable[[Made, float | None], object]) -> Wait:
    return Wait(
        verb, call, lambda made: another_process(made).begin(), lambda made: made[-1].abandon(), syscalls=("futex",)
    )


ATOMIC_TRAITS: dict[str, Any] = {
    "calls": {
        "fileno": lambda h: h.fileno(),
        "load": lambda h: h.load(),
        "store": lambda h: h.store(1),
        "exchange": lambda h: h.exchange(1),
        "compare_exchange": lambda h: h.compare_exchange(1, 2),
        "fetch_add": lambda h: h.fetch_add(),
        "add": lambda h: h.add(),
    },
    "constants": SYNC_CONSTANTS,
    "there": lambda h: h.add(3),
    "here": lambda made, result: made[0].load() == result == 3,
}

SUBJECTS: tuple[Subject, ...] = (
    Subject("Condition", Condition, make=named(Condition, MUTEX), naming=MUTEX, waits=CONDITION_WAITS, **CONDITION),
    Subject("Condition-within", Condition, make=within(Condition), addressed=True, **CONDITION),
    Subject("Barrier", Barrier, make=named(Barrier, BARRIER), naming=BARRIER, **BARRIER_TRAITS),
    Subject("Barrier-within", Barrier, make=within(Barrier, parties=1), addressed=True, **BARRIER_TRAITS),
    Subject(
        "Latch",
        Latch,
        make=named(Latch, LATCH),
        naming=LATCH,
        waits=(
            Wait(
                "wait",
                lambda made, timeout: made[0].wait(timeout),
                complete=lambda made: made[0].count_down(),
                syscalls=("futex",),
            ),
        ),
        **LATCH_TRAITS,
    ),
    Subject("Latch-within", Latch, make=within(Latch, count=1), addressed=True, **LATCH_TRAITS),
    Subject(
        "Once",
        Once,
        make=named(Once, MUTEX),
        naming=MUTEX,
        waits=(
            begun_elsewhere("begin", lambda made, timeout: made[0].begin(timeout)),
            begun_elsewhere("run", lambda made, timeout: made[0].run(int, timeout)),
        ),
        **ONCE_TRAITS,
    ),
    Subject("Once-within", Once, make=within(Once), addressed=True, **ONCE_TRAITS),
    *(
        Subject(cls.__name__, cls, make=named(cls, MUTEX), naming=MUTEX, **ATOMIC_TRAITS)
        for cls in (AtomicInt64, AtomicUInt64)
    ),
    Subject("AtomicInt64-within", AtomicInt64, make=within(AtomicInt64), addressed=True, **ATOMIC_TRAITS),
)
