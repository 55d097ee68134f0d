"""Memory files without a name: who has which open or mapped. memfd_create(2)."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ipckit._seals import Seal, seals_of
from ipckit.inspect._ends import own_descriptor
from ipckit.inspect._processes.procfs import read_path, status_of
from ipckit.inspect._verdicts import judge
from ipckit.inspect.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect._processes.scan import Scan, Thing
    from ipckit.inspect.records import Holder

_BEFORE, _BEHIND = "/memfd:", " (deleted)"
_BLOCK = 512  # bytes: the unit of st_blocks
_MAPPING = re.compile(rb"^(\S+) \S{4} \S+ ([0-9a-f]+):([0-9a-f]+) (\d+) +/memfd:", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Memfd(Record):
    """A memory file without a name.

    Attributes:
        inode: its number.
        label: the name that was given to memfd_create(2), which says nothing but what its maker wanted to say.
        allocated: bytes of memory that it takes; `size` is its length.
        mapped_by: the processes that map it.
        seals: what nobody can do any more; the kernel tells only those who have it open, so it is None of other
            processes' memfds, which are not opened for it.
    """

    kind: ClassVar[str] = "memfd"

    inode: int
    label: str
    allocated: int | None
    mapped_by: tuple[int, ...]
    seals: Seal | None = None

    @property
    def use(self) -> str:
        """How many map it."""
        mapped = len(self.mapped_by)
        return f"mapped by {mapped}" if mapped else "not mapped"


def collect(scan: Scan, kind: str) -> Iterator[Record]:  # noqa: ARG001  # this module has one kind
    """The memfds that processes have open or mapped."""
    mappings = _Mappings()
    for thing, path, holders in scan.things("memfd"):
        status = status_of(thing, path, holders)
        if status is None:
            still, status = mappings.ask(thing, holders)
            if not still:
                continue
        yield Memfd(
            address=f"memfd:[{thing.inode}]",
            inode=thing.inode,
            label=path.removeprefix(_BEFORE).removesuffix(_BEHIND),
            uid=None if status is None else status.st_uid,
            gid=None if status is None else status.st_gid,
            mode=None if status is None else stat.S_IMODE(status.st_mode),
            size=None if status is None else status.st_size,
            allocated=None if status is None else status.st_blocks * _BLOCK,
            since=None if status is None else status.st_ctime,
            seals=_seals(thing, holders),
            mapped_by=tuple(holder.process.pid for holder in holders if holder.mapped),
            holders=holders,
            unseen=scan.unseen,
            verdict=judge(holders, scan.unseen),
        )


class _Mappings:
    """Where processes map memfds. It keeps those of one process: what is mapped only comes process by process."""

    def __init__(self) -> None:
        self._pid = 0
        self._spans: dict[tuple[int, int], str] = {}

    def ask(self, thing: Thing, holders: tuple[Holder, ...]) -> tuple[bool, os.stat_result | None]:
        """Whether it is mapped still, and its state, which takes CAP_CHECKPOINT_RESTORE: proc_pid_map_files(5)."""
        still = False
        for holder in holders:
            pid = holder.process.pid
            span = self._of(pid).get((thing.device, thing.inode)) if holder.mapped else None
            if span is None:
                continue
            still = True
            try:
                status = os.stat(f"/proc/{pid}/map_files/{span}")
            except OSError:
                continue
            if (status.st_dev, status.st_ino) == (thing.device, thing.inode):
                return True, status
        return still, None

    def _of(self, pid: int) -> dict[tuple[int, int], str]:
        if pid != self._pid:
            self._pid = pid
            try:
                text = read_path(f"/proc/{pid}/maps")
            except OSError:  # ended, or no longer to be looked into
                text = b""
            self._spans = {
                (os.makedev(int(major, 16), int(minor, 16)), int(inode)): span.decode()
                for span, major, minor, inode in _MAPPING.findall(text)
            }
        return self._spans


def _seals(thing: Thing, holders: tuple[Holder, ...]) -> Seal | None:
    fd = own_descriptor(holders)
    if fd is None:
        return None
    try:
        status = os.fstat(fd)
    except OSError:  # another thread has closed it
        return None
    return seals_of(fd) if (status.st_dev, status.st_ino) == (thing.device, thing.inode) else None
