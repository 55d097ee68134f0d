"""Who waits for a lock on a file: proc_locks(5), proc_pid_syscall(5)."""

from __future__ import annotations

import fcntl
import os
import re
import struct
from typing import TYPE_CHECKING, NamedTuple

from ipckit._syscalls import numbers
from ipckit.inspect._processes.calls import calls, process_of
from ipckit.inspect._processes.process_memory import memory_of
from ipckit.inspect._processes.procfs import read_path

if TYPE_CHECKING:
    from ipckit._lock_lines import LockLine
    from ipckit.inspect._processes.scan import Scan
    from ipckit.inspect._waits.lock_table import Key
    from ipckit.inspect.records import Process

_F_OFD_SETLKW = 38
_INODE = re.compile(rb"^ino:\s*(\d+)$", re.MULTILINE)
_RANGES = frozenset(("POSIX", "OFDLCK"))
_FLOCK = struct.Struct("@hhqqi")  # struct flock of the kernel on 64 bits: type, whence, start, len, pid
_LARGEST = (1 << 63) - 1  # OFFSET_MAX of the kernel
_ACCESS = {fcntl.F_RDLCK: "READ", fcntl.F_WRLCK: "WRITE"}


class _Asleep(NamedTuple):
    """A thread that sleeps till it gets an OFD lock.

    Attributes:
        process: the one it is of.
        wanted: access, start and end as in `LockLine`; None where its memory does not tell.
    """

    process: Process
    wanted: tuple[str, str, str] | None


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
    the descriptor that they gave it and the bytes that they want.
    """
    asleep: dict[str, list[_Asleep]] = {}
    if any(line.pid < 1 for line in waits):
        _search(scan, asleep)
    return [process_of(line.pid) if line.pid > 0 else _taken(line, asleep) for line in waits]


def _taken(line: LockLine, asleep: dict[str, list[_Asleep]]) -> Process | None:
    """Whoever of *asleep* the line is of; taken out, for each waits once."""
    candidates = asleep.get(line.file.rpartition(":")[2], [])
    wanted = (line.access, line.start, line.end)
    for one in sorted(candidates, key=lambda one: one.wanted is None):
        if one.wanted in {wanted, None}:
            candidates.remove(one)
            return one.process
    return None


def _search(scan: Scan, asleep: dict[str, list[_Asleep]]) -> None:
    try:
        locking = numbers(("fcntl",))
    except NotImplementedError:
        return
    for process in scan.processes:
        try:
            for _, call in calls(process.pid):
                if call.number in locking and call.arguments[1] == _F_OFD_SETLKW:
                    fd = call.arguments[0] & 0x7FFFFFFF
                    inode = _INODE.search(read_path(f"/proc/{process.pid}/fdinfo/{fd}"))
                    if inode is not None:
                        one = _Asleep(process, _wanted(process.pid, call.arguments[2]))
                        asleep.setdefault(inode[1].decode(), []).append(one)
        except OSError:  # gone, or not ours to trace
            continue


def _wanted(pid: int, address: int) -> tuple[str, str, str] | None:
    data = memory_of(pid, address, _FLOCK.size)
    if data is None:
        return None
    type, whence, start, length, _ = _FLOCK.unpack(data)
    if whence != os.SEEK_SET or type not in _ACCESS:
        return None
    first, last = (start, start + length - 1) if length >= 0 else (start + length, start - 1)
    return _ACCESS[type], str(first), "EOF" if length == 0 or last >= _LARGEST else str(last)


def _before(end: str, start: str) -> bool:
    return end != "EOF" and int(end) < int(start)
