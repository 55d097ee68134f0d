"""What both ends of a pipe or FIFO have in common: pipe(7), fcntl(2)."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from typing import TYPE_CHECKING, ClassVar

from ipckit._framing import Framed
from ipckit._retry import failure
from ipckit.errors import syscall_error

if TYPE_CHECKING:
    from typing_extensions import Self


class PipeEnd(Framed):
    """One end; its descriptor is non-blocking and close-on-exec, and its open file description its own."""

    __slots__ = ()

    packet: ClassVar[bool] = False
    """Whether the pipe is in packet mode (O_DIRECT of pipe(2))."""

    _access: ClassVar[int]
    _direction: ClassVar[str]

    @property
    def capacity(self) -> int:
        """How much the pipe holds, in bytes (F_GETPIPE_SZ of fcntl(2)); small writes that fill no page hold less."""
        self._check_open()
        try:
            return fcntl.fcntl(self._fd, fcntl.F_GETPIPE_SZ)
        except OSError as error:
            raise failure(self, error, "fcntl(F_GETPIPE_SZ)") from None

    def set_capacity(self, size: int) -> int:
        """Make the pipe hold *size* bytes or a little more; return what it holds now (F_SETPIPE_SZ of fcntl(2)).

        Args:
            size: bytes; the kernel rounds up to a power of two of pages, at least one.

        Raises:
            AccessError: *size* exceeds sysctl fs.pipe-max-size, or the pipes of this user have more pages than sysctl
                fs.pipe-user-pages-soft allows (EPERM).
            BusyError: the pipe holds more than that now (EBUSY).
        """
        self._check_open()
        if not 0 <= size < 1 << 31:
            raise ValueError(f"size must be from 0 to 2**31 - 1 bytes, not {size}")
        try:
            return fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, size)
        except OSError as error:
            remedy = _limit_remedy(size) if error.errno == errno.EPERM else None
            raise syscall_error(error.errno or errno.EIO, "fcntl(F_SETPIPE_SZ)", repr(self), remedy=remedy) from None

    def blocking_descriptor(self) -> int:
        """A new descriptor of this end for a program that expects a blocking one, such as a child's stdin or stdout.

        It has an open file description of its own (reopened through /proc/self/fd), so that its blocking mode does
        not touch ours. It is close-on-exec, and the caller's to close: ``subprocess.run(..., stdin=descriptor)``.
        """
        self._check_open()
        own = reopened(self._fd, self._access | (os.O_DIRECT if self.packet else 0), repr(self))
        os.set_blocking(own, True)
        return own

    @classmethod
    def from_fd(cls, fd: int) -> Self:
        """Take over the descriptor *fd* of a pipe or FIFO, as another program or `receive_fds` gave it.

        Where it is in blocking mode, the handle gets an open file description of its own and *fd* is closed: other
        holders of the old one never notice.

        Raises:
            ValueError: *fd* is no pipe, or the wrong end of one, or not of this class's mode; it stays open.
        """
        try:
            mode = os.fstat(fd).st_mode
        except OSError as error:
            raise syscall_error(error.errno or errno.EIO, "fstat", f"fd {fd}") from None
        if not stat.S_ISFIFO(mode):
            raise ValueError(f"fd must be a pipe or FIFO, and descriptor {fd} is not")
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        if flags & os.O_ACCMODE not in {cls._access, os.O_RDWR}:
            raise ValueError(f"fd must be the {cls._direction} end of a pipe, and descriptor {fd} is the other end")
        if bool(flags & os.O_DIRECT) is not cls.packet:
            kind = "Pipe" if cls.packet else "Packet"
            raise ValueError(
                f"fd is of the other mode: take descriptor {fd} over with {kind}{cls.__name__[-6:]}.from_fd"
            )
        if flags & os.O_NONBLOCK:
            os.set_inheritable(fd, False)
            return cls(fd)
        handle = cls._taken_anew(reopened(fd, flags, f"fd {fd}"), fd)
        os.close(fd)
        return handle

    @classmethod
    def _taken_anew(cls, own: int, old: int) -> Self:
        """The handle of *own*, which is *old* opened once more."""
        del old
        return cls(own)


def reopened(fd: int, flags: int, subject: str) -> int:
    """Open what *fd* is open on once more: a new, non-blocking, close-on-exec open file description."""
    try:
        # Non-blocking at first: to open a FIFO may otherwise wait for the other side.
        own = os.open(f"/proc/self/fd/{fd}", flags & os.O_ACCMODE | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        remedy = "the other side has closed" if error.errno == errno.ENXIO else None
        raise syscall_error(error.errno or errno.EIO, "open", subject, remedy=remedy) from None
    if flags & os.O_DIRECT:  # open(2) refuses it on a pipe
        fcntl.fcntl(own, fcntl.F_SETFL, os.O_NONBLOCK | os.O_DIRECT)
    return own


def _limit_remedy(size: int) -> str:
    try:
        with open("/proc/sys/fs/pipe-max-size", "rb") as file:
            limit = int(file.read())
    except (OSError, ValueError):
        return "see sysctls fs.pipe-max-size and fs.pipe-user-pages-soft"
    if size > limit:
        return f"sysctl fs.pipe-max-size is {limit} bytes; raise it, or ask for less"
    return "this user's pipes have more pages than sysctl fs.pipe-user-pages-soft; raise it, or close pipes"
