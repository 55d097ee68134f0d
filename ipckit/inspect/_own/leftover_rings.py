"""Messages too long for their ring, each in a file of its own: which ring wants them, and whether it still does."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ipckit._native import lib
from ipckit._native_quick import lib as quick
from ipckit._shmfile import DIRECTORY
from ipckit.inspect._own.findings import Finding, gone
from ipckit.inspect._own.opening import opened
from ipckit.inspect._own.ring_look import ring_fields
from ipckit.inspect._own.segment_look import Look
from ipckit.inspect._own.segment_verdict import judge_segment
from ipckit.inspect._verdicts import judge
from ipckit.inspect.records import Verdict, users

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect._own.opening import Opened
    from ipckit.inspect._processes.scan import Scan
    from ipckit.inspect.records import Holder

_PREFIX = "ipckit."
_ANONYMOUS = "ipckit.queue"
"""What the files of a ring without a name are called after."""
_MEMFD = "/memfd:ipckit"
_DELETED = " (deleted)"


class _Ring(NamedTuple):
    """A ring that there is.

    Attributes:
        verdict: on it.
        passed: whether it has got past the message in question; None if that is not known.
    """

    verdict: Verdict
    passed: bool | None


class _Held(NamedTuple):
    """A segment that somebody has open.

    Attributes:
        path: leads to it.
        holders: who has it.
    """

    path: str
    holders: tuple[Holder, ...]


class Rings:
    """The rings of a look at the machine, as far as they can be read."""

    __slots__ = ("_held", "_look", "_scan", "_unread")

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self._look = Look({process.pid: process.command for process in scan.processes})
        self._held: dict[int, _Held] | None = None
        self._unread = 0

    def message_of(self, file: str, number: int, position: int, holders: tuple[Holder, ...]) -> Finding:
        """What is known of a message.

        Args:
            file: the name of the file of its ring.
            number: the first half of the id of that ring.
            position: of its record in the stream of the ring.
            holders: who has the message's own file.
        """
        address = None if file == _ANONYMOUS else f"ring:/{file[len(_PREFIX) :]}"
        found, unread = self._named(file, number, position) if address else (None, False)
        held = self._held_rings().get(number) if found is None else None
        if held is not None:
            with opened(held.path, link=True) as ring:
                found = self._read(ring, number, position)
        fields = {"what": "message", "of": address, "passed": None if found is None else found.passed}
        if holders:
            verdict = judge(holders, 0)
        elif held is not None:
            lost = f"of a ring that has lost the name {address}" if address else "of a queue without a name"
            verdict = judge(held.holders, 0, also=lost)
        elif found is not None:
            verdict = _as_its_ring(found, address or "its queue")
        elif unread:
            verdict = Verdict("unknown", f"its ring, {address}, may not be read")
        elif self._unread:
            verdict = Verdict("unknown", f"{self._unread} open files, one of which its ring may be, can't be read")
        else:
            verdict = gone(self._scan, f"its ring, {address}, is gone" if address else "nobody has its queue")
        return Finding(fields, verdict)

    def _named(self, file: str, number: int, position: int) -> tuple[_Ring | None, bool]:
        """The ring with that id, if it has its name; and whether what has the name can't be read."""
        with opened(f"{DIRECTORY}/{file}") as ring:
            return self._read(ring, number, position), ring is not None and ring.fd is None

    def _held_rings(self) -> dict[int, _Held]:
        """The segments that somebody has open, by the first half of their ids; also those without a name."""
        if self._held is None:
            self._held = dict(self._find_held())
        return self._held

    def _find_held(self) -> Iterator[tuple[int, _Held]]:
        for family in ("memfd", "file"):
            for thing, name, everybody in self._scan.things(family):
                holders = users(everybody)
                if not holders or not _may_be_segment(name):
                    continue
                paths = [f"/proc/{holder.process.pid}/fd/{fd}" for holder in holders for fd in holder.descriptors]
                unread = not paths  # it is only mapped
                for path in paths:
                    with opened(path, link=True) as file:
                        if file is None or file.status.st_ino != thing.inode:
                            continue  # closed since
                        unread = file.fd is None
                        if file.fd is not None:
                            if self._look.begin(file.fd) is not None:
                                yield self._look.info.id[0], _Held(path, holders)
                            break
                self._unread += unread

    def _read(self, file: Opened | None, number: int, position: int) -> _Ring | None:
        """The ring in *file*, if it is the one with that id; None also if it cannot be read."""
        if file is None or file.fd is None:
            return None
        look = self._look
        problem = look.begin(file.fd)
        if problem is None or look.info.id[0] != number or look.info.kind == lib.IPK_KIND_SYNC:
            return None
        try:
            fields = ring_fields(look) if not problem else None
        except OSError:
            fields = None
        if fields is None:
            return _Ring(Verdict("unknown", "its ring is torn, or of another version"), None)
        holders = users(self._scan.holders(file.status.st_dev, file.status.st_ino))
        verdict = judge_segment(
            holders, held=look.held(), creator=look.creator(), participants=fields["participants"], may_run=look.may_run
        )
        return _Ring(verdict, quick.ipk_look_passed(look.core, position) == 1)


def _may_be_segment(name: str) -> bool:
    """Whether what /proc calls so may be a segment: a memory file of ours, or a file of /dev/shm made nameless."""
    if name.startswith("/memfd:"):
        return name.removesuffix(_DELETED) == _MEMFD
    return name.endswith(_DELETED) and name.rpartition("/")[2].startswith(("#", _PREFIX))


def _as_its_ring(ring: _Ring, address: str) -> Verdict:
    state, reason = ring.verdict
    if ring.passed:
        reason = f"nobody will ask for it, for {address} has got past it, and its next user may remove it; {reason}"
    else:
        reason = f"a message of {address}: {reason}"
    return Verdict(state, reason)
