"""One instance of a program at a time: a pid file that is locked, as daemon(7) programs keep one in /run."""

from __future__ import annotations

import errno
import os
from contextlib import closing
from typing import TYPE_CHECKING

from ipckit._arguments import check_acquire
from ipckit._handle import Handle
from ipckit._names import check_mode
from ipckit._wait import PASSED, Deadline
from ipckit.errors import syscall_error
from ipckit.filelock._ranges import OfdLock

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

    from typing_extensions import Self


class PidFile(Handle):
    """A file with this process's pid, locked as long as the process lives and holds it.

    The lock tells whether the program runs, never the number in the file: a pid file that a killed process left
    behind is taken over, and one that is unlinked or replaced under its holder excludes nobody by mistake. The lock
    is an `OfdLock`: a forked child shares it, and keeps it when the parent ends; it calls `adopt` if it goes on as the
    instance, or `close`. One handle for each thread.

    >>> import tempfile
    >>> path = tempfile.mktemp()
    >>> with PidFile(path) as mine:
    ...     other = PidFile(path)
    ...     other.try_acquire(), other.holder_pid() == os.getpid()
    (False, True)
    >>> os.path.exists(path)
    False
    >>> mine.close(), other.close()
    (None, None)
    """

    __slots__ = ("_lock", "_mode", "_path")

    def __init__(self, path: str | os.PathLike[str], *, mode: int = 0o644) -> None:
        """Name the file, without touching it.

        Args:
            path: in a directory where this process may create files, such as /run/user/UID.
            mode: permission bits of the file (umask(2) applies).
        """
        check_mode(mode)
        if isinstance(path, bytes) or not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"path must be a str, not {path!r}")
        self._path = os.fspath(path)
        if not self._path or "\0" in self._path:
            raise ValueError(f"path must be without NUL characters, and not empty: {self._path!r}")
        super().__init__()
        self._mode = mode
        self._lock: OfdLock | None = None

    @property
    def name(self) -> str:
        """The path."""
        return self._path

    def acquire(self, *, blocking: bool = True, timeout: float | None = None) -> bool:
        """Become the instance, waiting until the present one ends; write this process's pid into the file.

        Args:
            blocking: False: only if there is none now.
            timeout: seconds; None waits for ever, 0 never waits.

        Returns:
            False if another instance ran for that time.

        Raises:
            BusyError: this handle has the file already (EBUSY).
            AccessError: the file, or its directory, can't be written (EACCES).
        """
        if timeout is not None:
            check_acquire(blocking, timeout)
        deadline = Deadline.after(timeout) if blocking else PASSED
        self._check_open()
        if self._lock is not None:
            raise syscall_error(errno.EBUSY, "fcntl", self._path, remedy="this handle is the instance already")
        while True:
            lock = OfdLock(self._path, mode=self._mode)
            self._lock = lock  # so that `close` in another thread ends the wait
            taken = False
            try:
                self._check_open()  # it may have been closed before it had this lock to close
                taken = lock.acquire(timeout=deadline.left()) and self._leads_to(lock)
                if taken:
                    self._write(lock)
                    return True
                if deadline.expired:
                    return False
            finally:
                if not taken:
                    self._lock = None
                    lock.close()

    def try_acquire(self) -> bool:
        """Become the instance if there is none now. Returns whether there was none."""
        return self.acquire(blocking=False)

    def adopt(self) -> None:
        """Write this process's pid: in a forked child that goes on as the instance, after its parent took the file.

        Raises:
            NotFoundError: the path no longer leads to the file, as when the parent had let go of it before (ENOENT).
            AccessError: this handle is not the instance (EPERM).
        """
        self._check_open()
        lock = self._lock
        if lock is None:
            raise syscall_error(errno.EPERM, "write", self._path, remedy="this handle is not the instance: acquire it")
        self._write(lock)
        if not self._leads_to(lock):  # looked at last: whoever reads our pid in it leaves it
            raise syscall_error(errno.ENOENT, "stat", self._path, remedy="the parent let go of it; acquire it anew")

    def release(self) -> None:
        """Unlink the file and give the lock back; in a forked child, only let go of this process's share.

        Raises:
            AccessError: this handle is not the instance (EPERM).
        """
        lock, self._lock = self._lock, None
        if lock is None:
            self._check_open()
            raise syscall_error(errno.EPERM, "fcntl", self._path, remedy="this handle is not the instance")
        self._let_go(lock)

    def holder_pid(self) -> int | None:
        """The pid of the instance, as it says in the file; None if none runs, or it has not said so yet. A snapshot."""
        self._check_open()
        try:
            with open(self._path, "rb") as file, closing(OfdLock(file.fileno())) as probe:
                holder = probe.holder()
                text = file.read(32).strip()
        except OSError:
            return None
        # Between taking the lock and writing its pid, the predecessor's number is in the file.
        if holder is None or not text.isdigit() or (holder.pids and int(text) not in holder.pids):
            return None
        return int(text)

    def __enter__(self) -> Self:
        if not self.acquire(blocking=False):
            pid = self.holder_pid()
            remedy = f"it runs already as process {pid}" if pid else "it runs already"
            raise syscall_error(errno.EBUSY, "fcntl", self._path, remedy=remedy)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _leads_to(self, lock: OfdLock) -> bool:
        """Whether the path still leads to the file that is locked: its last holder unlinks it."""
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == lock._identity()

    def _write(self, lock: OfdLock) -> None:
        text = _text()
        try:
            os.pwrite(lock.fileno(), text, 0)
            os.ftruncate(lock.fileno(), len(text))
        except OSError as error:
            raise syscall_error(error.errno or errno.EIO, "write", self._path) from None

    def _let_go(self, lock: OfdLock) -> None:
        try:
            # The file is the instance's: a forked child's, if that has adopted it, for it has the lock too.
            if os.pread(lock.fileno(), 32, 0) == _text() and self._leads_to(lock):
                os.unlink(self._path)  # before the lock goes, so that it is nobody else's
        except OSError as error:
            raise syscall_error(error.errno or errno.EIO, "unlink", self._path) from None
        finally:
            lock.close()  # and not release: a forked child would give its parent's lock back

    def _release(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None and not lock.closed:
            self._let_go(lock)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        self._check_open()
        return _again, (type(self), self._path, self._mode)

    def _describe(self) -> str:
        return f"{self._path!r} {'held' if self._lock is not None and self._lock.held else ''}".rstrip()


def _text() -> bytes:
    return b"%d\n" % os.getpid()


def _again(cls: type[PidFile], path: str, mode: int) -> PidFile:
    """In the process that unpickles: the same file, which it does not hold."""
    return cls(path, mode=mode)
