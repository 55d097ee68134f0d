"""How pseudo-terminals are made: pty(7), openpty(3), forkpty(3)."""

from __future__ import annotations

import fcntl
import os
import termios
from typing import TYPE_CHECKING

from ipckit.pty._device import open_master
from ipckit.pty._modes import make_echo, make_raw
from ipckit.pty._settings import packed_size
from ipckit.pty.master import PtyMaster
from ipckit.pty.process import TerminalProcess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ipckit.pty.terminal import Terminal

__all__ = ["PseudoTerminal"]


class PseudoTerminal:
    r"""A terminal without a device: a program has one side for its keyboard and screen, another program drives it.

    `create` returns both sides, `spawn` starts a program on one and returns the other.

    >>> with PseudoTerminal.spawn(["sh", "-c", "tty; stty size"], rows=40, columns=100) as program:
    ...     terminal = program.read_until(b"\n", timeout=5)
    ...     program.read_until(b"\n", timeout=5)
    b'40 100\r\n'
    """

    __slots__ = ()

    @staticmethod
    def create(
        *, rows: int = 24, columns: int = 80, echo: bool = True, raw: bool = False
    ) -> tuple[PtyMaster, Terminal]:
        """Make a pseudo-terminal; return its master and its terminal side.

        Args:
            rows: of its window, 0 to 65535 characters.
            columns: likewise.
            echo: whether the terminal writes back what is typed; never in raw mode.
            raw: raw mode, in which every byte passes unchanged, instead of cooked mode.

        Raises:
            LimitError: too many descriptors (EMFILE, ENFILE), or pseudo-terminals (sysctl kernel.pty.max, ENOSPC).
        """
        master = PtyMaster(_new_master(rows, columns, echo=echo, raw=raw))
        try:
            return master, master.open_terminal()
        except BaseException:
            master.close()
            raise

    @staticmethod
    def spawn(
        args: Sequence[str | bytes | os.PathLike[str]],
        *,
        env: Mapping[str, str] | None = None,
        rows: int = 24,
        columns: int = 80,
        echo: bool = True,
        raw: bool = False,
        grace: float = 2.0,
    ) -> TerminalProcess:
        """Start a program in a session of its own, whose controlling terminal is a new pseudo-terminal.

        Its signals are at their defaults and none is blocked; it inherits no descriptor but the terminal's.

        Args:
            args: the program, found in PATH unless there is a slash in it, and its arguments.
            env: its environment; None for a copy of this process's.
            rows: of its window, 0 to 65535 characters.
            columns: likewise.
            echo: whether the terminal writes back what is typed, until the program changes it.
            raw: raw mode, in which every byte passes unchanged, instead of cooked mode.
            grace: for how many seconds `close` lets the program end by itself, before it kills it.

        Raises:
            NotFoundError: there is no such program (ENOENT).
            AccessError: it may not be executed (EACCES).
            LimitError: too many descriptors, pseudo-terminals or processes.
        """
        if isinstance(args, (str, bytes)):
            raise TypeError(f"args must be a list: a program and its arguments; shlex.split({args!r}) makes one")
        words = [os.fspath(word) for word in args]
        if not words:
            raise ValueError("args must have at least the program")
        if not grace >= 0:  # also refuses NaN
            raise ValueError(f"grace must be 0 or more seconds, not {grace!r}")
        return TerminalProcess(_new_master(rows, columns, echo=echo, raw=raw), words, env, grace)


def _new_master(rows: int, columns: int, *, echo: bool, raw: bool) -> int:
    """The descriptor of a new master. All is set before anybody has the terminal side, so that none sees it change."""
    size = packed_size(rows, columns)
    fd = open_master()
    try:
        fcntl.ioctl(fd, termios.TIOCSWINSZ, size)
        if raw or not echo:  # otherwise it is as the kernel makes it
            attributes = termios.tcgetattr(fd)
            if raw:
                make_raw(attributes)
            else:
                make_echo(attributes, echo=False)
            termios.tcsetattr(fd, termios.TCSANOW, attributes)
    except BaseException:
        os.close(fd)
        raise
    return fd
