"""One look into one process: what it has open and mapped. proc_pid_fd(5), proc_pid_fdinfo(5), proc_pid_maps(5)."""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import TYPE_CHECKING

from ipckit._glimpse import is_glimpse
from ipckit.inspect._processes.parts import READS, WRITES, LockLine, Opened, Part, identity
from ipckit.inspect._processes.procfs import FOLDER, living, read

if TYPE_CHECKING:
    from ipckit.inspect._processes.mounts import Mount, Mounts
    from ipckit.inspect.records import Process

_FIELD = re.compile(rb"^(flags|mnt_id|ino|tty-index|eventfd-id):\s*(\d+)$", re.MULTILINE)
_LOCK = re.compile(rb"^lock:\s*(.*)$", re.MULTILINE)
_MAPPING = re.compile(rb"^\S+ (\S{4}) \S+ ([0-9a-f]+):([0-9a-f]+) (\d+) +(/.*)$", re.MULTILINE)
_NUMBERED = re.compile(r"(pipe|socket):\[(\d+)\]")
_MEMFD, _SYSV, _EVENTFD = "/memfd:", "/SYSV", "anon_inode:[eventfd]"
_WITH_ACCESS = ("pipe", "fifo", "memfd", "file")
_MAPPED = frozenset(("memfd", "shm", "sysv"))
_BROKEN = (errno.EIO, errno.ENOTCONN, errno.ESTALE, errno.ENXIO, errno.ENODEV)
"""How a file system answers that has lost what it lies on."""
_AT_ONCE = 65536  # bytes: a second read(2) is for files with a thousand locks


class Glance:
    """What one process has: things gather in `parts`, by family, device and inode, and locks in `locks`.

    Args:
        process: which one.
        folder: a descriptor of its folder in /proc.
        needs: which families are asked for, "shm" and "mq" for the files; and "lock".
        mounts: grows by what the process's mount namespace has.
    """

    __slots__ = ("_folder", "_mounts", "_namespace", "_needs", "locks", "parts", "process", "untouched")

    def __init__(self, process: Process, folder: int, needs: frozenset[str], mounts: Mounts) -> None:
        self.process = process
        self._folder = folder
        self._needs = needs
        self._mounts = mounts
        self._namespace: dict[str, int] = {}
        self.parts: dict[tuple[str, int, int], Part] = {}
        self.locks: list[LockLine] = []
        self.untouched = 0

    def look(self) -> bool:
        """Gather all; False if this is no process but what is left of one, or a thread of the kernel.

        Raises:
            FileNotFoundError, ProcessLookupError: it is gone.
            PermissionError: it may not be looked into, or no longer (EACCES, EPERM).
        """
        thread: str | None = ""
        try:
            if not self._descriptors():
                thread = living(self._folder)
        except PermissionError:  # what is left of a first thread that has ended is for root alone
            thread = living(self._folder)
            if thread == "":
                raise
        if thread is None:
            return False
        if not thread:
            self._mappings()
        elif not self._look_into(thread):
            return self.look()
        return True

    def _look_into(self, thread: str) -> bool:
        """Gather all by one of the threads; False if it has ended meanwhile, or become the first one by execve(2)."""
        whole = self._folder
        try:
            self._folder = os.open(thread, FOLDER, dir_fd=whole)
        except (FileNotFoundError, ProcessLookupError):
            return False
        try:
            self.process = self.process._replace(uid=os.fstat(self._folder).st_uid)
            self._descriptors()
            self._mappings()
        except (FileNotFoundError, ProcessLookupError):
            self.parts.clear()
            self.locks.clear()
            self.untouched = 0
            return False
        finally:
            os.close(self._folder)
            self._folder = whole
        return True

    def _descriptors(self) -> int:
        """Go through the descriptors. Returns how many there are."""
        inside = os.open("fd", FOLDER, dir_fd=self._folder)
        try:
            names = os.listdir(inside)
            for name in names if self._needs else names[:1]:  # who may list them may not always read their links
                try:
                    self._descriptor(Opened(inside, name, _link(name, inside)))
                except (FileNotFoundError, ProcessLookupError):  # closed meanwhile
                    continue
                except OSError as error:
                    if error.errno not in _BROKEN:
                        raise
                    self.untouched += 1
            return len(names)
        finally:
            os.close(inside)

    def _mappings(self) -> None:
        """Go through the mappings, if any of them may be asked for."""
        if not self._needs & _MAPPED:
            return
        text = read("maps", self._folder)
        if not any(mark in text for mark in self._mounts.marks):
            return
        for rights, major, minor, inode, name in _MAPPING.findall(text):
            path = os.fsdecode(name.replace(rb"\012", b"\n"))
            device = os.makedev(int(major, 16), int(minor, 16))
            family = self._mapped_family(path, device)
            if family is None:
                continue
            if family == "sysv":
                ours = os.stat("/proc/self/ns/ipc").st_ino
                device = 0 if self._namespace_of("ipc") == ours else self._namespace_of("ipc")
            part = self._part(family, device, int(inode), path)
            part.mapped = True
            shared = rights[3:] == b"s"
            part.bits |= (rights[:1] == b"r") * READS | (shared and rights[1:2] == b"w") * WRITES

    def _descriptor(self, opened: Opened) -> None:
        needs, link = self._needs, opened.link
        if not link:
            self.untouched += "fifo" in needs
            if "lock" in needs:
                self._fdinfo(opened)
        elif link[0] != "/":
            if found := _NUMBERED.fullmatch(link):
                if found[1] in needs:
                    self._note(found[1], 0, int(found[2]), opened)
            elif link == _EVENTFD and "eventfd" in needs:
                number = self._fdinfo(opened).get("eventfd-id")
                if number is not None:  # told since Linux 5.2
                    self._note("eventfd", 0, number, opened)
        elif "lock" in needs or "fifo" in needs or self._may_be_wanted(link):
            self._file(opened)

    def _may_be_wanted(self, link: str) -> bool:
        """Whether a path may be that of something asked for; cheap, for it is asked for each open file."""
        needs = self._needs
        if link.startswith(_MEMFD) and "memfd" in needs:
            return True
        if "pty" in needs and (link.startswith("/dev/pts/") or link.endswith("/ptmx")):
            return True
        if "mq" in needs and (link.rfind("/") == 0 or link.startswith(self._mounts.queues)):
            return True
        if "shm" in needs and link.startswith(self._mounts.shared_memory):
            return True
        return not needs.isdisjoint(("shm", "mq")) and self._namespace_of("mnt") != self._mounts.own

    def _file(self, opened: Opened) -> None:
        """Sort a descriptor with a path by the file system on which it lies."""
        needs = self._needs
        fields = self._fdinfo(opened)
        mount = self._mount(fields.get("mnt_id", 0))
        if mount is None:
            self._inner(opened, fields)
        elif mount.type == "devpts" or "tty-index" in fields:
            if "pty" in needs:
                self._terminal(opened, mount, fields)
        elif not mount.local:
            self.untouched += "fifo" in needs
        elif mount.type == "mqueue":
            if "mq" in needs and not is_glimpse(fields["flags"]):
                self._note("file", *identity(opened, mount, fields), opened)
        elif "fifo" in needs and stat.S_ISFIFO((status := opened.status()).st_mode):
            self._note("fifo", status.st_dev, status.st_ino, opened)
        elif "shm" in needs and self._mounts.is_shared_memory(mount, opened.link) and not is_glimpse(fields["flags"]):
            self._note("file", *identity(opened, mount, fields), opened)

    def _inner(self, opened: Opened, fields: dict[str, int]) -> None:
        """A file on a mount of the kernel's own: a message queue or a memfd."""
        is_memfd = opened.link.startswith(_MEMFD)
        if not is_memfd and opened.link.rfind("/"):
            return
        path = f"/proc/self/fd/{opened.folder}/{opened.name}"
        device, is_queue = self._mounts.inner(fields.get("mnt_id", 0), path)
        family = "mq" if is_queue else "memfd" if is_memfd else ""
        if family in self._needs and not is_glimpse(fields["flags"]):
            inode = fields.get("ino") or opened.status().st_ino
            self._note("file" if is_queue else family, device, inode, opened)

    def _terminal(self, opened: Opened, mount: Mount, fields: dict[str, int]) -> None:
        link = opened.link
        index = fields.get("tty-index")
        if index is None:
            if link.rpartition("/")[2].isdecimal():
                self._note("pts", *identity(opened, mount, fields), opened)
            return
        beside = f"{link.rpartition('/')[0]}/pts"
        pts = mount if mount.type == "devpts" else self._mounts.at(self._namespace_of("mnt"), beside)
        self._note("ptmx", pts.device if pts else 0, index, opened)

    def _mapped_family(self, path: str, device: int) -> str | None:
        needs, mounts = self._needs, self._mounts
        if path.startswith((_MEMFD, _SYSV)) and not mounts.has(device):
            family = "memfd" if path.startswith(_MEMFD) else "sysv"
            return family if family in needs else None
        if "shm" in needs and (device in mounts.shared_memory_devices or path.startswith(mounts.shared_memory)):
            return "file"
        return None

    def _part(self, family: str, device: int, inode: int, path: str) -> Part:
        key = (family, device, inode)
        part = self.parts.get(key)
        if part is None:
            part = self.parts[key] = Part(path)
        return part

    def _note(self, family: str, device: int, inode: int, opened: Opened) -> None:
        part = self._part(family, device, inode, opened.link)
        part.descriptors.append(int(opened.name))
        if family in _WITH_ACCESS:
            part.bits |= opened.rights()

    def _fdinfo(self, opened: Opened) -> dict[str, int]:
        fd = os.open(f"fdinfo/{opened.name}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._folder)
        try:
            text = part = os.read(fd, _AT_ONCE)
            while True:
                if len(part) < _AT_ONCE:
                    break
                part = os.read(fd, _AT_ONCE)
                text += part
        finally:
            os.close(fd)
        if "lock" in self._needs:
            self.locks += [
                LockLine(self.process, int(opened.name), opened.link, line.decode("ascii", "replace"))
                for line in _LOCK.findall(text)
            ]
        return {field.decode(): int(number, 8 if field == b"flags" else 10) for field, number in _FIELD.findall(text)}

    def _mount(self, number: int) -> Mount | None:
        """The mount of that number, wherever it is; None for one of the kernel's own."""
        mount = self._mounts.get(number)
        if mount is None and not self._mounts.knows(self._namespace_of("mnt")):
            self._mounts.add(self._namespace_of("mnt"), read("mountinfo", self._folder))
            mount = self._mounts.get(number)
        return mount

    def _namespace_of(self, type: str) -> int:
        """The inode of a namespace of the process."""
        found = self._namespace.get(type)
        if found is None:
            link = os.readlink(f"ns/{type}", dir_fd=self._folder)
            found = self._namespace[type] = int(link[len(type) + 2 : -1])
        return found


def _link(name: str, folder: int) -> str:
    """What the link of a descriptor tells; "" of a file whose path is longer than the kernel tells one (PATH_MAX)."""
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return ""
