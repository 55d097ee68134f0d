"""Locks on whole files: flock(2)."""

from __future__ import annotations

import os

from ipckit.filelock._holders import Holder, holding
from ipckit.filelock._lock import FileLock

_IPK_FLOCK = 2  # IPK_FILELOCK_FLOCK of the header, spelt out: the core is loaded by whoever waits


class Flock(FileLock):
    """A lock that an open file description owns, on the whole file: what flock(1) takes.

    Two handles exclude each other, in one process or in two; give each thread a handle of its own. After fork(2) parent
    and child own it together, and whoever releases it releases it for both. It ends when the last owner closes or
    dies. **To convert it is to give it back and take it anew**: somebody else may come between, and where the new lock
    can't be had the old one is gone (`held` says so). It needs no right to write. On NFS it is a record lock.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     mine, other = Flock(file.name), Flock(file.name)
    ...     with mine.shared(), other.shared():
    ...         other.held
    ...     mine.close(), other.close()
    'shared'
    (None, None)
    """

    __slots__ = ()

    _kind = _IPK_FLOCK
    _call = "flock"

    def __init__(self, path_or_fd: str | os.PathLike[str] | int, *, mode: int = 0o600) -> None:
        """Open the file, or use a descriptor of it, without locking anything.

        Args:
            path_or_fd: a path, whose file is created where there is none; or a descriptor, which stays yours to
                close, and whose open file description then owns the lock.
            mode: permission bits of a file that is created here (umask(2) applies).

        Raises:
            AccessError: the file's mode forbids reading it (EACCES).
        """
        super().__init__(path_or_fd, mode=mode)

    def holder(self) -> Holder | None:
        """Who keeps this handle from an exclusive lock now; None where nobody is found.

        The kernel has no call for it: the locks of all processes in /proc are compared. A snapshot; other users'
        processes, and those in another container, may be missing.
        """
        self._check_open()
        mine = {os.getpid()} if self._lane.held is not None else set()
        shared: set[int] = set(holding(*self._identity(), "FLOCK", 0, 0, access="READ")) - mine
        exclusive: set[int] = set(holding(*self._identity(), "FLOCK", 0, 0, access="WRITE")) - mine
        if pids := exclusive or shared:
            return Holder(tuple(sorted(pids)), not exclusive, 0, 0)
        return None

    def _attempt_failed(self) -> None:
        self._lane.held = None  # the kernel gave the old lock back before it tried the new one

    def _range(self) -> dict[str, int]:
        return {}
