"""A program on a terminal of its own: pty(7), setsid(2), waitpid(2)."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING, Any

from ipckit._handle import received_descriptor
from ipckit._retry import expired
from ipckit._wait import Deadline
from ipckit.errors import syscall_error
from ipckit.pty._child import Child
from ipckit.pty._start import start
from ipckit.pty.master import PtyMaster

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TerminalProcess"]


class TerminalProcess(PtyMaster):
    r"""A program that runs on a terminal of its own, and the master of that terminal; `PseudoTerminal.spawn` makes it.

    What is written is typed at the program, what it prints is read; see `PtyMaster` for order and threads. The stream
    ends when the program, and whatever it started, have let the terminal go: what it leaves behind in the background
    keeps the stream open. When the program ends, the foreground group gets SIGHUP.

    `close`, also at the end of ``with``, hangs the terminal up (SIGHUP), waits for the program's end as long as its
    *grace* says, then kills its process group (SIGKILL), and leaves no zombie; `returncode` is known after it.

    fork(2): in the child the handle is a master only; `wait`, `send_signal`, and the ending of the program by `close`
    are for the process that spawned it. In a child of multiprocessing it arrives as a `PtyMaster`.

    >>> from ipckit import PseudoTerminal
    >>> with PseudoTerminal.spawn(["sh", "-c", "read name; echo hello $name"], echo=False) as program:
    ...     _ = program.write(b"world\n")
    ...     program.read_until(b"\n", timeout=5)
    ...     program.wait(timeout=5)
    b'hello world\r\n'
    0
    """

    __slots__ = ("_child", "_ending", "_grace")

    def __init__(self, fd: int, args: list[str | bytes], env: Mapping[str, str] | None, grace: float) -> None:
        super().__init__(fd)
        self._grace = grace
        try:
            self._child = Child(start(args, self._name, os.environ if env is None else env))
        except BaseException:
            super().close()
            raise
        self._ending = [None]  # emptied by whoever ends the program: list.pop is atomic, so exactly one does

    @property
    def pid(self) -> int:
        """The program's process, which leads its session and its process group."""
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for the signal that killed the program; None while it runs.

        It stays None where somebody else has reaped the program: SIGCHLD is ignored, or other code waits for any child.
        """
        self._child.ended()
        return self._child.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the program's end, and return its `returncode`.

        A program that prints more than the terminal holds waits for its reader: read to the end of the stream first.

        Raises:
            TimeoutExpired: it still runs (ETIMEDOUT).
            SyscallError: somebody else has reaped it (ECHILD), as `returncode` says.
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        self._check_open()
        if not self._child.wait(self, deadline):
            raise expired(self, "waitpid")
        code = self._child.returncode
        if code is None:
            remedy = "its status is lost: SIGCHLD is ignored, or other code waits for any child"
            raise syscall_error(errno.ECHILD, "waitpid", repr(self), remedy=remedy)
        return code

    def send_signal(self, signum: int) -> None:
        r"""Send the program a signal; nothing where it has ended.

        The keyboard's signals reach the whole foreground group instead: ``write(b"\x03")`` is ^C.

        Raises:
            AccessError: the program runs as another user (EPERM).
        """
        self._check_open()
        self._child.signal(signum)

    def close(self) -> None:
        """Hang the terminal up, and end the program: it has its *grace* to end by itself, then it is killed.

        Raises:
            AccessError: it did not end and can't be killed, for it runs as another user (EPERM).
        """
        try:
            super().close()
        finally:
            if self._takes_the_end():
                self._child.end(self._grace)

    def _takes_the_end(self) -> bool:
        try:
            self._ending.pop()
        except IndexError:
            return False
        return True

    def __del__(self) -> None:
        try:
            super().__del__()
        finally:
            if getattr(self, "_ending", None) and self._child.is_ours:  # a thread does what close would have done
                self._child.forget()
                if not sys.is_finalizing():  # when it is, the program has its SIGHUP: the terminal is gone
                    self._child.end_in_background(self._grace)

    def _describe(self) -> str:
        return f"pid={self.pid} {super()._describe()}"

    @classmethod
    def _adopt_travelled(cls, travelling: Any, *_facts: Any) -> Any:
        return PtyMaster(received_descriptor(travelling))
