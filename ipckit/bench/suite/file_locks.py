"""Locks on a file: fcntl_locking(2), flock(2)."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

import fcntl
import os
import tempfile
from typing import TYPE_CHECKING, ClassVar

from ipckit.bench.row import Lock
from ipckit.filelock import Flock, OfdLock, RecordLock

if TYPE_CHECKING:
    from collections.abc import Callable


class OfdLocks(Lock):
    """A lock that the open file description owns."""

    name = "OfdLock"
    about = "ipckit.filelock.OfdLock: exclusive, on a whole file"
    family = "file lock"
    _kind: ClassVar[type[OfdLock | RecordLock | Flock]] = OfdLock

    def __init__(self) -> None:
        fd, self.path = tempfile.mkstemp(prefix="ipckit-bench-")
        os.close(fd)
        self.lock = self._kind(self.path)

    def calls(self) -> tuple[Callable[[], object], Callable[[], object]]:
        return self.lock.acquire, self.lock.release

    def opened(self) -> None:
        os.unlink(self.path)

    def close(self) -> None:
        self.lock.close()
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass


class RecordLocks(OfdLocks):
    """A lock that the process owns."""

    name = "RecordLock"
    about = "ipckit.filelock.RecordLock: exclusive, on a whole file"
    _kind = RecordLock


class Flocks(OfdLocks):
    """A lock of flock(2)."""

    name = "Flock"
    about = "ipckit.filelock.Flock: exclusive"
    _kind = Flock


class BareRecordLock(Lock):
    """A write lock on a whole file."""

    name = "fcntl.lockf (bare)"
    about = "fcntl(F_SETLKW) of a write lock on a file"
    family = "file lock"
    _lock: ClassVar[Callable[..., None]] = staticmethod(fcntl.lockf)

    def __init__(self) -> None:
        self.fd, self.path = tempfile.mkstemp(prefix="ipckit-bench-")

    def __getstate__(self) -> str:
        return self.path

    def __setstate__(self, path: str) -> None:
        self.path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def calls(self) -> tuple[Callable[[], object], Callable[[], object]]:
        fd, lock, exclusive, unlock = self.fd, self._lock, fcntl.LOCK_EX, fcntl.LOCK_UN
        return lambda: lock(fd, exclusive), lambda: lock(fd, unlock)

    def opened(self) -> None:
        os.unlink(self.path)

    def close(self) -> None:
        os.close(self.fd)
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass


class BareFlock(BareRecordLock):
    """An exclusive lock on a whole file, held by the open file description."""

    name = "fcntl.flock (bare)"
    about = "flock(LOCK_EX) of a file"
    _lock = staticmethod(fcntl.flock)
