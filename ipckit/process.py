"""Processes by descriptor: pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2), waitid(2)."""

from __future__ import annotations

import errno
import os
import select
import signal
from typing import TYPE_CHECKING, Any

from ipckit._arguments import check_int
from ipckit._fdinfo import fdinfo
from ipckit._handle import FdHandle
from ipckit._native_quick import lib as quick
from ipckit._retry import expired, pause
from ipckit._signums import check_signum
from ipckit._sigqueue import check_queued, sending_error
from ipckit._wait import PASSED, Deadline, wait_fd
from ipckit.errors import NoProcessError, check, syscall_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Self

__all__ = ["PidFd"]

_P_PIDFD = 3  # waitid(2); older headers lack it, and then so does os
_INT_MAX = (1 << 31) - 1
_PYTHON_IGNORES = (signal.SIGPIPE, signal.SIGXFSZ)


class PidFd(FdHandle):
    """A hold on one process, which goes on meaning that process when its number has become another one's.

    To close it does nothing to the process. `fileno` is pollable: POLLIN once the process has ended. Threads may share
    it, and a forked child, or whoever else was given the descriptor, has the same process; only the parent of that
    process learns how it ended, and leaves no zombie, by `wait`.

    One SIGCHLD may stand for many children that have ended; each one's PidFd becomes ready.

    >>> with PidFd.spawn(["sh", "-c", "exit 3"]) as child:
    ...     child.wait(timeout=10)
    3
    """

    __slots__ = ("_pid", "_returncode")

    def __init__(self, fd: int, pid: int) -> None:
        super().__init__(fd)
        self._pid = pid
        self._returncode: int | None = None

    @classmethod
    def open(cls, pid: int) -> Self:
        """Take hold of the process that has the number *pid* now: pidfd_open(2).

        Between the moment that you learnt the number and this call, the process may have ended and its number gone to
        another one. It can't for a child of this process that nobody has waited for yet (where SIGCHLD is ignored, the
        kernel waits). For others: open first, then make sure that it is still the one you mean (it answers, it holds
        its lock, its start time in /proc is right); or get the descriptor from the kernel, as ``peer_pidfd()`` of a
        Unix socket does.

        Raises:
            NoProcessError: there is none (ESRCH).
            ValueError: *pid* is below 1, or the number of a thread that leads no process.
            UnsupportedError: Linux before 5.3 (ENOSYS).
            LimitError: too many descriptors (EMFILE, ENFILE).
        """
        check_int(pid, "pid", 1, _INT_MAX, "a process id")
        fd = quick.ipk_pidfd_open(pid)
        if fd in (-errno.EINVAL, -errno.ENOENT):
            raise ValueError(f"pid must be that of a process, and {pid} is that of a thread of one")
        return cls(check(fd, "pidfd_open", f"process {pid}"), pid)

    @classmethod
    def from_fd(cls, fd: int) -> Self:
        """Take over the descriptor *fd* of a process, such as ``peer_pidfd()`` of a Unix socket returns.

        Raises:
            ValueError: *fd* is no pidfd; it stays open.
        """
        found = fdinfo(fd)
        if "Pid" not in found:
            raise ValueError(f"fd must be a pidfd, and descriptor {fd} is not")
        os.set_inheritable(fd, False)
        return cls(fd, int(found["Pid"]))

    @classmethod
    def spawn(cls, args: Sequence[str], *, env: Mapping[str, str] | None = None, **how: Any) -> Self:
        """Start a program, found in PATH, and take hold of it: posix_spawn(3).

        It inherits what `os.posix_spawn` lets it inherit: standard streams, and descriptors that were made
        inheritable. It has no signals blocked, whatever this thread blocks. It is a child to be waited for: see
        `wait`. To take hold of a process that `subprocess` or `multiprocessing` has started, use `open` with its pid.

        Args:
            args: the program and its arguments.
            env: its environment; None: that of this process.
            how: keywords of `os.posix_spawn`: file_actions, setpgroup, setsid, setsigmask, setsigdef, scheduler,
                resetids.

        Raises:
            NotFoundError: there is no such program (ENOENT).
            AccessError: it is not executable (EACCES).
            NoProcessError: SIGCHLD is ignored, and it has ended already (ESRCH).
        """
        if isinstance(args, (str, bytes)) or not args:
            raise TypeError(f"args must be a list, the program and its arguments, not {args!r}")
        how = {"setsigmask": (), "setsigdef": _PYTHON_IGNORES, **how}
        try:
            pid = os.posix_spawnp(args[0], list(args), os.environ if env is None else env, **how)
        except OSError as error:
            raise syscall_error(error.errno or errno.EIO, "posix_spawn", args[0]) from None
        try:
            return cls.open(pid)
        except NoProcessError:  # SIGCHLD is ignored, and it has ended; its number may be another one's by now
            raise
        except BaseException:
            _end(pid)
            raise

    @property
    def pid(self) -> int:
        """The number of the process, as seen here; after `from_fd`, -1 for one that had been waited for already.

        It may be another process's once this one was waited for.
        """
        return self._pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended; a zombie has."""
        with self._in_use():
            return not wait_fd(self, self._fd, select.POLLIN, PASSED)

    @property
    def returncode(self) -> int | None:
        """What `wait` would return; None also while the process runs. Never waits, and leaves a zombie as it is."""
        with self._in_use():
            if wait_fd(self, self._fd, select.POLLIN, PASSED):
                self._learn()
        return self._returncode

    def wait(self, timeout: float | None = None, *, reap: bool = True) -> int | None:
        """Wait until the process has ended.

        The status is for the parent. Others get it from Linux 6.15 on, and only after the parent has waited; otherwise
        they get None, for "it has ended". So does the parent where somebody else has waited for the child, or SIGCHLD
        is ignored.

        Args:
            reap: for a child: also let the kernel forget it, so that no zombie is left. False leaves that to somebody
                else, such as the `subprocess.Popen` that started it, which would otherwise report 0.

        Returns:
            The exit status; the negative number of the signal that ended it; None if that can't be known here.

        Raises:
            TimeoutExpired: it still runs, or a debugger that traces it keeps its end to itself (ETIMEDOUT).
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        with self._in_use():
            if not wait_fd(self, self._fd, select.POLLIN, deadline):
                raise expired(self, "waitid")
            turn = 0
            while True:
                if self._learn():
                    break
                if not pause(deadline, turn):
                    raise expired(self, "waitid")
                self._check_open()
                turn += 1
            if reap:
                self._reap()
        return self._returncode

    def send_signal(self, signum: int) -> None:
        """Send the process a signal: pidfd_send_signal(2). Never to another one that has its number.

        A zombie takes signals, and does nothing.

        Args:
            signum: 0 only checks.

        Raises:
            NoProcessError: it has ended and was waited for (ESRCH).
            AccessError: it runs as another user (EPERM).
        """
        check_signum(signum, null=True)
        self._sent(lambda fd: quick.ipk_pidfd_signal(fd, signum), signum)

    def sigqueue(self, signum: int, value: int) -> None:
        """Queue a signal with an integer to the process, as `ipckit.signals.sigqueue` does.

        Raises:
            LimitError: the receiver's RLIMIT_SIGPENDING (EAGAIN).
            NoProcessError: it has ended and was waited for (ESRCH).
            AccessError: it runs as another user (EPERM).
        """
        check_queued(signum, value)
        self._sent(lambda fd: quick.ipk_pidfd_queue(fd, signum, value), signum)

    def getfd(self, fd: int) -> int:
        """A duplicate of the process's descriptor *fd*, close-on-exec, yours to close: pidfd_getfd(2).

        Both refer to the same open file description: offset, flags and locks are shared.

        Raises:
            AccessError: not permitted; it takes what attaching by ptrace(2) takes (EPERM).
            NoProcessError: it has ended (ESRCH).
            SyscallError: it has no such descriptor (EBADF).
            UnsupportedError: Linux before 5.6 (ENOSYS).
        """
        check_int(fd, "fd", 0, _INT_MAX, "a descriptor of the process")
        with self._in_use():
            copy = quick.ipk_pidfd_getfd(self._fd, fd)
            if copy == -errno.EBADF:
                remedy = f"process {self._pid} has no descriptor {fd}"
                raise syscall_error(errno.EBADF, "pidfd_getfd", repr(self), remedy=remedy)
            return check(copy, "pidfd_getfd", repr(self))

    def _sent(self, send: Callable[[int], int], signum: int) -> None:
        with self._in_use():
            result = send(self._fd)
        if result < 0:
            raise sending_error(-result, "pidfd_send_signal", self._pid, signum)

    def _learn(self) -> bool:
        """Note how the process ended, without reaping it: so no thread that comes second finds nothing.

        Returns:
            False where the kernel does not tell its parent yet: whoever traces it, ptrace(2), is told first.
        """
        try:
            ended = os.waitid(_P_PIDFD, self._fd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # not our child, or somebody has waited for it
            if self._returncode is None:
                status = quick.ipk_pidfd_status(self._fd)
                self._returncode = os.waitstatus_to_exitcode(status) if status >= 0 else None
        except BlockingIOError:  # the descriptor came with PIDFD_NONBLOCK
            return False
        else:
            if ended is None:
                return False
            self._returncode = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        return True

    def _reap(self) -> None:
        try:
            os.waitid(_P_PIDFD, self._fd, os.WEXITED | os.WNOHANG)
        except (ChildProcessError, BlockingIOError):
            pass

    def _describe(self) -> str:
        return f"pid={self._pid} fd={self._fd}"

    def _facts(self) -> tuple[Any, ...]:
        return (self._pid,)


def _end(pid: int) -> None:
    """Take back a child of ours of which nobody knows yet."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):  # SIGCHLD is ignored
        pass
