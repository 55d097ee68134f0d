"""What both sides of a pseudo-terminal have in common: termios(3), TIOCGWINSZ(2const), poll(2)."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import termios
from functools import partial
from struct import Struct
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ipckit._framing import Framing, at_least_one
from ipckit._retry import failure
from ipckit._stream_reading import ByteReading
from ipckit._stream_writing import ByteWriting
from ipckit.errors import syscall_error
from ipckit.pty._modes import LFLAG, Attributes, make_cooked, make_echo, make_raw

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

T = TypeVar("T")

_WINSIZE = Struct("HHHH")  # struct winsize: rows, columns, and two that nobody uses: its size in pixels
_MOST = 0xFFFF
_COPIED = 16384  # bytes; up to here it is cheaper to copy header and message together than to call writev(2)


class WindowSize(NamedTuple):
    """The size of a terminal's window, in characters."""

    rows: int
    columns: int


class PtySide(ByteReading, ByteWriting):
    """One side; its descriptor is non-blocking and close-on-exec.

    Modes, window size and foreground group are the terminal's: either side sees and sets the same ones.
    """

    __slots__ = ("_framing", "_name", "_seen_raw")

    def __init__(self, fd: int, name: str) -> None:
        super().__init__(fd)
        self._framing = Framing(self._largest)
        self._name = name
        self._seen_raw = False

    @property
    def name(self) -> str:
        """The path of the terminal side, such as ``/dev/pts/3``; it leads there as long as the master is open."""
        return self._name

    @property
    def window_size(self) -> WindowSize:
        """Rows and columns, as a program asks for them with TIOCGWINSZ; 0 where nobody has said."""
        rows, columns, _, _ = _WINSIZE.unpack(self._ioctl("TIOCGWINSZ", termios.TIOCGWINSZ, bytes(_WINSIZE.size)))
        return WindowSize(rows, columns)

    def set_window_size(self, rows: int, columns: int) -> None:
        """Set the size; the foreground process group gets SIGWINCH if it differs from what it was.

        Args:
            rows: 0 to 65535 characters.
            columns: likewise.
        """
        self._ioctl("TIOCSWINSZ", termios.TIOCSWINSZ, packed_size(rows, columns))

    @property
    def echo(self) -> bool:
        """Whether the terminal writes back what is typed (ECHO), so that the master reads it again."""
        return bool(self.attributes()[LFLAG] & termios.ECHO)

    @echo.setter
    def echo(self, echo: bool) -> None:
        attributes = self.attributes()
        make_echo(attributes, echo=echo)
        self.set_attributes(attributes)

    @property
    def canonical(self) -> bool:
        """Whether input is given out line by line (ICANON): True in cooked mode, False in raw."""
        return bool(self.attributes()[LFLAG] & termios.ICANON)

    def set_raw(self) -> None:
        """Raw mode: every byte passes unchanged both ways, no echo, no lines, no signals (cfmakeraw of termios(3))."""
        attributes = self.attributes()
        make_raw(attributes)
        self.set_attributes(attributes)

    def set_cooked(self, *, echo: bool = True) -> None:
        r"""Cooked mode, as a terminal begins: lines of at most 4095 bytes that can be edited, ``\n`` out as ``\r\n``.

        ^C, ^\\ and ^Z (0x03, 0x1C, 0x1A) signal the foreground process group, ^D (0x04) ends the input where it
        begins a line.

        Args:
            echo: whether the terminal writes back what is typed.
        """
        attributes = self.attributes()
        make_cooked(attributes, echo=echo)
        self.set_attributes(attributes)

    def attributes(self) -> Attributes:
        """All that termios(3) knows, as `termios.tcgetattr` returns it: a list of seven."""
        try:
            return termios.tcgetattr(self.fileno())
        except termios.error as error:
            raise failure(self, OSError(*error.args), "tcgetattr") from None

    def set_attributes(self, attributes: Attributes) -> None:
        """Set them, at once (TCSANOW).

        On the terminal side, a process in the background is stopped for it (SIGTTOU), as tcsetattr(3) says.
        """
        try:
            termios.tcsetattr(self.fileno(), termios.TCSANOW, attributes)
        except termios.error as error:
            raise failure(self, OSError(*error.args), "tcsetattr") from None

    @property
    def foreground(self) -> int:
        """The foreground process group of the session whose controlling terminal this is; 0 where there is none.

        The master may always ask; on the terminal side only a process of that session (else ENOTTY).
        """
        self._check_open()
        try:
            return os.tcgetpgrp(self._fd)
        except OSError as error:
            raise failure(self, error, "tcgetpgrp") from None

    @property
    def available(self) -> int:
        """How many bytes a read would find now (FIONREAD); in cooked mode, of whole lines on the terminal side."""
        self._events()  # moves what the other side has written to where FIONREAD looks
        return super().available

    def _ioctl(self, name: str, request: int, argument: bytes | int) -> bytes:
        self._check_open()
        try:
            return fcntl.ioctl(self._fd, request, argument)  # type: ignore[return-value]
        except OSError as error:
            raise failure(self, error, f"ioctl({name})") from None

    def _pull(self, size: int) -> bytes:
        try:
            return os.read(self._fd, size) or self._nothing(size)
        except OSError as error:
            if not self._may_be_the_end(error):
                raise
        return _left(partial(os.read, self._fd, size), b"")

    def _pull_to(self, pieces: list[bytes], size: int) -> None:
        try:
            pieces += map(os.read, (self._fd,), (size,))
        except OSError as error:
            if not self._may_be_the_end(error):
                raise
            pieces += (self._pull(size),)

    def _nothing(self, size: int) -> bytes:
        at_least_one(size)
        return b""

    def _pull_into(self, buffer: Buffer) -> int:
        try:
            return os.readv(self._fd, [buffer]) or len(self._nothing(memoryview(buffer).nbytes))
        except OSError as error:
            if not self._may_be_the_end(error):
                raise
        return _left(partial(os.readv, self._fd, [buffer]), 0)

    def _may_be_the_end(self, error: OSError) -> bool:
        """Whether *error* of a read says that nobody has the other side open: the kernel's EIO."""
        return error.errno == errno.EIO

    def _push(self, data: Buffer) -> int:
        try:
            return os.write(self._fd, data)
        except OSError as error:
            raise self._judged(error) from None

    def _push_to(self, outs: list[int], data: Buffer) -> None:
        try:
            outs += map(os.write, (self._fd,), (data,))
        except OSError as error:
            raise self._judged(error) from None

    def _push_both(self, outs: list[int], header: bytes, data: bytes | memoryview) -> None:
        if not self._seen_raw:
            self._require_raw()
        try:
            if len(data) <= _COPIED:
                outs += map(os.write, (self._fd,), (header + data,))
            else:
                outs += map(os.writev, (self._fd,), ((header, data),))
        except OSError as error:
            raise self._judged(error) from None

    def _push_file(self, fd: int, count: int, offset: int | None) -> int:
        try:
            return super()._push_file(fd, count, offset)
        except OSError as error:
            raise self._judged(error) from None

    def _require_raw(self) -> None:
        # A length's own bytes would be keys: 3 is ^C. Asked once, for the price of a system call.
        if self.canonical:
            remedy = "messages need raw mode: set_raw(), or raw=True where the pseudo-terminal is made"
            raise syscall_error(errno.EOPNOTSUPP, "send", repr(self), remedy=remedy)
        self._seen_raw = True

    def _judged(self, error: OSError) -> OSError:
        """What to raise for *error* of a write: where the other side has gone, nobody will ever make room."""
        if error.errno in {errno.EAGAIN, errno.EIO} and self._events() & select.POLLHUP:
            return OSError(errno.EPIPE, os.strerror(errno.EPIPE))
        return error

    def _events(self) -> int:
        poller = select.poll()
        poller.register(self.fileno(), select.POLLIN)
        return sum(events for _, events in poller.poll(0))

    def _describe(self) -> str:
        return f"{self._name!r} {super()._describe()}"


def _left(pull: Callable[[], T], nothing: T) -> T:
    """What a read finds after the kernel's EIO: *nothing* where no process has the other side open.

    The kernel looks for bytes, and then whether the other side is open: what was written in between, by a program
    that then closed it, is still to be read.
    """
    try:
        return pull()
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return nothing


def packed_size(rows: int, columns: int) -> bytes:
    """A struct winsize.

    Raises:
        ValueError: a number is below 0 or above 65535.
    """
    for what, number in (("rows", rows), ("columns", columns)):
        if not 0 <= number <= _MOST:
            raise ValueError(f"{what} must be from 0 to {_MOST} characters, not {number!r}")
    return _WINSIZE.pack(rows, columns, 0, 0)


def is_terminal(fd: int) -> bool:
    """Whether *fd* is a terminal.

    Raises:
        SyscallError: it is no descriptor (EBADF).
    """
    try:
        os.fstat(fd)
    except OSError as error:
        raise syscall_error(error.errno or errno.EIO, "fstat", f"fd {fd}") from None
    return os.isatty(fd)
