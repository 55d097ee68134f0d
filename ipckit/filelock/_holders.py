"""Which processes hold a lock on a file, as /proc/PID/fdinfo tells: proc_pid_fdinfo(5), proc_locks(5)."""

from __future__ import annotations

import os
from typing import NamedTuple

from ipckit._lock_lines import held_by


class Holder(NamedTuple):
    """Who holds a lock.

    Attributes:
        pids: the processes, several where a lock is shared by fork(2); empty where this process may not see them.
        shared: whether it is a shared lock.
        start: its first byte.
        length: bytes; 0 is up to the end of the file.
    """

    pids: tuple[int, ...]
    shared: bool
    start: int
    length: int

    @property
    def pid(self) -> int | None:
        """One of the processes; None where none can be seen."""
        return self.pids[0] if self.pids else None


def holding(
    device: int, inode: int, kind: str, start: int, length: int, *, access: str | None = None
) -> tuple[int, ...]:
    """The processes with a descriptor that owns such a lock.

    Args:
        device, inode: of the file, as in stat(2).
        kind: "OFDLCK" or "FLOCK".
        start, length: the lock's bytes, length 0 up to the end of the file.
        access: "READ" or "WRITE"; None for both.
    """
    end = str(start + length - 1) if length else "EOF"
    file = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
    wanted = (kind, file, str(start), end)
    return tuple(sorted(pid for pid in _pids() if _owns(pid, wanted, access)))


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _owns(pid: int, wanted: tuple[str, str, str, str], access: str | None) -> bool:
    return any(
        (line.kind, line.file, line.start, line.end) == wanted and access in (None, line.access)
        for _, line in held_by(pid)
    )
