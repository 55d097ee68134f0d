"""Which processes hold a lock on a file, as /proc/PID/fdinfo tells: proc_pid_fdinfo(5), proc_locks(5)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


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
    return tuple(sorted(pid for pid in _pids() if _owns(pid, kind, file, [str(start), end], access)))


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _owns(pid: int, kind: str, file: str, where: list[str], access: str | None) -> bool:
    folder = Path(f"/proc/{pid}/fdinfo")
    try:
        entries = os.listdir(folder)
    except OSError:  # gone meanwhile, or not ours to see
        return False
    for entry in entries:
        try:
            text = (folder / entry).read_text(encoding="ascii", errors="replace")
        except OSError:
            continue
        for line in text.splitlines():
            if not line.startswith("lock:"):
                continue
            # "lock: 1: OFDLCK ADVISORY  WRITE -1 08:01:1234 0 EOF"
            words = line.split()
            if words[2] == kind and words[6] == file and words[7:9] == where and access in (None, words[4]):
                return True
    return False
