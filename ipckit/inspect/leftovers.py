"""What ipckit keeps in /dev/shm beside its objects: messages too long for a ring, notes of System V names, and such."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ipckit._shmfile import DIRECTORY
from ipckit.inspect._own.findings import Finding, gone
from ipckit.inspect._own.leftover_names import NOTE, SPILLED, START, TEMPORARY, is_spill_file
from ipckit.inspect._own.opening import opened
from ipckit.inspect._shm_files import OURS, shm_files
from ipckit.inspect._verdicts import judge
from ipckit.inspect.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect._own.leftover_rings import Rings
    from ipckit.inspect._own.opening import Opened
    from ipckit.inspect._own.segment_look import Look
    from ipckit.inspect._own.sysv_notes import Notes
    from ipckit.inspect._processes.scan import Scan
    from ipckit.inspect.records import Holder


@dataclass(frozen=True, kw_only=True)
class Leftover(Record):
    """A file in /dev/shm that belongs to an object of ipckit, or that has a name as if it did.

    Attributes:
        what: "message": one that is too long for its ring. "note": which name a System V key was made of. "lock":
            somebody gives a System V semaphore set its first values. "temporary": somebody makes an object.
            "unknown": none of these, and no segment either.
        of: the address of the object that it belongs to; None if it belongs to none that has one.
        passed: whether the ring of a message has got past it, so that nobody will ask for it; None: that is not known.
        text: what a note says: the name.
    """

    kind: ClassVar[str] = "file"

    what: str
    of: str | None = None
    passed: bool | None = None
    text: str | None = None

    @property
    def use(self) -> str:
        """What it is."""
        words = {
            "message": f"a long message of {self.of or 'a queue without a name'}",
            "note": f"the name {self.text} of {self.of}",
            "lock": f"the start of {self.of}",
            "temporary": "an object that is being made",
            "unknown": "not known",
        }
        return words[self.what]


def collect(scan: Scan, kind: str) -> Iterator[Record]:  # noqa: ARG001  # this module has one kind
    """The files that ipckit keeps beside its objects."""
    look = _Helpers(scan)
    for name, _ in shm_files():
        if not name.startswith(OURS):
            continue
        with opened(f"{DIRECTORY}/{name}") as file:
            if file is None or look.is_segment(name, file):
                continue
            holders = scan.holders(file.status.st_dev, file.status.st_ino)
            found = look.find(name, file, holders)
        yield Leftover(
            address=f"file:{name}",
            uid=file.status.st_uid,
            gid=file.status.st_gid,
            mode=stat.S_IMODE(file.status.st_mode),
            size=file.status.st_size,
            since=file.status.st_ctime,
            holders=holders,
            unseen=scan.unseen,
            verdict=found.verdict,
            **found.fields,
        )


class _Helpers:
    """What tells of files of each sort, made when the first one of a sort is met."""

    __slots__ = ("_look", "_notes", "_rings", "_scan")

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self._look: Look | None = None
        self._rings: Rings | None = None
        self._notes: Notes | None = None

    def is_segment(self, name: str, file: Opened) -> bool:
        """Whether the kinds "ring" and "sync" list it: what could be a segment, and is one or can't be read."""
        if not name.startswith("ipckit."):
            return False
        if file.fd is None:
            return not is_spill_file(name)
        if self._look is None:
            from ipckit.inspect._own.segment_look import Look

            self._look = Look({})
        return self._look.begin(file.fd) is not None

    def find(self, name: str, file: Opened, holders: tuple[Holder, ...]) -> Finding:
        """What is known of a file that is no segment."""
        scan = self._scan
        if found := SPILLED.fullmatch(name):
            if self._rings is None:
                from ipckit.inspect._own.leftover_rings import Rings

                self._rings = Rings(scan)
            ring, number, position, _ = found.groups()
            return self._rings.message_of(ring, int(number, 16), int(position, 16), holders)
        note, start = NOTE.fullmatch(name), START.fullmatch(name)
        if note or start:
            if self._notes is None:
                from ipckit.inspect._own.sysv_notes import Notes

                self._notes = Notes(scan)
            if note:
                return self._notes.note(note.groups(), file, holders)
            assert start is not None
            return self._notes.start(int(start[1]), file, holders)
        if TEMPORARY.fullmatch(name):
            verdict = (
                judge(holders, 0)
                if holders
                else gone(scan, "its maker, who has it open as long as it is made, is gone")
            )
            return Finding({"what": "temporary"}, verdict)
        also = "its name is as those of ipckit, but it is no segment"
        return Finding({"what": "unknown"}, judge(holders, scan.unseen, also=also))
