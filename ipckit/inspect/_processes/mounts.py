"""On which file system an open file lies, and whether one may ask there without waiting: proc_pid_mountinfo(5)."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

SHM = "/dev/shm"

_ON_DISKS = """bcachefs btrfs erofs exfat ext2 ext3 ext4 f2fs hfs hfsplus iso9660 jfs minix msdos nilfs2 ntfs3 overlay
reiserfs squashfs ubifs udf vfat xfs zfs"""
_IN_MEMORY = """bpf configfs debugfs devpts devtmpfs efivarfs hugetlbfs mqueue proc pstore ramfs securityfs sysfs tmpfs
tracefs"""
_LOCAL = frozenset((*_ON_DISKS.split(), *_IN_MEMORY.split()))
_PLAIN = frozenset(("devpts", "devtmpfs", "hugetlbfs", "mqueue", "ramfs", "tmpfs"))

_PTRACEABLE = ("4", "ptraceable")  # whatever the group
_INVISIBLE = ("2", "invisible", *_PTRACEABLE)
_CAP_SYS_PTRACE = 19
_OCTAL = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """A mount.

    Attributes:
        point: where it is mounted, as the processes of its mount namespace see it.
        device: st_dev of the files in it, where `plain`.
        type: of its file system, such as "tmpfs".
        options: of the file system, such as "rw,hidepid=invisible".
    """

    point: str
    device: int
    type: str
    options: str

    @property
    def local(self) -> bool:
        """Whether no other machine and no process is asked when one asks for a file there."""
        return self.type in _LOCAL

    @property
    def plain(self) -> bool:
        """Whether all its files have the device that the mount has, which stacked and divided file systems don't."""
        return self.type in _PLAIN


class Mounts:
    """The mounts of all mount namespaces that were met. Numbers of mounts are unique on the machine.

    Attributes:
        own: the inode of this process's mount namespace.
        shared_memory: the beginnings of all paths that lead to files in /dev/shm.
        shared_memory_devices: of the file systems there.
        queues: the beginnings of all paths that lead to message queues.
        marks: one of them is in /proc/PID/maps where shared memory is mapped.
    """

    __slots__ = (
        "_by_number",
        "_devices",
        "_inner",
        "_known",
        "_points",
        "marks",
        "own",
        "queues",
        "shared_memory",
        "shared_memory_devices",
    )

    def __init__(self) -> None:
        self._by_number: dict[int, Mount] = {}
        self._points: dict[tuple[int, str], Mount] = {}
        self._devices: set[int] = set()
        self._known: set[int] = set()
        self._inner: dict[int, tuple[int, bool]] = {}
        self.own = os.stat("/proc/self/ns/mnt").st_ino
        with open("/proc/self/mountinfo", "rb", buffering=0) as file:
            self.add(self.own, file.readall())
        mounts = self._by_number.values()
        self.shared_memory_devices = frozenset(mount.device for mount in mounts if mount.point == SHM)
        points = {SHM, *(mount.point for mount in mounts if mount.device in self.shared_memory_devices)}
        self.shared_memory = tuple(f"{point}/" for point in points)
        self.queues = tuple(f"{mount.point}/" for mount in mounts if mount.type == "mqueue")
        devices = (f" {os.major(device):02x}:{os.minor(device):02x} " for device in self.shared_memory_devices)
        self.marks = tuple(mark.encode() for mark in (f"{SHM}/", "/memfd:", "/SYSV", *devices))

    def knows(self, namespace: int) -> bool:
        """Whether the mounts of that namespace were added."""
        return namespace in self._known

    def add(self, namespace: int, mountinfo: bytes) -> None:
        """Add the mounts of a namespace."""
        self._known.add(namespace)
        for number, mount in parsed(mountinfo):
            self._by_number[number] = mount
            self._points[namespace, mount.point] = mount  # a later one covers those before it
            self._devices.add(mount.device)

    def get(self, number: int) -> Mount | None:
        """The mount of that number; None if it is the kernel's own, or was unmounted while it was in use."""
        return self._by_number.get(number)

    def at(self, namespace: int, point: str) -> Mount | None:
        """What is mounted exactly there."""
        return self._points.get((namespace, point))

    def has(self, device: int) -> bool:
        """Whether a file system of that device is mounted anywhere that was looked at."""
        return device in self._devices

    def devices_of(self, types: frozenset[str]) -> frozenset[int]:
        """The devices of file systems of these types."""
        return frozenset(mount.device for mount in self._by_number.values() if mount.type in types)

    def is_shared_memory(self, mount: Mount, path: str) -> bool:
        """Whether a file on *mount* is one of /dev/shm: ours, or that of another mount namespace."""
        if mount.device in self.shared_memory_devices or mount.point == SHM:
            return True
        return not self.shared_memory_devices and path.startswith(f"{SHM}/")

    def inner(self, number: int, path: str) -> tuple[int, bool]:
        """The device of a mount of the kernel's own, and whether it is that of message queues.

        Args:
            number: of the mount.
            path: a file on it, as a descriptor's path in /proc.

        Raises:
            FileNotFoundError: the descriptor was closed meanwhile; it may be another file's by now.
        """
        found = self._inner.get(number)
        if found is None:
            from ipckit.inspect._processes.inner import device_and_kind

            found = self._inner[number] = device_and_kind(path, number)
        return found


def hides_processes(mounts: Mounts) -> bool:
    """Whether /proc leaves out the processes that this one may not trace: the option hidepid of proc(5)."""
    proc = mounts.at(mounts.own, "/proc")
    options = dict(option.partition("=")[::2] for option in proc.options.split(",")) if proc else {}
    hides = options.get("hidepid", "0")
    if hides not in _INVISIBLE:
        return False
    with open("/proc/self/status", "rb", buffering=0) as file:
        capable = re.search(rb"^CapEff:\s*(\w+)$", file.readall(), re.MULTILINE)
    if capable is not None and int(capable[1], 16) >> _CAP_SYS_PTRACE & 1:
        return False
    group = int(options.get("gid", -1))
    return hides in _PTRACEABLE or group not in (os.getegid(), *os.getgroups())


def parsed(mountinfo: bytes) -> Iterator[tuple[int, Mount]]:
    """The mounts of a mountinfo file, by number, in its order: a later one covers those before it."""
    for line in mountinfo.splitlines():
        words = line.split(b" ")
        major, _, minor = words[2].partition(b":")
        rest = words.index(b"-", 6)
        yield (
            int(words[0]),
            Mount(
                point=_unescaped(words[4]),
                device=os.makedev(int(major), int(minor)),
                type=words[rest + 1].decode("ascii", "replace"),
                options=_unescaped(words[rest + 3]),
            ),
        )


def _unescaped(word: bytes) -> str:
    return os.fsdecode(_OCTAL.sub(lambda found: bytes((int(found[1], 8),)), word))
