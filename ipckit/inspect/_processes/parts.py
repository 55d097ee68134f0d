"""What a process has, piece by piece: descriptors, locks, and the things that they are of. proc_pid_fd(5)."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from ipckit.inspect.records import Holder, Process

if TYPE_CHECKING:
    from ipckit.inspect._processes.mounts import Mount

READS, WRITES = 1, 2
_ACCESS = ("", "r", "w", "rw")


class LockLine(NamedTuple):
    """A lock that an open file has.

    Attributes:
        path: the file, as /proc/PID/fd tells it; "" if it is longer than that tells one.
        line: what follows "lock:" in /proc/PID/fdinfo, such as "1: FLOCK  ADVISORY  WRITE 123 08:01:1234 0 EOF".
    """

    process: Process
    descriptor: int
    path: str
    line: str


class Opened(NamedTuple):
    """A descriptor of the process.

    Attributes:
        folder: our descriptor of the folder that has it.
        name: its number, as the folder has it.
        link: what /proc/PID/fd tells of it; "" for a path that is longer than that tells one.
    """

    folder: int
    name: str
    link: str

    def status(self) -> os.stat_result:
        """Of the file; only where its file system answers by itself."""
        return os.stat(self.name, dir_fd=self.folder)

    def rights(self) -> int:
        """How it is open: the owner's bits of the link's mode tell: proc_pid_fd(5)."""
        mode = os.stat(self.name, dir_fd=self.folder, follow_symlinks=False).st_mode
        return bool(mode & stat.S_IRUSR) * READS | bool(mode & stat.S_IWUSR) * WRITES


class Part:
    """How the process has one thing; it grows while its descriptors and mappings are gone through."""

    __slots__ = ("bits", "descriptors", "mapped", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.descriptors: list[int] = []
        self.mapped = False
        self.bits = 0

    def holder(self, process: Process) -> Holder:
        """The same for good."""
        return Holder(process, tuple(self.descriptors), self.mapped, _ACCESS[self.bits])


def identity(opened: Opened, mount: Mount, fields: dict[str, int]) -> tuple[int, int]:
    """Device and inode of a file on a file system that answers by itself."""
    inode = fields.get("ino")  # told since Linux 5.14
    if inode is not None and mount.plain:
        return mount.device, inode
    status = opened.status()
    return status.st_dev, status.st_ino
