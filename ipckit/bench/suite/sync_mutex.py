"""A mutex that survives the death of its owner; the standard library's lock is among the multiprocessing rows."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.bench.row import Lock
from ipckit.sync.mutex import Mutex

if TYPE_CHECKING:
    from collections.abc import Callable


class SyncMutex(Lock):
    """A lock with an owner."""

    name = "sync.Mutex"
    about = "ipckit.sync.Mutex, robust"
    family = "sync"

    def __init__(self) -> None:
        self.mutex = Mutex.create()

    def calls(self) -> tuple[Callable[[], object], Callable[[], object]]:
        return self.mutex.acquire, self.mutex.release
