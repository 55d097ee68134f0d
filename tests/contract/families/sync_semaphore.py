"""Semaphores in shared memory."""

from __future__ import annotations

from typing import Any

from ipckit.posix.shm import SharedMemory
from ipckit.sync.semaphore import Semaphore, TrackedSemaphore
from tests.contract.families.semaphores import freed
from tests.contract.families.sync_mutex import MUTEX, SYNC_CALLS, SYNC_CONSTANTS, another_process
from tests.contract.shapes import Made, Subject, Wait, named


def within() -> Made:
    memory = SharedMemory.create(size=4096, unlink_on_close=True)
    return [Semaphore.create(within=memory, offset=64, value=0), memory]


def tracked_within() -> Made:
    memory = SharedMemory.create(size=4096, unlink_on_close=True)
    return [TrackedSemaphore.create(within=memory, offset=64, holders=9), memory]


def take_and_give(semaphore: TrackedSemaphore) -> list[int]:
    with semaphore:
        return [holder.held for holder in semaphore.holders()]


CALLS: dict[str, Any] = {
    **SYNC_CALLS,
    "acquire": lambda h: h.acquire(),
    "try_acquire": lambda h: h.try_acquire(),
    "release": lambda h: h.release(),
    "value": lambda h: h.value,
}

PLAIN: dict[str, Any] = {
    "calls": CALLS,
    "constants": SYNC_CONSTANTS,
    "rival": freed,
    "there": lambda h: h.release(3),
    "here": lambda made, result: made[0].value == 3,  # noqa: ARG005
}

TRACKED: dict[str, Any] = {
    "calls": {**CALLS, "holders": lambda h: h.holders()},
    "constants": SYNC_CONSTANTS,
    "rival": lambda made: made[0],
    "there": take_and_give,
    "here": lambda made, result: result == [1] and not made[0].holders(),
}


def take_all(made: Made) -> None:
    another_process(made).acquire()


SUBJECTS: tuple[Subject, ...] = (
    Subject(
        "sync.Semaphore",
        Semaphore,
        make=lambda: [Semaphore.create(MUTEX.new(), value=0)],
        naming=MUTEX,
        waits=(
            Wait(
                "acquire",
                lambda made, timeout: made[0].acquire(timeout=timeout),
                complete=lambda made: made[0].release(),
                syscalls=("futex",),
            ),
        ),
        **PLAIN,
    ),
    Subject("sync.Semaphore-within", Semaphore, make=within, addressed=True, **PLAIN),
    Subject(
        "TrackedSemaphore",
        TrackedSemaphore,
        make=named(TrackedSemaphore, MUTEX),
        naming=MUTEX,
        waits=(
            Wait(
                "acquire",
                lambda made, timeout: made[0].acquire(timeout=timeout),
                take_all,
                lambda made: made[-1].release(),
                ("futex",),
            ),
        ),
        **TRACKED,
    ),
    Subject("TrackedSemaphore-within", TrackedSemaphore, make=tracked_within, addressed=True, **TRACKED),
)
