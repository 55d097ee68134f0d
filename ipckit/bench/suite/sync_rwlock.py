"""A lock of ours for readers and writers."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.bench.quantity import PAIR
from ipckit.bench.row import Lock
from ipckit.sync.rwlock import RWLock

if TYPE_CHECKING:
    from collections.abc import Callable


class SyncRWLockWrite(Lock):
    """Two writers, who exclude each other."""

    name = "sync.RWLock (write)"
    about = "ipckit.sync.RWLock: acquire_write and release_write"
    family = "sync"

    def __init__(self) -> None:
        self.lock = RWLock.create()

    def calls(self) -> tuple[Callable[[], object], Callable[[], object]]:
        return self.lock.acquire_write, self.lock.release_write


class SyncRWLockRead(Lock):
    """Readers do not hand anything over: they have it at the same time."""

    name = "sync.RWLock (read)"
    about = "ipckit.sync.RWLock: acquire_read and release_read"
    family = "sync"
    measures = (PAIR,)

    def __init__(self) -> None:
        self.lock = RWLock.create()

    def calls(self) -> tuple[Callable[[], object], Callable[[], object]]:
        return self.lock.acquire_read, self.lock.release_read
