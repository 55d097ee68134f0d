"""Semaphores of ours, and the standard library's beside them."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

from ipckit.bench.row import Lock
from ipckit.sync.semaphore import Semaphore

if TYPE_CHECKING:
    from collections.abc import Callable


class SyncSemaphore(Lock):
    """A permit without an owner."""

    name = "sync.Semaphore"
    about = "ipckit.sync.Semaphore with the value 1"
    family = "sync"

    def __init__(self) -> None:
        self.semaphore = Semaphore.create(value=1)

    def calls(self) -> tuple[Callable[[], object], Callable[[], object]]:
        return self.semaphore.acquire, self.semaphore.release


class SyncTrackedSemaphore(Lock):
    """A permit that comes back from the dead."""

    name = "sync tracked sem."
    about = "ipckit.sync.Semaphore with the value 1 and tracked=True"
    family = "sync"

    def __init__(self) -> None:
        self.semaphore = Semaphore.create(value=1, tracked=True)

    def calls(self) -> tuple[Callable[[], object], Callable[[], object]]:
        return self.semaphore.acquire, self.semaphore.release


class MpSemaphore(Lock):
    """A POSIX semaphore, reached through a C type."""

    name = "mp.Semaphore"
    about = "multiprocessing.Semaphore with the value 1"
    family = "multiprocessing"

    def __init__(self) -> None:
        self.semaphore = multiprocessing.get_context("spawn").Semaphore(1)

    def calls(self) -> tuple[Callable[[], object], Callable[[], object]]:
        return self.semaphore.acquire, self.semaphore.release
