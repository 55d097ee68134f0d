"""Who waits for a lock on a file: proc_locks(5), proc_pid_syscall(5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ipckit._syscalls import numbers
from ipckit.inspect._calls import calls, process_of
from ipckit.inspect._procfs import read_path

if TYPE_CHECKING:
    from ipckit._lock_lines import LockLine
    from ipckit.inspect._lock_table import Key
    from ipckit.inspect._scan import Scan
    from ipckit.inspect.records import Process

_F_OFD_SETLKW = 38
_INODE = re.compile(rb"^ino:\s*(\d+)$", re.MULTILINE)
_RANGES = frozenset(("POSIX", "OFDLCK"))


def conflict(held: Key, wanted: LockLine) -> bool:
    """Whether who waits for *wanted*, on the same file, would also have to wait for *held*."""
    if not (held.kind == wanted.kind == "FLOCK" or {held.kind, wanted.kind} <= _RANGES):
        return False
    if held.access == wanted.access == "READ":
        return False
    return not _before(held.end, wanted.start) and not _before(wanted.end, held.start)


def who_waits(scan: Scan, waits: list[LockLine]) -> list[Process | None]:
    """Which process each of these lines is of; None where that is not to be seen.

    For OFD locks the kernel's list does not say. Threads that sleep in such a call are searched for, by the file of
    the descriptor that they gave it.
    """
    asleep: dict[str, list[Process]] = {}
    if any(line.pid < 1 for line in waits):
        _search(scan, asleep)
    found = []
    for line in waits:
        if line.pid > 0:
            found.append(process_of(line.pid))
        else:
            candidates = asleep.get(line.file.rpartition(":")[2])
            found.append(candidates.pop() if candidates else None)
    return found


def _search(scan: Scan, asleep: dict[str, list[Process]]) -> None:
    try:
        fcntl = numbers(("fcntl",))
    except NotImplementedError:
        return
    for process in scan.processes:
        try:
            for _, call in calls(process.pid):
                if call.number in fcntl and call.arguments[1] == _F_OFD_SETLKW:
                    fd = call.arguments[0] & 0x7FFFFFFF
                    inode = _INODE.search(read_path(f"/proc/{process.pid}/fdinfo/{fd}"))
                    if inode is not None:
                        asleep.setdefault(inode[1].decode(), []).append(process)
        except OSError:  # gone, or not ours to trace
            continue


def _before(end: str, start: str) -> bool:
    return end != "EOF" and int(end) < int(start)
