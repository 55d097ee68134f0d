"""Locks for readers and writers in shared memory."""

from __future__ import annotations

from typing import Any

from ipckit.posix.shm import SharedMemory
from ipckit.sync.rwlock import RWLock
from tests.contract.families.sync_mutex import MUTEX, SYNC_CALLS, SYNC_CONSTANTS, another_process
from tests.contract.shapes import Made, Subject, Wait, named


def within() -> Made:
    memory = SharedMemory.create(size=1 << 14, unlink_on_close=True)
    return [RWLock.create(within=memory, offset=64, readers=9), memory]


def read_and_write(lock: RWLock) -> bool:
    with lock.reading(), lock.reading():
        pass
    with lock.writing():
        return not lock.readers()


TRAITS: dict[str, Any] = {
    "calls": {
        **SYNC_CALLS,
        "acquire_read": lambda h: h.acquire_read(),
        "try_acquire_read": lambda h: h.try_acquire_read(),
        "release_read": lambda h: h.release_read(),
        "reading": lambda h: h.reading().__enter__(),
        "acquire_write": lambda h: h.acquire_write(),
        "try_acquire_write": lambda h: h.try_acquire_write(),
        "release_write": lambda h: h.release_write(),
        "writing": lambda h: h.writing().__enter__(),
        "downgrade": lambda h: h.downgrade(),
        "mark_consistent": lambda h: h.mark_consistent(),
        "readers": lambda h: h.readers(),
        "writer": lambda h: h.writer(),
    },
    "constants": SYNC_CONSTANTS,
    "there": read_and_write,
    "here": lambda made, result: result is True,  # noqa: ARG005
}

SUBJECTS: tuple[Subject, ...] = (
    Subject(
        "RWLock",
        RWLock,
        make=named(RWLock, MUTEX),
        naming=MUTEX,
        waits=(
            Wait(
                "acquire_read",
                lambda made, timeout: made[0].acquire_read(timeout=timeout),
                lambda made: another_process(made).acquire_write(),
                lambda made: made[-1].release_write(),
                ("futex",),
            ),
            Wait(
                "acquire_write",
                lambda made, timeout: made[0].acquire_write(timeout=timeout),
                lambda made: another_process(made).acquire_read(),
                lambda made: made[-1].release_read(),
                ("futex",),
            ),
        ),
        **TRAITS,
    ),
    Subject("RWLock-within", RWLock, make=within, addressed=True, **TRAITS),
)
