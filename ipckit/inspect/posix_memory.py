"""POSIX shared memory: shm_overview(7)."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ipckit._shmfile import DIRECTORY
from ipckit.inspect._processes.procfs import status_of
from ipckit.inspect._shm_files import OURS, SEMAPHORE, file_fields, habit, shm_files
from ipckit.inspect._verdicts import judge
from ipckit.inspect.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect._processes.scan import Scan


_BLOCK = 512  # bytes in each of st_blocks
_GONE = " (deleted)"
_NEVER_NAMED = "#"  # how /proc calls a file that was made with O_TMPFILE, also once it has a name


@dataclass(frozen=True, kw_only=True)
class PosixMemory(Record):
    """A file in /dev/shm, or one that was there, that is neither a semaphore nor ipckit's own.

    Attributes:
        size: bytes, as ftruncate(2) set them.
        since: when its size was set, or its content written by write(2): what is written into mappings leaves no time.
        allocated: bytes of memory, or swap, that it takes. Where processes only map it, neither this nor its size is
            told once its name is gone.
        made_by: which program or package gives such names; a guess, None is none.
    """

    kind: ClassVar[str] = "shm"

    allocated: int | None
    made_by: str | None = None

    @property
    def use(self) -> str:
        """How much of it has memory."""
        if self.allocated is None:
            return ""
        return "all of it has memory" if self.allocated >= (self.size or 0) else f"{self.allocated} bytes have memory"


def collect(scan: Scan, kind: str) -> Iterator[Record]:  # noqa: ARG001  # this module has one kind
    """The segments of shared memory: those with names, then those that were unlinked and are still in use."""
    named = set()
    for name, found in shm_files():
        named.add(found.st_ino)
        if name.startswith((SEMAPHORE, *OURS)):
            continue
        allocated = found.st_blocks * _BLOCK
        yield PosixMemory(address=f"shm:/{name}", allocated=allocated, **file_fields(name, found, scan))
    yield from _unlinked(scan, named)


def _unlinked(scan: Scan, named: set[int]) -> Iterator[PosixMemory]:
    """Memory without a name, which nothing but its processes tells of.

    Args:
        named: the inodes of what has a name. One that a file was given later, /proc does not tell.
    """
    try:
        device = os.stat(DIRECTORY).st_dev
    except OSError:
        return
    for thing, path, holders in scan.things("file"):
        name = os.path.basename(path)
        if thing.device != device or thing.inode in named or not name.endswith(_GONE):
            continue
        if name.startswith((SEMAPHORE, *OURS)):
            continue
        found = status_of(thing, path, holders)
        if found is not None and found.st_nlink:  # its name is in a folder, or it got one just now
            continue
        former = "" if name.startswith(_NEVER_NAMED) else f", {name.removesuffix(_GONE)},"
        also = f"its name{former} is gone, and it goes with the last process that has it"
        yield PosixMemory(
            address=f"shm:[{thing.inode}]",
            uid=found and found.st_uid,
            gid=found and found.st_gid,
            mode=found and stat.S_IMODE(found.st_mode),
            size=found and found.st_size,
            since=found and found.st_mtime,
            holders=holders,
            unseen=scan.unseen,
            verdict=judge(holders, scan.unseen, also=also),
            allocated=found and found.st_blocks * _BLOCK,
            made_by=habit(name),
        )
