"""FIFOs that are open: who reads and who writes. fifo(7)."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ipckit.inspect._ends import ends_in_words, having, judge_ends
from ipckit.inspect._processes.procfs import status_of
from ipckit.inspect.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect._processes.scan import Scan

_ALONE = ("nobody has it open for writing", "nobody has it open for reading")


@dataclass(frozen=True, kw_only=True)
class Fifo(Record):
    """A FIFO that processes have open.

    A FIFO that nobody has open is a name in some directory, and is not looked for. What waits in it is not told to
    those who do not have it open, see `ipckit.inspect.pipes.Pipe`. On network and FUSE file systems, open files are
    not asked whether they are FIFOs.

    Attributes:
        path: as its processes see it, with " (deleted)" behind it where the name is gone.
        readers: the processes that have it open for reading.
        writers: the processes that have it open for writing.
    """

    kind: ClassVar[str] = "fifo"

    path: str
    readers: tuple[int, ...]
    writers: tuple[int, ...]

    @property
    def use(self) -> str:
        """How many read and write."""
        return ends_in_words(self.readers, self.writers)


def collect(scan: Scan, kind: str) -> Iterator[Record]:  # noqa: ARG001  # this module has one kind
    """The FIFOs that processes have open."""
    for thing, path, holders in scan.things("fifo"):
        status = status_of(thing, path, holders)
        if status is None:
            continue
        yield Fifo(
            address=f"fifo:{path}",
            path=path,
            uid=status.st_uid,
            gid=status.st_gid,
            mode=stat.S_IMODE(status.st_mode),
            since=status.st_ctime,
            readers=having(holders, "r"),
            writers=having(holders, "w"),
            holders=holders,
            unseen=scan.unseen,
            verdict=judge_ends(holders, scan.unseen, alone=_ALONE),
        )
