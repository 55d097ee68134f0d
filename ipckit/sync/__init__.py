"""Synchronisation in shared memory that survives the death of anyone: futex(2).

Each object lies in a segment of its own, or at an offset of memory of yours, many to a mapping. Whether an owner
lives, the kernel tells; so a process that is killed at any point costs the others some 50 ms, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit._lazy import lazily

if TYPE_CHECKING:
    from ipckit.sync.atomic import AtomicInt64 as AtomicInt64
    from ipckit.sync.atomic import AtomicUInt64 as AtomicUInt64
    from ipckit.sync.barrier import Barrier as Barrier
    from ipckit.sync.condition import Condition as Condition
    from ipckit.sync.event import Event as Event
    from ipckit.sync.event_pair import EventPair as EventPair
    from ipckit.sync.futex import Futex as Futex
    from ipckit.sync.latch import Latch as Latch
    from ipckit.sync.mutex import Mutex as Mutex
    from ipckit.sync.once import Once as Once
    from ipckit.sync.rwlock import RWLock as RWLock
    from ipckit.sync.semaphore import Semaphore as Semaphore
    from ipckit.sync.semaphore import TrackedSemaphore as TrackedSemaphore

_HOMES = {
    "AtomicInt64": "ipckit.sync.atomic",
    "AtomicUInt64": "ipckit.sync.atomic",
    "Barrier": "ipckit.sync.barrier",
    "Condition": "ipckit.sync.condition",
    "Event": "ipckit.sync.event",
    "EventPair": "ipckit.sync.event_pair",
    "Futex": "ipckit.sync.futex",
    "Latch": "ipckit.sync.latch",
    "Mutex": "ipckit.sync.mutex",
    "Once": "ipckit.sync.once",
    "RWLock": "ipckit.sync.rwlock",
    "Semaphore": "ipckit.sync.semaphore",
    "TrackedSemaphore": "ipckit.sync.semaphore",
}

__all__ = [
    "AtomicInt64",
    "AtomicUInt64",
    "Barrier",
    "Condition",
    "Event",
    "EventPair",
    "Futex",
    "Latch",
    "Mutex",
    "Once",
    "RWLock",
    "Semaphore",
    "TrackedSemaphore",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazily(__name__, _HOMES)
