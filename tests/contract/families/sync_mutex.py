"""Mutexes in shared memory."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ipckit.posix.shm import SharedMemory
from ipckit.sync.mutex import Mutex
from tests.contract.shapes import Made, Subject, Wait, named, posix_naming

MUTEX = posix_naming(248, lambda h: os.stat(f"/dev/shm/ipckit.{h.name[1:]}"))
# What every object of synchronisation has.
SYNC_CALLS: dict[str, Any] = {"fileno": lambda h: h.fileno(), "set_spin": lambda h: h.set_spin(0)}
SYNC_CONSTANTS = frozenset({"SIZE", "offset"})


def within() -> Made:
    memory = SharedMemory.create(size=4096, unlink_on_close=True)
    return [Mutex.create(within=memory, offset=64), memory]


def inheriting() -> Made:
    memory = SharedMemory.create(size=4096, unlink_on_close=True)
    return [Mutex.create(within=memory, offset=64, priority_inheritance=True), memory]


def another_process(made: Made) -> Any:
    """As if it were one: a handle with a membership of its own."""
    made.append(type(made[0]).open(made[0].name))
    return made[-1]


class AnotherThread:
    """The owner is a thread."""

    def __init__(self, made: Made) -> None:
        self._mutex = made[0]

    def acquire(self, timeout: float) -> object:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(self._mutex.acquire, timeout=timeout).result()


MUTEX_TRAITS: dict[str, Any] = {
    "calls": {
        **SYNC_CALLS,
        "acquire": lambda h: h.acquire(),
        "try_acquire": lambda h: h.try_acquire(),
        "release": lambda h: h.release(),
        "mark_consistent": lambda h: h.mark_consistent(),
        "locked": lambda h: h.locked(),
        "owner": lambda h: h.owner(),
    },
    "constants": SYNC_CONSTANTS,
    "rival": AnotherThread,
    "there": lambda h: bool(h.try_acquire()),
    "here": lambda made, result: result is True,  # noqa: ARG005
}

OF_MUTEX: dict[str, Any] = {
    **MUTEX_TRAITS,
    "calls": {**MUTEX_TRAITS["calls"], "priority_inheritance": lambda h: h.priority_inheritance},
}

SUBJECTS: tuple[Subject, ...] = (
    Subject(
        "Mutex",
        Mutex,
        make=named(Mutex, MUTEX),
        naming=MUTEX,
        waits=(
            Wait(
                "acquire",
                lambda made, timeout: made[0].acquire(timeout=timeout),
                lambda made: another_process(made).acquire(),
                lambda made: made[-1].release(),
                ("futex",),
            ),
        ),
        **OF_MUTEX,
    ),
    Subject("Mutex-inheriting-within", Mutex, make=inheriting, addressed=True, **OF_MUTEX),
    Subject("Mutex-within", Mutex, make=within, addressed=True, **OF_MUTEX),
)
