"""The side of a pseudo-terminal, or any terminal, that programs use: pts(4), termios(3), credentials(7)."""

from __future__ import annotations

import errno
import os
import select
import termios
from typing import TYPE_CHECKING

from ipckit._retry import failure
from ipckit.errors import syscall_error
from ipckit.pty._device import open_terminal
from ipckit.pty._settings import PtySide, is_terminal

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Terminal"]


class Terminal(PtySide):
    r"""The terminal side of a pseudo-terminal, or any other terminal.

    In cooked mode a `read` gets one line at most, of at most 4095 bytes and its ``\n``; what is longer is lost. An
    empty one (b"") is ^D typed where a line begins, and the terminal goes on; or the end, if the master is closed:
    writing is then a BrokenPeerError (the kernel's EIO). In raw mode `send` and `receive` move whole messages.

    Atomicity: none; what several processes write at once may mix as soon as the terminal is full. Threads take turns
    in `send` and in `receive`. All who have the terminal open, forked children too, share its input: a line goes to
    one of them.

    >>> from ipckit import PseudoTerminal
    >>> master, terminal = PseudoTerminal.create(echo=False)
    >>> with master, terminal:
    ...     _ = terminal.write(b"one\ntwo\n")
    ...     master.read_until(b"two\r\n", timeout=1)
    b'one\r\ntwo\r\n'
    """

    __slots__ = ()

    def __init__(self, fd: int) -> None:
        super().__init__(fd, _name_of(fd))

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open the terminal at *path*, such as ``/dev/pts/3``, or ``/dev/tty`` for one's own.

        It never becomes the controlling terminal by that: `make_controlling` does it.

        Raises:
            NotFoundError, AccessError: as open(2) says (ENOENT, EACCES).
            ValueError: it is no terminal.
        """
        fd = open_terminal(os.fspath(path))
        if not os.isatty(fd):
            os.close(fd)
            raise ValueError(f"path must be a terminal's, and {path!s} is none")
        return cls(fd)

    @classmethod
    def from_fd(cls, fd: int) -> Self:
        """Take over the descriptor of a terminal, such as one's own standard input.

        Where it is in blocking mode, the handle gets an open file description of its own and *fd* is closed: other
        holders of the old one, such as the shell, never notice.

        Raises:
            ValueError: *fd* is no terminal; it stays open.
        """
        if not is_terminal(fd):
            raise ValueError(f"fd must be a terminal, and descriptor {fd} is none")
        if not os.get_blocking(fd):
            os.set_inheritable(fd, False)
            return cls(fd)
        own = open_terminal(f"/proc/self/fd/{fd}")
        os.close(fd)
        return cls(own)

    def blocking_descriptor(self) -> int:
        """A new descriptor of the terminal for a program that expects a blocking one, such as a child's stdin.

        It has an open file description of its own, is close-on-exec, and the caller's to close.
        """
        self._check_open()
        return open_terminal(f"/proc/self/fd/{self._fd}", blocking=True)

    def make_controlling(self) -> None:
        """Make this the controlling terminal of the session that the calling process leads (TIOCSCTTY).

        `PseudoTerminal.spawn` does it for the program that it starts; this is for processes of one's own, after
        `os.setsid`.

        Raises:
            AccessError: the process leads no session, has a controlling terminal already, or this one is another
                session's (EPERM).
        """
        self._check_open()
        remedy = "call os.setsid() first; a terminal serves one session at a time"
        try:
            self._ioctl("TIOCSCTTY", termios.TIOCSCTTY, 0)
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
            raise syscall_error(errno.EPERM, "ioctl(TIOCSCTTY)", repr(self), remedy=remedy) from None

    def set_foreground(self, group: int) -> None:
        """Make *group* the foreground process group: the one that may read and that the keyboard signals.

        A process in the background is stopped for it (SIGTTOU) unless it blocks or ignores that signal.

        Raises:
            AccessError: there is no such group in this session (EPERM).
            SyscallError: this is not the controlling terminal of the calling process (ENOTTY).
        """
        self._check_open()
        try:
            os.tcsetpgrp(self._fd, group)
        except OSError as error:
            raise failure(self, error, "tcsetpgrp") from None

    def _may_be_the_end(self, error: OSError) -> bool:
        # The end of the input is 0 bytes once the terminal is hung up, and EIO just before, when the master closes.
        # EIO is also the answer to a background process that nobody could stop.
        return super()._may_be_the_end(error) and bool(self._events() & select.POLLHUP)


def _name_of(fd: int) -> str:
    try:
        return os.ttyname(fd)
    except OSError:  # it is not in this process's /dev/pts
        return os.readlink(f"/proc/self/fd/{fd}")
