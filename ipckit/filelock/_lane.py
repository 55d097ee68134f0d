"""An attempt at a lock on a file: the compiled fast lane where it is there, the same calls on cffi where it is not.

Each method returns ``-errno`` where it fails. `take` never waits for another owner; on a network file system both
wait for the server.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from ipckit.filelock._lock import FileLock, Turn

T = TypeVar("T", bound="FileLock")


class Lane(Protocol):
    """What a lock on a file asks of its lane."""

    held: bool | None
    """None, or whether what was taken, and not given back, is shared; it changes in one step with the lock."""

    here: bool
    """Whether something was taken in this process, and not only in one of which it is a fork."""

    def take(self, shared: bool, /) -> int:  # noqa: FBT001
        """Take the lock, or convert it; 0, or -errno."""

    def give(self) -> int:
        """Give it back; 0, or -errno."""

    def enter(self, lock: T, /) -> T:
        """Take the lock exclusively for a ``with`` block, waiting for it."""

    def leave(self, lock: FileLock | Turn[FileLock], /) -> None:
        """Give back what a ``with`` block has taken."""

    def close(self) -> None:
        """Have every later call say -EBADF; nothing is held then."""


class CffiLane:
    """The lane for an installation without the extension: a pair takes half as long again; otherwise the same."""

    __slots__ = ("_fd", "_kind", "_length", "_start", "held", "here")

    def __init__(self, fd: int, kind: int, start: int, length: int) -> None:
        self.held: bool | None = None
        self.here = False
        self._fd = fd
        self._kind = kind
        self._start = start
        self._length = length

    def take(self, shared: bool, /) -> int:  # noqa: FBT001
        from ipckit._native import lib  # whoever has the extension, and never waits, never loads it

        where = (self._fd, self._kind, not shared, self._start, self._length)
        while (rc := lib.ipk_filelock_try(*where)) == -errno.EINTR:  # signal handlers run in between
            pass
        if not rc:
            self.held = bool(shared)
            self.here = True
        return rc

    def give(self) -> int:
        from ipckit._native import lib

        where = (self._fd, self._kind, self._start, self._length)
        while (rc := lib.ipk_filelock_release(*where)) == -errno.EINTR:
            pass
        if not rc:
            self.held = None
        return rc

    def enter(self, lock: T, /) -> T:
        return lock._enter_waiting() if self.take(False) else lock

    def leave(self, lock: FileLock | Turn[FileLock], /) -> None:
        if self.held is None or self.give():
            lock.release()  # says why not

    def close(self) -> None:
        self._fd = -1
        self.held = None


def lane_of(fd: int, kind: int, start: int, length: int) -> Lane:
    """The fastest lane of this installation for a lock of *kind* (IPK_FILELOCK_*) on *length* bytes from *start*."""
    try:
        from ipckit._lane import FileLockLane
    except ImportError:
        return CffiLane(fd, kind, start, length)
    return FileLockLane(fd, kind, start, length)
