"""A forked child, from its beginning to its end: fork(2), pidfd_open(2)."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from ipckit.errors import IPCError, NoProcessError, WorkerDiedError, syscall_error
from ipckit.process import PidFd
from ipckit.server._inheritance import not_for_children

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ipckit.server._peer import Peer

_NOT_AT_FORK = (signal.SIGINT, signal.SIGTERM)


class Worker:
    """A child of this process. It is waited for by its own number, so that other children stay their maker's."""

    __slots__ = ("begun_ns", "peer", "pid", "pidfd")

    def __init__(self, pid: int, peer: Peer | None) -> None:
        self.pid = pid
        self.peer = peer
        self.begun_ns = time.monotonic_ns()
        try:
            self.pidfd = not_for_children(PidFd.open(pid))
        except NoProcessError:
            raise
        except IPCError:
            with suppress(ProcessLookupError, ChildProcessError):  # SIGCHLD is ignored
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            raise

    @classmethod
    def fork(cls, serve: Callable[[], None], connection: Any = None, peer: Peer | None = None) -> Worker:
        """Have a child do *serve* and end. It has *connection*, which this process closes.

        Raises:
            SyscallError: fork(2) failed (EAGAIN: RLIMIT_NPROC, ENOMEM), or there is no descriptor left (EMFILE).
            NoProcessError: SIGCHLD is ignored, and it has ended already (ESRCH).
        """
        _flush()  # or the child, at its end, would write once more what is in the buffers
        # Or a handler of the program's that raises could run in the child, and have it go on as the program itself.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_AT_FORK)
        try:
            pid = os.fork()
            if pid == 0:
                _run(serve, connection, mask)
        except OSError as error:
            remedy = "see RLIMIT_NPROC (ulimit -u) and pids.max of cgroups(7)"
            raise syscall_error(error.errno or errno.EIO, "fork", remedy=remedy) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if connection is not None:
            connection.close()  # first, so that there is a descriptor for the pidfd
        return cls(pid, peer)

    def kill(self) -> None:
        """End it, whatever it does: SIGKILL."""
        try:
            self.pidfd.send_signal(signal.SIGKILL)
        except NoProcessError:
            pass  # somebody else has waited for it

    def reap(self) -> WorkerDiedError | None:
        """Wait for its end; what is wrong with it if anything is."""
        with self.pidfd:
            code = self.pidfd.wait()
        if not code:  # None: the program ignores SIGCHLD, or waits for all children itself
            return None
        how = f"was killed by signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"ended with status {code}"
        error = WorkerDiedError(f"worker process {self.pid} {how}")
        error.pid, error.status = self.pid, code
        return error


def _run(serve: Callable[[], None], connection: Any, mask: Iterable[int]) -> NoReturn:
    """In the child."""
    status = 1
    try:
        # Ctrl-C reaches all processes of a terminal, and the parent acts on it for all. A function, for what the
        # handler executes would inherit SIG_IGN.
        signal.signal(signal.SIGINT, lambda _number, _frame: None)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.set_wakeup_fd(-1)
        if connection is not None:
            not_for_children(connection)
        serve()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            if connection is not None:
                connection.close()
            _flush()
        finally:
            os._exit(status)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # there is none, it is closed, or nobody reads it
