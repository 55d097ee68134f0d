"""Semaphores as locks: sem_overview(7), semop(2)."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

from typing import TYPE_CHECKING

import posix_ipc
import sysv_ipc

from ipckit.bench.row import Lock
from ipckit.posix.semaphore import Semaphore
from ipckit.sysv.sem import SemaphoreSet

if TYPE_CHECKING:
    from collections.abc import Callable


class PosixSemaphore(Lock):
    """A named semaphore that begins at 1."""

    name = "posix.Semaphore"
    about = "ipckit.posix.Semaphore with the value 1"
    family = "semaphore"

    def __init__(self) -> None:
        self.semaphore = Semaphore.create(value=1, unlink_on_close=True)

    def calls(self) -> tuple[Callable[[], object], Callable[[], object]]:
        return self.semaphore.acquire, self.semaphore.release


class BarePosixSemaphore(Lock):
    """The same, through the posix_ipc package alone."""

    name = "posix_ipc sem (bare)"
    about = "posix_ipc.Semaphore with the value 1"
    family = "semaphore"

    def __init__(self) -> None:
        self.semaphore = posix_ipc.Semaphore(None, posix_ipc.O_CREX, 0o600, 1)

    def __getstate__(self) -> str:
        name: str = self.semaphore.name
        return name

    def __setstate__(self, name: str) -> None:
        self.semaphore = posix_ipc.Semaphore(name)

    def calls(self) -> tuple[Callable[[], object], Callable[[], object]]:
        return self.semaphore.acquire, self.semaphore.release

    def opened(self) -> None:
        try:
            posix_ipc.unlink_semaphore(self.semaphore.name)
        except posix_ipc.ExistentialError:
            pass

    def close(self) -> None:
        self.opened()
        self.semaphore.close()


class SysvSemaphoreSet(Lock):
    """The only member of a set, without undo."""

    name = "sysv.SemaphoreSet"
    about = "a member of ipckit.sysv.SemaphoreSet with the value 1"
    family = "semaphore"

    def __init__(self) -> None:
        self.set = SemaphoreSet.create(values=[1], remove_on_close=True)

    def calls(self) -> tuple[Callable[[], object], Callable[[], object]]:
        member = self.set.member(0)
        return member.acquire, member.release


class BareSysvSemaphore(Lock):
    """A set of one, without SEM_UNDO."""

    name = "sysv sem (bare)"
    about = "semop through sysv_ipc.Semaphore with the value 1"
    family = "semaphore"

    def __init__(self) -> None:
        self.semaphore = sysv_ipc.Semaphore(None, sysv_ipc.IPC_CREX, 0o600, 1)

    def __getstate__(self) -> int:
        key: int = self.semaphore.key
        return key

    def __setstate__(self, key: int) -> None:
        self.semaphore = sysv_ipc.Semaphore(key)

    def calls(self) -> tuple[Callable[[], object], Callable[[], object]]:
        return self.semaphore.acquire, self.semaphore.release

    def close(self) -> None:
        self.semaphore.remove()
