"""FIFOs, also called named pipes: fifo(7), mkfifo(3)."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Any

from ipckit._handle import NamedHandle, leads_to
from ipckit._names import check_mode, checked_path
from ipckit._retry import expired, pause
from ipckit._wait import Deadline
from ipckit.errors import LimitError, syscall_error
from ipckit.pipe import PipeReader, PipeWriter

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Fifo"]


class Fifo(NamedHandle):
    """A pipe that processes find by a path; its ends are a pipe's ends, opened one at a time.

    The handle holds the FIFO itself, not its path: the ends open even after somebody has unlinked or replaced the
    path. Handle and ends are independent, each is closed on its own. All readers share one stream of bytes, and so
    do all writers: see `ipckit.pipe.PipeReader` and `ipckit.pipe.PipeWriter` for threads, processes and atomicity.

    When the last writer closes, readers find the end of the stream, and data again once a new writer has come.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory, Fifo.create(f"{directory}/fifo") as fifo:
    ...     with fifo.open_reader() as reader, fifo.open_writer(timeout=1) as writer:
    ...         writer.send(b"one message")
    ...         reader.receive(timeout=1)
    b'one message'
    """

    __slots__ = ("_fd",)

    def __init__(self, fd: int, name: str, *, unlink_on_close: bool = False) -> None:
        super().__init__(name, unlink_on_close=unlink_on_close)
        self._fd = fd

    @classmethod
    def create(
        cls, path: str | os.PathLike[str] | None = None, *, mode: int = 0o600, unlink_on_close: bool = False
    ) -> Self:
        """Make a FIFO, exclusively.

        Args:
            path: where; None for a unique name in the directory for temporary files.
            mode: permission bits, exactly, whatever the umask; readers need r, writers w.
            unlink_on_close: whether `close` in this process removes the path.

        Raises:
            AlreadyExistsError: the path is taken (EEXIST).
            NotFoundError: its directory does not exist (ENOENT).
        """
        check_mode(mode)
        name = _unique_path() if path is None else checked_path(path)
        try:
            os.mkfifo(name, mode)
        except OSError as error:
            raise syscall_error(error.errno or errno.EIO, "mkfifo", name) from None
        try:
            fifo = cls.open(name)
        except LimitError:  # a path that nobody has is in the way of the next attempt
            os.unlink(name)
            raise
        if stat.S_IMODE(os.fstat(fifo._fd).st_mode) != mode:
            # The umask took bits away. Not by name: that may be another file's by now. (fchmod(2) refuses O_PATH.)
            os.chmod(f"/proc/self/fd/{fifo._fd}", mode)
        fifo._unlinker = os.getpid() if unlink_on_close else 0
        return fifo

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Find the FIFO at *path*; this opens neither end and never waits.

        Raises:
            NotFoundError: there is nothing (ENOENT).
            ValueError: there is something that is no FIFO.
        """
        name = checked_path(path)
        try:
            fd = os.open(name, os.O_PATH | os.O_CLOEXEC)
        except OSError as error:
            raise syscall_error(error.errno or errno.EIO, "open", name) from None
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            os.close(fd)
            raise ValueError(f"path must be a FIFO's, and something else is there: {name!r}")
        return cls(fd, name)

    @classmethod
    def open_or_create(cls, path: str | os.PathLike[str], **how: Any) -> Self:  # type: ignore[override] # no name
        """Find the FIFO at *path*, or make it if there is nothing; *how* is for `create` alone."""
        return super().open_or_create(checked_path(path), **how)

    @classmethod
    def unlink_name(cls, path: str | os.PathLike[str]) -> None:
        """Remove *path*; ends that are open go on working.

        Raises:
            NotFoundError: there is nothing (ENOENT).
            ValueError: there is something that is no FIFO.
        """
        name = checked_path(path)
        try:
            if not stat.S_ISFIFO(os.lstat(name).st_mode):
                raise ValueError(f"path must be a FIFO's, and something else is there: {name!r}")
            os.unlink(name)
        except OSError as error:
            raise syscall_error(error.errno or errno.EIO, "unlink", name) from None

    def open_reader(self, timeout: float | None = None, *, keep_open: bool = False) -> PipeReader:
        """Open the reading end. This succeeds at once; the reader's first `read` waits for the first writer.

        Args:
            timeout: never used up; here so that both ends open alike.
            keep_open: let the reader hold the writing side open, too, so that the stream never ends: for a server
                whose writers come and go. (Linux lets one open both sides at once, O_RDWR.)

        Raises:
            AccessError: the permission bits forbid it (EACCES).
        """
        Deadline.after(timeout)
        return PipeReader(self._open_end(os.O_RDWR if keep_open else os.O_RDONLY))

    def open_writer(self, timeout: float | None = None) -> PipeWriter:
        """Open the writing end, waiting for a reader.

        No event tells of a reader, so the kernel is asked again at intervals that grow from 1 ms to 50 ms.

        Raises:
            TimeoutExpired: no reader came (ETIMEDOUT).
            AccessError: the permission bits forbid it (EACCES).
            ClosedError: another thread closed this handle.
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        turn = 0
        while True:
            try:
                return PipeWriter(self._open_end(os.O_WRONLY))
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
            if not pause(deadline, turn):
                raise expired(self, "open")
            turn += 1

    def _open_end(self, access: int) -> int:
        with self._in_use():
            try:
                return os.open(f"/proc/self/fd/{self._fd}", access | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError as error:
                raise syscall_error(error.errno or errno.EIO, "open", self._name) from None

    def _is_ours(self) -> bool:
        return leads_to(self._name, self._fd)

    def _identity(self) -> object:
        found = os.fstat(self._fd)
        return found.st_dev, found.st_ino

    def _release(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)


def _unique_path() -> str:
    from tempfile import gettempdir

    return f"{gettempdir()}/ipckit-{os.getpid()}-{os.urandom(8).hex()}"
