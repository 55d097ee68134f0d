"""Why a signal with a value was refused: sigqueue(3), RLIMIT_SIGPENDING in getrlimit(2)."""

from __future__ import annotations

import errno
import os
import re

from ipckit._arguments import check_int
from ipckit._signums import check_signum, signal_name
from ipckit.errors import LimitError, SyscallError, syscall_error

_INT_MIN, _INT_MAX = -(1 << 31), (1 << 31) - 1


def check_queued(signum: object, value: object) -> None:
    """Refuse what cannot be queued: a wrong signal, or a value that is no C int."""
    check_signum(signum, null=True)
    check_int(value, "value", _INT_MIN, _INT_MAX, "a C int")


def sending_error(number: int, syscall: str, pid: int, signum: int) -> SyscallError:
    """The exception for *number* of *syscall*, which was to send *signum* to the process *pid*."""
    if number == errno.EAGAIN:
        return _queue_is_full(syscall, pid, signum)
    return syscall_error(number, syscall, f"process {pid}")


def _queue_is_full(syscall: str, pid: int, signum: int) -> LimitError:
    # EAGAIN means "would wait" elsewhere, but nothing waits for room here; a limit is what it is about.
    queued, limit = _queued(pid)
    text = (
        f"{os.strerror(errno.EAGAIN)} (RLIMIT_SIGPENDING of the receiver: its user has {queued} signals queued, and it "
        f"allows {limit}. Send {signal_name(signum)} again once some were taken, or raise the receiver's limit: "
        f"prlimit --pid {pid} --sigpending=N. The sender's own limit does not matter)"
    )
    error = LimitError(errno.EAGAIN, text, f"process {pid}")
    error.syscall = syscall
    return error


def _queued(pid: int) -> tuple[str, str]:
    """How many signals the user of *pid* has queued, and what *pid* allows: SigQ of proc_pid_status(5)."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            found = re.search(r"^SigQ:\s*(\d+)/(\d+)", file.read(), re.MULTILINE)
    except OSError:
        found = None
    return (found[1], found[2]) if found else ("as many", "no more")
