"""The names of Unix sockets, and whether a path still leads to the socket that was bound to it: unix(7)."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from ipckit.inspect._processes.mounts import Mounts
from ipckit.inspect._processes.procfs import namespace_of
from ipckit.inspect._processes.quiet_paths import QuietPaths

if TYPE_CHECKING:
    from ipckit.inspect.records import Holder

_STACKED = frozenset(("overlay", "btrfs", "bcachefs"))
"""File systems whose files have another device for stat(2) than for the kernel, and on some overlays another inode."""
_LOW = 0xFFFFFFFF


class Place(NamedTuple):
    """Where a socket can be found.

    Attributes:
        name: as it was bound, as text; None if it was not.
        reachable: whether the path leads to it here; None where that was not to be asked, and of what has no path.
        status: of the socket's file, where the path leads to it.
        is_address: whether the name is one by which it can be told from others, as far as the place goes.
    """

    name: str | None = None
    reachable: bool | None = None
    status: os.stat_result | None = None
    is_address: bool = False

    @property
    def address(self) -> str:
        """The address of a record that has this name."""
        name = self.name or ""
        return f"unix:{os.path.abspath(name) if name.startswith('/') else name}"


class Names:
    """What the names of sockets lead to."""

    __slots__ = ("_elsewhere", "_mounts", "_paths", "_stacked")

    def __init__(self) -> None:
        self._mounts = Mounts()
        self._paths = QuietPaths(self._mounts)
        self._stacked = self._mounts.devices_of(_STACKED)
        self._elsewhere: dict[int, bool] = {}

    def place(self, raw: bytes, file: tuple[int, int] | None, holders: tuple[Holder, ...]) -> Place:
        """Where the socket that was bound to *raw* is to be found.

        Args:
            raw: the name as the kernel has it; b"" for none.
            file: device and the lower 32 bits of the inode of the path's file; None: not told.
            holders: who has the socket.
        """
        if not raw:
            return Place()
        name = text(raw)
        if raw[:1] == b"\0":
            return Place(name, is_address=True)
        if raw[:1] != b"/":  # from the working directory that its maker had then
            return Place(name)
        try:
            status = self._paths.status(os.fsdecode(raw))
            leads = None if status is None or file is None else self._is(status, file)
        except OSError:
            status, leads = None, False
        if leads is False and any(self._lives_elsewhere(holder.process.pid) for holder in holders):
            return Place(name)  # the path is one of another mount namespace, and leads to it there
        return Place(name, leads, status if leads else None, is_address=leads is not False)

    def left(self, path: str) -> os.stat_result | None:
        """The status of the socket file at *path*; None if there is none, or it may not be asked for."""
        try:
            status = self._paths.status(path)
        except OSError:
            return None
        return status if status is not None and stat.S_ISSOCK(status.st_mode) else None

    def _is(self, status: os.stat_result, file: tuple[int, int]) -> bool | None:
        if not stat.S_ISSOCK(status.st_mode):
            return False
        device, inode = file
        same = status.st_ino & _LOW == inode
        if device in self._stacked and status.st_dev != device:
            return same or None
        return same and status.st_dev == device

    def _lives_elsewhere(self, pid: int) -> bool:
        """Whether a process is in another mount namespace."""
        found = self._elsewhere.get(pid)
        if found is None:
            found = self._elsewhere[pid] = namespace_of(pid, "mnt") not in {None, self._mounts.own}
        return found


def text(raw: bytes) -> str:
    r"""A name as it is printed.

    >>> text(b"/run/log.sock"), text(b"\0bus\0x"), text(b"@here")
    ('/run/log.sock', '@bus\\x00x', './@here')
    """
    if raw[:1] == b"\0":
        return "@" + os.fsdecode(raw[1:]).replace("\0", "\\x00")
    return os.fsdecode(b"./" + raw if raw[:1] == b"@" else raw)
