"""To send a signal to a process: kill(2), sigqueue(3)."""

from __future__ import annotations

import errno
import os

from ipckit._arguments import check_int
from ipckit._native_quick import lib as quick
from ipckit._signums import check_signum
from ipckit._sigqueue import check_queued, sending_error

__all__ = ["send", "sigqueue"]

_PID_MAX = (1 << 31) - 1


def send(pid: int, signum: int) -> None:
    """Send a signal to one process: kill(2).

    A process that has ended, and that its parent has not waited for, takes signals and does nothing. Once it was waited
    for, its number may be another process's: `ipckit.PidFd` has `send_signal` without that doubt.

    Args:
        pid: the process, 1 or more; for a process group there is `os.killpg`.
        signum: 0 sends nothing, and only checks that a signal could be sent.

    Raises:
        NoProcessError: there is no such process (ESRCH).
        AccessError: it runs as another user (EPERM).
        ValueError: there is no such signal.
    """
    _check_pid(pid)
    check_signum(signum, null=True)
    try:
        os.kill(pid, signum)
    except OSError as error:
        raise sending_error(error.errno or errno.EIO, "kill", pid, signum) from None


def sigqueue(pid: int, signum: int, value: int) -> None:
    """Queue a signal with an integer to one process: man 3 sigqueue.

    Of a real-time signal (from `signal.SIGRTMIN` on) each one is kept, with its value, until the receiver takes it: the
    lowest number first, and the oldest first of each. Of a standard signal (SIGUSR1 and its like) only the first one is
    kept: while it is pending, the values of all further ones are lost, and no error tells.

    Args:
        pid: the process, 1 or more.
        signum: 0 only checks.
        value: -2**31 to 2**31 - 1; it arrives in `SignalInfo.value`.

    Raises:
        LimitError: the receiver's user has as many signals queued as the receiver's RLIMIT_SIGPENDING allows (EAGAIN).
            It says nothing about the sender's limit or rights: root meets it, too. Nothing was sent; a plain `send`
            still goes through, without value or sender.
        NoProcessError: there is no such process (ESRCH).
        AccessError: it runs as another user (EPERM).
    """
    _check_pid(pid)
    check_queued(signum, value)
    result = quick.ipk_signals_queue(pid, signum, value)
    if result < 0:
        raise sending_error(-result, "sigqueue", pid, signum)


def _check_pid(pid: object) -> None:
    check_int(pid, "pid", 1, _PID_MAX, "one process; for a process group there is os.killpg")
