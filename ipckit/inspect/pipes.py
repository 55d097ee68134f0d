"""Pipes: who can read and who can write. pipe(7)."""

from __future__ import annotations

import fcntl
import os
import sys
import termios
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from ipckit.inspect._ends import ends_in_words, having, judge_ends, own_descriptor
from ipckit.inspect.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect._processes.scan import Scan
    from ipckit.inspect.records import Holder

_ALONE = ("nobody can write, and nothing will ever arrive", "nobody can read what is written")


@dataclass(frozen=True, kw_only=True)
class Pipe(Record):
    """A pipe.

    The kernel tells how much waits in a pipe, and how much it can hold (`size`), only through a descriptor of it. To
    open another process's would make us a reader or a writer of that pipe, which its processes notice: so both are
    known only of pipes that the calling process has itself. Ends that are on their way through a Unix socket are not
    seen.

    Attributes:
        inode: its number, as in "pipe:[123]".
        readers: the processes that can read.
        writers: the processes that can write.
        waiting: bytes to be read; None where that is not known.
    """

    kind: ClassVar[str] = "pipe"

    inode: int
    readers: tuple[int, ...]
    writers: tuple[int, ...]
    waiting: int | None = None

    @property
    def use(self) -> str:
        """How many can read and write, and what waits."""
        ends = ends_in_words(self.readers, self.writers)
        return ends if self.waiting is None else f"{self.waiting} bytes wait, {ends}"


def collect(scan: Scan, kind: str) -> Iterator[Record]:  # noqa: ARG001  # this module has one kind
    """The pipes that processes have."""
    for thing, path, holders in scan.things("pipe"):
        own = _ask(thing.inode, holders)
        yield Pipe(
            address=path,
            inode=thing.inode,
            size=own.capacity,
            waiting=own.waiting,
            readers=having(holders, "r"),
            writers=having(holders, "w"),
            holders=holders,
            unseen=scan.unseen,
            verdict=judge_ends(holders, scan.unseen, alone=_ALONE),
        )


class _Own(NamedTuple):
    """What a descriptor of ours tells, in bytes; None without one."""

    capacity: int | None = None
    waiting: int | None = None


def _ask(inode: int, holders: tuple[Holder, ...]) -> _Own:
    fd = own_descriptor(holders)
    if fd is None:
        return _Own()
    try:
        if os.fstat(fd).st_ino != inode:  # another thread has closed it
            return _Own()
        waiting = fcntl.ioctl(fd, termios.FIONREAD, bytes(4))
        return _Own(fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ), int.from_bytes(waiting, sys.byteorder))
    except OSError:
        return _Own()
