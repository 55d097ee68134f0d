"""A program that this process started, until it has ended and its status is known: waitpid(2), pidfd_open(2)."""

from __future__ import annotations

import _thread
import contextlib
import errno
import os
import select
import signal
import threading
from typing import TYPE_CHECKING

from ipckit._handle import FdHandle
from ipckit._retry import pause
from ipckit._wait import Deadline, wait_fd
from ipckit.errors import IPCError, syscall_error
from ipckit.features import has_pidfd

if TYPE_CHECKING:
    from ipckit._handle import Handle


class Child:
    """The program; all threads may use it at once, a forked process not at all."""

    __slots__ = ("_gone", "_lock", "_parent", "_pidfd", "pid", "returncode")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._gone = False
        self._parent = os.getpid()
        # Reentrant: a signal handler may ask on top of its own thread.
        self._lock = threading.RLock()
        self._pidfd: FdHandle | None = None
        try:
            if has_pidfd():
                self._pidfd = FdHandle(os.pidfd_open(pid))
        except ProcessLookupError:  # SIGCHLD is ignored, and it has ended already
            self._gone = True
        except BaseException as error:
            self.end(0)
            if isinstance(error, OSError) and not isinstance(error, IPCError):
                raise syscall_error(error.errno or errno.EIO, "pidfd_open", f"pid {pid}") from None
            raise

    @property
    def is_ours(self) -> bool:
        """Whether this is the process that started it, and not a forked child."""
        return os.getpid() == self._parent

    def ended(self) -> bool:
        """Whether it has ended; reaps it, and notes its status."""
        if not self.is_ours:
            return False
        with self._lock:
            if not self._gone:
                try:
                    pid, status = os.waitpid(self.pid, os.WNOHANG)
                except ChildProcessError:  # SIGCHLD is ignored, or somebody waited for any child
                    self._gone = True
                else:
                    if pid:
                        self.returncode = os.waitstatus_to_exitcode(status)
                        self._gone = True
            return self._gone

    def wait(self, handle: Handle | None, deadline: Deadline | None) -> bool:
        """Wait until it has ended, or *handle* is closed; False if the deadline has passed."""
        self._check_parent("waitpid")
        turn = 0
        while not self.ended():
            if not self._slept(handle, deadline, turn):
                return self.ended()
            turn += 1
        return True

    def _slept(self, handle: Handle | None, deadline: Deadline | None, turn: int) -> bool:
        pidfd = self._pidfd
        if pidfd is None:
            if handle is not None:
                handle._check_open()
            return pause(deadline, turn)
        with pidfd._in_use():  # whoever ends the program closes this, too
            if not wait_fd(pidfd if handle is None else handle, pidfd._fd, select.POLLIN, deadline):
                return False
        return self.ended() or pause(deadline, turn)  # whoever traces it, ptrace(2), is told of its end first

    def signal(self, number: int, *, group: bool = False) -> None:
        """Send it, or its process group, a signal; nothing where it has ended."""
        self._check_parent("kill")
        with self._lock:  # so that its pid stays its own
            if not self.ended():
                try:
                    (os.killpg if group else os.kill)(self.pid, number)
                except OSError as error:
                    raise syscall_error(error.errno or errno.EIO, "kill", f"pid {self.pid}") from None

    def end(self, grace: float) -> None:
        """Wait *grace* seconds for its end, then kill its process group; returns once it is reaped.

        Raises:
            AccessError: it runs as another user, so that it can't be killed (EPERM).
        """
        try:
            if self.is_ours:
                self._end(Deadline.after(grace))
        finally:
            self.forget()

    def _end(self, deadline: Deadline) -> None:
        try:
            self.wait(None, deadline)
        finally:  # at Ctrl-C, too: no zombie
            if not self.ended():
                self.signal(signal.SIGKILL, group=True)
                self.wait(None, None)

    def end_in_background(self, grace: float) -> None:
        """`end` in a thread of its own; nothing where none can be started. Fit for a finalizer.

        Returns when the thread runs: one that had yet to begin when the interpreter went would find its state freed.
        """
        begun = _thread.allocate_lock()
        begun.acquire()
        with contextlib.suppress(RuntimeError):
            # Not threading.Thread, whose start takes locks: the garbage collector comes at any moment.
            _thread.start_new_thread(self._end_in_thread, (begun, grace))
            begun.acquire()

    def _end_in_thread(self, begun: _thread.LockType, grace: float) -> None:
        begun.release()
        self.end(grace)

    def forget(self) -> None:
        """Let go of the pidfd."""
        pidfd, self._pidfd = self._pidfd, None
        if pidfd is not None:
            pidfd.close()

    def _check_parent(self, syscall: str) -> None:
        if not self.is_ours:
            remedy = "only the process that started it may wait for it or signal it by this handle"
            raise syscall_error(errno.ECHILD, syscall, f"pid {self.pid}", remedy=remedy)
