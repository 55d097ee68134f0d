"""Locks on ranges of bytes: fcntl_locking(2)."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from typing import TYPE_CHECKING, ClassVar

from ipckit.filelock._holders import Holder, holding
from ipckit.filelock._lock import FileLock

if TYPE_CHECKING:
    from typing import Final

_FLOCK: Final = struct.Struct("@hhqqi0q")  # struct flock, with 64-bit offsets: type, whence, start, length, pid
_IPK_RECORD, _IPK_OFD = 0, 1  # IPK_FILELOCK_* of the header, spelt out: the core is loaded by whoever waits


class RangeLock(FileLock):
    """A lock on a range of bytes of a file."""

    __slots__ = ()

    _get: ClassVar[int]
    _call = "fcntl"

    def holder(self) -> Holder | None:
        self._check_open()
        try:
            wanted = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, self._start, self._length, 0)
            found = fcntl.fcntl(self._fd, self._get, wanted)
        except OSError as error:
            raise self._failure(error.errno or errno.EIO) from None
        kind, _, start, length, pid = _FLOCK.unpack(found)
        if kind == fcntl.F_UNLCK:
            return None
        # -1 for an open file description, 0 for a process that this pid namespace does not see
        pids = (pid,) if pid > 0 else holding(*self._identity(), "OFDLCK", start, length) if pid == -1 else ()
        return Holder(pids, kind == fcntl.F_RDLCK, start, length)


class OfdLock(RangeLock):
    """A lock that an open file description owns: two handles exclude each other, in one process or in two.

    Give each thread a handle of its own: two threads with one handle are one owner, and do not exclude each other.
    After fork(2) parent and child own the lock together: whoever releases it releases it for both, and it ends with
    the last of them. An exec drops it, and so do `close` and the death of all owners, by SIGKILL too. To convert a
    shared lock keeps it until the exclusive one is there: two that convert at once wait for each other, so give that a
    timeout. Linux 3.15.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     mine, other = OfdLock(file.name), OfdLock(file.name)
    ...     with mine:
    ...         other.acquire(timeout=0.01)
    ...     mine.close(), other.close()
    False
    (None, None)
    """

    __slots__ = ()

    _kind = _IPK_OFD
    _get = fcntl.F_OFD_GETLK


class RecordLock(RangeLock):
    """A lock that the process owns: the only kind that most other programs know, and full of traps.

    All handles and threads of a process are one owner: they do not exclude each other. **The process loses it as soon
    as it closes any descriptor of the file**, were it opened by a library that only looked into it; closing another
    `RecordLock` of the same file is enough. A forked child does not have it; an exec keeps it unless the descriptor
    closes, and ours does. The kernel finds circles of waiting processes: DeadlockError.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     lock = RecordLock(file.name, start=100, length=10)
    ...     with lock:
    ...         lock.held
    ...     lock.close()
    'exclusive'
    """

    __slots__ = ()

    _kind = _IPK_RECORD
    _get = fcntl.F_GETLK

    def _after_fork_in_child(self) -> None:
        super()._after_fork_in_child()
        self._lane.held = None
