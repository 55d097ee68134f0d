"""An attempt at a lock on a file: the compiled fast lane where it is there, the same calls on cffi where it is not.

Each method returns ``-errno`` where it fails. `take` never waits for another owner; on a network file system both
wait for the server.
"""

from __future__ import annotations

import errno
from typing import Protocol


class Lane(Protocol):
    """What a lock on a file asks of its lane."""

    def take(self, shared: bool, /) -> int:  # noqa: FBT001
        """Take the lock, or convert it; 0, or -errno."""

    def give(self) -> int:
        """Give it back; 0, or -errno."""

    def close(self) -> None:
        """Have every later call say -EBADF."""


class CffiLane:
    """The lane for an installation without the extension: a pair takes half as long again; otherwise the same."""

    __slots__ = ("_fd", "_kind", "_length", "_start")

    def __init__(self, fd: int, kind: int, start: int, length: int) -> None:
        self._fd = fd
        self._kind = kind
        self._start = start
        self._length = length

    def take(self, shared: bool, /) -> int:  # noqa: FBT001
        from ipckit._native import lib  # whoever has the extension, and never waits, never loads it

        where = (self._fd, self._kind, not shared, self._start, self._length)
        while (rc := lib.ipk_filelock_try(*where)) == -errno.EINTR:  # signal handlers run in between
            pass
        return rc

    def give(self) -> int:
        from ipckit._native import lib

        where = (self._fd, self._kind, self._start, self._length)
        while (rc := lib.ipk_filelock_release(*where)) == -errno.EINTR:
            pass
        return rc

    def close(self) -> None:
        self._fd = -1


def lane_of(fd: int, kind: int, start: int, length: int) -> Lane:
    """The fastest lane of this installation for a lock of *kind* (IPK_FILELOCK_*) on *length* bytes from *start*."""
    try:
        from ipckit._lane import FileLockLane
    except ImportError:
        return CffiLane(fd, kind, start, length)
    return FileLockLane(fd, kind, start, length)
