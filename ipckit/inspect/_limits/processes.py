"""How near processes are to their own limits: proc_pid_limits(5), proc_pid_status(5)."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_LIMIT = re.compile(rb"^Max (open files|locked memory) +(\d+|unlimited)", re.MULTILINE)
_FIELD = re.compile(rb"^(Name|Uid|VmLck|Threads):\s*(\S+)", re.MULTILINE)
_KIB = 1024


class Nearest(NamedTuple):
    """Of all processes that can be seen, the one that is nearest to its own limit.

    Attributes:
        pid, command: which one.
        used: how much it uses.
        value: its own limit, the soft one.
    """

    pid: int
    command: str
    used: int
    value: int

    @property
    def share(self) -> float:
        """How much of it is used, 1.0 is all; more where the limit was lowered below that."""
        return self.used / self.value if self.value else 1.0


class Look(NamedTuple):
    """What was seen.

    Attributes:
        descriptors, locked: of the processes that could be looked into, the one that is nearest to its limit.
        threads: how many there are of each real user, as far as processes can be seen.
    """

    descriptors: Nearest | None
    locked: Nearest | None
    threads: dict[int, int]


def look(pids: Iterable[int] | None) -> Look:
    """Look at these processes; None is all. Those that may not be looked into count by their threads alone."""
    if pids is None:
        pids = (int(name) for name in os.listdir("/proc") if name.isdecimal())
    descriptors: Nearest | None = None
    locked: Nearest | None = None
    threads: dict[int, int] = {}
    for pid in pids:
        try:
            status = {name: value.decode(errors="replace") for name, value in _FIELD.findall(_read(pid, "status"))}
            uid, command = int(status[b"Uid"]), status[b"Name"]
            threads[uid] = threads.get(uid, 0) + int(status[b"Threads"])
            most = {name: int(value) for name, value in _LIMIT.findall(_read(pid, "limits")) if value.isdigit()}
            open_files = _descriptors(pid)
        except (OSError, KeyError):  # ended, or not to be looked into
            continue
        descriptors = _nearer(descriptors, pid, command, open_files, most.get(b"open files"))
        memory = int(status.get(b"VmLck", 0)) * _KIB  # a thread of the kernel has none
        locked = _nearer(locked, pid, command, memory, most.get(b"locked memory"))
    return Look(descriptors, locked, threads)


def descriptors_of_this_process() -> int | None:
    """Descriptors that are open here, without the one that it takes to look."""
    try:
        return len(os.listdir("/proc/self/fd")) - 1
    except OSError:
        return None


def _nearer(best: Nearest | None, pid: int, command: str, used: int, value: int | None) -> Nearest | None:
    if not used or value is None:
        return best
    found = Nearest(pid, command, used, value)
    return found if best is None or found.share > best.share else best


def _descriptors(pid: int) -> int:
    path = f"/proc/{pid}/fd"
    return os.stat(path).st_size or len(os.listdir(path))  # Linux 6.2 tells the number as the size


def _read(pid: int, name: str) -> bytes:
    with open(f"/proc/{pid}/{name}", "rb", buffering=0) as file:
        return file.readall()
