"""What the kernel tells of its limits and of their use, each read when it is first asked for, and once."""

from __future__ import annotations

import os
import resource
from functools import cached_property
from typing import TYPE_CHECKING

from ipckit.features import limits
from ipckit.inspect._limits.processes import look

if TYPE_CHECKING:
    from ipckit.features import Limits
    from ipckit.inspect._limits.processes import Look
    from ipckit.posix import QueueStatus

UNLIMITED = -1
_ENDLESS = 1 << 62
"""Of what counts bytes or pages: the kernel writes "no limit" as some number near its largest."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
# getrlimit(2), RLIMIT_MSGQUEUE: what the kernel counts for each message that a queue has room for, besides its bytes.
_MSG_MSG, _TREE_NODE = 48, 48
_PRIORITIES = 32768


class Facts:
    """The limits, and their use, at about one moment.

    Args:
        processes: whether to look at all processes.
    """

    def __init__(self, *, processes: bool) -> None:
        self._with_processes = processes

    @cached_property
    def limits(self) -> Limits:
        """Those that `features.limits` reads."""
        return limits()

    @cached_property
    def processes(self) -> Look:
        """What processes use of their own limits; of this one alone where no others are to be looked at."""
        return look(None if self._with_processes else [os.getpid()])

    @cached_property
    def queues(self) -> list[QueueStatus] | None:
        """The POSIX message queues; None where they cannot be listed."""
        from ipckit.errors import SyscallError
        from ipckit.inspect._queue_folder import queue_folder
        from ipckit.posix import message_queues

        with queue_folder() as folder:
            try:
                return None if folder is None else message_queues(folder)
            except SyscallError:
                return None

    @property
    def queue_bytes(self) -> int | None:
        """What the kernel counts against RLIMIT_MSGQUEUE of this user, for the queues that have a name."""
        if self.queues is None:
            return None
        total = 0
        for queue in self.queues:
            if queue.uid == os.geteuid():
                if queue.max_messages is None or queue.max_message_size is None:
                    return None
                nodes = min(queue.max_messages, _PRIORITIES) * _TREE_NODE
                total += queue.max_messages * (_MSG_MSG + queue.max_message_size) + nodes
        return total

    @cached_property
    def shm(self) -> os.statvfs_result | None:
        """The file system of /dev/shm."""
        try:
            return os.statvfs("/dev/shm")
        except OSError:
            return None

    @cached_property
    def shm_segments(self) -> tuple[int, int] | None:
        """System V segments, and the pages in all of them."""
        sizes = _column("shm", "size")
        return None if sizes is None else (len(sizes), sum(-(-size // _PAGE) for size in sizes))

    @cached_property
    def msg_queues(self) -> int | None:
        """System V queues."""
        found = _column("msg", "msqid")
        return None if found is None else len(found)

    @cached_property
    def sem_sets(self) -> tuple[int, int] | None:
        """System V sets, and the semaphores in all of them."""
        sizes = _column("sem", "nsems")
        return None if sizes is None else (len(sizes), sum(sizes))

    @cached_property
    def huge_pages(self) -> tuple[int, int] | None:
        """Huge pages that there are, and those in use or promised."""
        found = fields("/proc/meminfo")
        try:
            total, free, promised = (found[f"HugePages_{name}"] for name in ("Total", "Free", "Rsvd"))
        except KeyError:
            return None
        return total, total - free + promised

    @cached_property
    def signals(self) -> tuple[int, int] | None:
        """Signals queued for this user, and the limit that counts here: proc_pid_status(5), SigQ."""
        try:
            with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
                word = next(line.split()[1] for line in file if line.startswith("SigQ:"))
        except (OSError, StopIteration):
            return None
        used, _, most = word.partition("/")
        return int(used), int(most)

    @cached_property
    def threads(self) -> int | None:
        """Processes and threads: proc_loadavg(5)."""
        try:
            with open("/proc/loadavg", encoding="ascii") as file:
                return int(file.read().split()[3].partition("/")[2])
        except (OSError, ValueError, IndexError):
            return None


def sysctl(name: str, index: int = 0) -> int | None:
    """A number in the file of a sysctl; None if the kernel, or this namespace, has none."""
    try:
        with open(f"/proc/sys/{name.replace('.', '/')}", "rb") as file:
            number = int(file.read().split()[index])
    except (OSError, ValueError, IndexError):
        return None
    return UNLIMITED if number >= _ENDLESS else number


def soft_limit(which: int) -> int:
    """The soft limit of this process."""
    soft, _ = resource.getrlimit(which)
    return UNLIMITED if soft == resource.RLIM_INFINITY else soft


def fields(path: str) -> dict[str, int]:
    """The lines "name: number unit" of a file of /proc."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.readlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdecimal():
            found[name] = int(words[0])
    return found


def mappings() -> int | None:
    """Mappings of this process."""
    try:
        with open("/proc/self/maps", "rb") as file:
            return sum(1 for _ in file)
    except OSError:
        return None


def _column(title: str, name: str) -> list[int] | None:
    """One column of proc_sysvipc(5)."""
    try:
        with open(f"/proc/sysvipc/{title}", encoding="ascii") as file:
            index = file.readline().split().index(name)
            return [int(line.split()[index]) for line in file]
    except (OSError, ValueError):
        return None
