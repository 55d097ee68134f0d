"""What threads wait for: proc_pid_syscall(5)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ipckit._syscalls import call_in
from ipckit._tasks import tasks
from ipckit.inspect._processes.procfs import read_path
from ipckit.inspect.records import Process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit._syscalls import Call


def calls(pid: int) -> Iterator[tuple[int, Call]]:
    """The threads of a process that sleep in a system call, and which; none if it is gone.

    Raises:
        PermissionError: it takes the right to ptrace the process.
    """
    try:
        for tid in tasks(pid):
            try:
                call = call_in(read_path(f"/proc/{pid}/task/{tid}/syscall"))
            except (FileNotFoundError, ProcessLookupError):
                continue
            if call is not None:
                yield tid, call
    except (FileNotFoundError, ProcessLookupError):
        return


def process_of(pid: int) -> Process | None:
    """A process, as everybody may see it; None if it is gone or hidden."""
    try:
        command = read_path(f"/proc/{pid}/comm").rstrip(b"\n").decode(errors="replace")
        return Process(pid, command, os.stat(f"/proc/{pid}").st_uid)
    except (FileNotFoundError, ProcessLookupError):
        return None
