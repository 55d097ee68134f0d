"""Semaphores without a name, in memory that both have: sem_init(3)."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.bench.quantity import ROUNDTRIP, WAKEUP
from ipckit.bench.row import Channel, Lock, Row
from ipckit.mapping import Mapping
from ipckit.posix.unnamed_semaphore import SIZE, UnnamedSemaphore

if TYPE_CHECKING:
    from collections.abc import Callable


class _InMapping(Row):
    """A semaphore at the beginning of anonymous memory."""

    family = "semaphore"

    def _make(self, value: int) -> None:
        self.memory = Mapping.create(size=SIZE)
        self.semaphore = UnnamedSemaphore.create(self.memory, value=value)

    def close(self) -> None:
        self.semaphore.close()
        self.memory.close()


class UnnamedSemaphoreLock(_InMapping, Lock):
    """One that begins at 1."""

    name = "UnnamedSemaphore"
    about = "ipckit.posix.UnnamedSemaphore with the value 1, in a Mapping"

    def __init__(self) -> None:
        self._make(1)

    def calls(self) -> tuple[Callable[[], object], Callable[[], object]]:
        return self.semaphore.acquire, self.semaphore.release


class UnnamedSemaphoreSignal(_InMapping, Channel):
    """One that begins at 0."""

    name = "unnamed as signal"
    about = "ipckit.posix.UnnamedSemaphore: release here, acquire there"
    measures = (ROUNDTRIP, WAKEUP)
    payload = False

    def __init__(self, _size: int, /) -> None:
        self._make(0)

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        release = self.semaphore.release
        return lambda _data: release()

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        acquire: Callable[[], Any] = self.semaphore.acquire
        return acquire
