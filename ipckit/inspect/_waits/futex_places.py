"""Which object a word of a process's memory lies in: proc_pid_maps(5)."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from ipckit.inspect._own.opening import opened
from ipckit.inspect._own.segment_look import Look
from ipckit.inspect._processes.mounts import SHM, Mounts
from ipckit.inspect._processes.procfs import namespace_of, read_path
from ipckit.inspect._shm_files import SEMAPHORE

_SHARED = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) \S{3}s ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+) *(.*)$", re.MULTILINE)
_DELETED, _MEMFD, _SYSTEM_V, _ANONYMOUS = " (deleted)", "/memfd:", "/SYSV", "/dev/zero"
_OURS = "ipckit."


class Place(NamedTuple):
    """Where a word lies.

    Attributes:
        object: the address of the object, such as "sync:/lock"; of what has no address, a path or a description.
        offset: bytes from its beginning.
    """

    object: str
    offset: int


class _Mapping(NamedTuple):
    start: int
    end: int
    offset: int
    device: int
    inode: int
    path: str


class Places:
    """Where words of processes lie. They are asked for process by process: what one maps is kept until the next."""

    __slots__ = ("_ipc", "_look", "_mappings", "_mounts", "_names", "_pid")

    def __init__(self) -> None:
        self._mounts = Mounts()
        self._look = Look({})
        self._ipc = namespace_of("self", "ipc")
        self._pid = 0
        self._mappings: list[_Mapping] = []
        self._names: dict[tuple[int, int], str] = {}

    def of(self, pid: int, address: int) -> Place | None:
        """Where the word at *address* lies; None if no other process can have it mapped, or the process is gone.

        Raises:
            PermissionError: the process may not be looked into.
        """
        if pid != self._pid:
            self._mappings = list(_shared(pid))
            self._names.clear()
            self._pid = pid
        for mapping in self._mappings:
            if mapping.start <= address < mapping.end:
                key = (mapping.device, mapping.inode)
                if key not in self._names:
                    self._names[key] = self._name(pid, mapping)
                return Place(self._names[key], address - mapping.start + mapping.offset)
        return None

    def _name(self, pid: int, mapping: _Mapping) -> str:
        path, inode = mapping.path, mapping.inode
        if mapping.device in self._mounts.shared_memory_devices:
            return self._shared_memory(mapping)
        if self._mounts.has(mapping.device):
            return path
        # What is left lies on file systems of the kernel's own, or of another mount namespace.
        if path.startswith(_MEMFD) and path.endswith(_DELETED):
            span = f"/proc/{pid}/map_files/{mapping.start:x}-{mapping.end:x}"
            kind = self._kind(span, mapping, link=True) if path == f"{_MEMFD}ipckit{_DELETED}" else None
            return f"{kind or 'memfd'}:[{inode}]"
        if path.startswith(_SYSTEM_V):
            ours = namespace_of(pid, "ipc") == self._ipc
            return f"sysv-shm:id={inode}" if ours else f"System V memory {inode} of another IPC namespace"
        return f"anonymous memory [{inode}]" if path == _ANONYMOUS + _DELETED else path

    def _shared_memory(self, mapping: _Mapping) -> str:
        path = mapping.path
        if path.endswith(_DELETED):
            return f"shm:[{mapping.inode}]"
        point = next((point for point in self._mounts.shared_memory if path.startswith(point)), None)
        name = path[len(point) :] if point else ""
        if not name or "/" in name:
            return path
        if name.startswith(_OURS):
            kind = self._kind(f"{SHM}/{name}", mapping)
            return f"{kind}:/{name[len(_OURS) :]}" if kind else path
        return f"sem:/{name[len(SEMAPHORE) :]}" if name.startswith(SEMAPHORE) else f"shm:/{name}"

    def _kind(self, path: str, mapping: _Mapping, *, link: bool = False) -> str | None:
        """The kind of the segment at *path*; None if it is none, or another file, or may not be read."""
        with opened(path, link=link) as file:
            if file is None or file.fd is None or file.status.st_ino != mapping.inode:
                return None
            return self._look.kind if self._look.begin(file.fd) is not None else None


def _shared(pid: int) -> list[_Mapping]:
    try:
        text = read_path(f"/proc/{pid}/maps")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [
        _Mapping(
            start=int(start, 16),
            end=int(end, 16),
            offset=int(offset, 16),
            device=os.makedev(int(major, 16), int(minor, 16)),
            inode=int(inode),
            path=os.fsdecode(path.replace(rb"\012", b"\n")),
        )
        for start, end, offset, major, minor, inode, path in _SHARED.findall(text)
    ]
