"""Files of a process in /proc: proc_pid(5).

They are opened below a descriptor of the process's folder, so that a later process of the same number is not taken for
it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ipckit._tasks import tasks_in

if TYPE_CHECKING:
    from ipckit.inspect._processes.scan import Thing
    from ipckit.inspect.records import Holder

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
FIRST_IPC, FIRST_PID = 0xEFFFFFFF, 0xEFFFFFFC
"""Inodes of the machine's own namespaces: include/linux/proc_ns.h of the kernel."""
_PF_KTHREAD = 0x00200000
_ENDED = ("Z", "X")


def living(folder: int) -> str | None:
    """Where to look into a process of which nothing is seen to be open; None if there is no process.

    Args:
        folder: a descriptor of its folder in /proc.

    Returns:
        "" for the folder itself; "task/TID/" where the first thread has ended, and others go on.
    """
    state, flags, threads = _status("stat", folder)
    if state not in _ENDED:
        return None if flags & _PF_KTHREAD else ""
    if threads > 1:
        inside = os.open("task", FOLDER, dir_fd=folder)
        try:
            for tid in tasks_in(inside):
                try:
                    if _status(f"{tid}/stat", inside)[0] not in _ENDED:
                        return f"task/{tid}/"
                except (FileNotFoundError, ProcessLookupError):
                    continue
        finally:
            os.close(inside)
    return None


def _status(name: str, folder: int) -> tuple[str, int, int]:
    """State, flags and number of threads: proc_pid_stat(5)."""
    fields = read(name, folder).rpartition(b")")[2].split()
    return fields[0].decode(), int(fields[6]), int(fields[17])


def booted() -> int:
    """When the kernel started, in seconds since the epoch; always the same, unless the clock is set: proc_stat(5)."""
    with open("/proc/stat", "rb") as file:
        return next(int(line[6:]) for line in file if line.startswith(b"btime "))


def read(name: str, folder: int) -> bytes:
    """The content of a file of /proc, below the open directory *folder*."""
    with open(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder), "rb", buffering=0) as file:
        return file.readall()


def read_path(path: str) -> bytes:
    """The content of a file of /proc."""
    with open(path, "rb", buffering=0) as file:
        return file.readall()


def status_of(thing: Thing, link: str, holders: tuple[Holder, ...]) -> os.stat_result | None:
    """The state of a file that a scan has found, by a descriptor that somebody has of it; None if nobody has any more.

    Args:
        thing: which file.
        link: what /proc tells of its descriptors. Another file behind a descriptor may be one that never answers.
        holders: who has it.
    """
    for holder in holders:
        for fd in holder.descriptors:
            path = f"/proc/{holder.process.pid}/fd/{fd}"
            try:
                if os.readlink(path) != link:
                    continue
                status = os.stat(path)
            except OSError:  # closed, ended, or no longer to be looked into
                continue
            if (status.st_dev, status.st_ino) == (thing.device, thing.inode):
                return status
    return None


def namespace_of(pid: int | str, type: str) -> int | None:
    """The inode of a process's namespace.

    Args:
        pid: its number, or "self".
        type: "ipc", "mnt", "pid" and so on, as /proc/PID/ns has them.

    Returns:
        None if the process may not be asked, or is gone.
    """
    try:
        link = os.readlink(f"/proc/{pid}/ns/{type}")
    except OSError:
        return None
    return int(link.partition("[")[2].rstrip("]"))
