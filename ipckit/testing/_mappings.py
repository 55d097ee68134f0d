"""This process's shared mappings: proc_pid_maps(5), one by one where the kernel can be asked for the shared ones only.

A Python with a few extension modules has hundreds of mappings, and the kernel looks up a path for each line of the
file.
"""

from __future__ import annotations

import errno
import struct
from array import array
from fcntl import ioctl
from typing import NamedTuple

from ipckit.testing import _procfs

_PROCMAP_QUERY = 0xC0686611  # since Linux 6.11; _IOC of the generic table: x86_64, aarch64, riscv64, loongarch64
_SHARED, _THIS_OR_THE_NEXT = 0x08, 0x10
_QUERY = struct.Struct("=QQQ QQQQQQ II II QQ")  # struct procmap_query
_LONGEST = 4096  # PATH_MAX: a longer path is ENAMETOOLONG, and read from the file


class Shared(NamedTuple):
    """One shared mapping."""

    size: int
    path: str
    device: str
    inode: str


def shared() -> list[Shared]:
    """All of them, in the order of their addresses."""
    found = _asked_for()
    return _read() if found is None else found


def _asked_for() -> list[Shared] | None:
    """By the ioctl; None if this kernel does not have it."""
    path = array("B", bytes(_LONGEST))
    room, _ = path.buffer_info()
    found = []
    start = end = 0
    try:
        with open("/proc/self/maps", "rb", buffering=0) as file:
            while True:
                query = bytearray(
                    _QUERY.pack(_QUERY.size, _SHARED | _THIS_OR_THE_NEXT, end, *[0] * 8, _LONGEST, 0, room, 0)
                )
                ioctl(file, _PROCMAP_QUERY, query)
                _, _, _, start, end, _, _, _, inode, major, minor, length, *_ = _QUERY.unpack(query)
                text = path[: max(0, length - 1)].tobytes().decode(errors="replace")
                found.append(Shared(end - start, text, f"{major:02x}:{minor:02x}", str(inode)))
    except OSError as error:
        return found if error.errno == errno.ENOENT else None


def _read() -> list[Shared]:
    """From the lines of the file."""
    found = []
    for line in _procfs.read_text("/proc/self/maps").splitlines():
        if line[line.index(" ") + 4] == "s":
            span, _, _, device, inode, *path = line.split(None, 5)
            start, end = (int(address, 16) for address in span.split("-"))
            found.append(Shared(end - start, path[0] if path else "", device, inode))
    return found
