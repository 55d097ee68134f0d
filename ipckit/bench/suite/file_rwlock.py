"""Readers and writers of a file: two OFD locks, fcntl_locking(2)."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from ipckit.bench.quantity import PAIR
from ipckit.bench.row import Lock
from ipckit.filelock import FileRWLock

if TYPE_CHECKING:
    from collections.abc import Callable


class FileRWLockWrite(Lock):
    """Two writers, who exclude each other."""

    name = "FileRWLock (write)"
    about = "ipckit.filelock.FileRWLock: acquire and release as the writer"
    family = "file lock"

    def __init__(self) -> None:
        fd, self.path = tempfile.mkstemp(prefix="ipckit-bench-")
        os.close(fd)
        self.lock = FileRWLock(self.path)

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


class FileRWLockRead(FileRWLockWrite):
    """Readers do not hand anything over: they have it at the same time."""

    name = "FileRWLock (read)"
    about = "ipckit.filelock.FileRWLock: acquire and release as a reader"
    measures = (PAIR,)

    def calls(self) -> tuple[Callable[[], object], Callable[[], object]]:
        acquire = self.lock.acquire
        return lambda: acquire(shared=True), self.lock.release
