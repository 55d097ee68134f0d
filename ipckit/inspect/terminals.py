"""Pseudo-terminals: who has the master, and whose session is on the slave. pty(7), proc_pid_stat(5)."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ipckit.inspect._processes.procfs import read_path
from ipckit.inspect._verdicts import judge
from ipckit.inspect.records import Record, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect._processes.scan import Scan
    from ipckit.inspect.records import Holder

_FOLDER = "/dev/pts"
_MAJORS = range(136, 144)  # of the slaves: Documentation/admin-guide/devices.txt of the kernel


@dataclass(frozen=True, kw_only=True)
class PseudoTerminal(Record):
    """A pseudo-terminal. `holders` have its master, its slave or both.

    A slave whose master is closed is hung up, and no longer listed.

    Attributes:
        path: of the slave.
        masters: the processes that have the master.
        slaves: the processes that have the slave.
        session: the leader of the session whose controlling terminal it is; None without one, or where it can't be
            told.
        foreground: the process group in the foreground; None likewise.
    """

    kind: ClassVar[str] = "pty"

    path: str
    masters: tuple[int, ...]
    slaves: tuple[int, ...]
    session: int | None = None
    foreground: int | None = None

    @property
    def use(self) -> str:
        """Whose terminal it is."""
        return "no session" if self.session is None else f"session {self.session}"


def collect(scan: Scan, kind: str) -> Iterator[Record]:  # noqa: ARG001  # this module has one kind
    """The pseudo-terminals of this /dev/pts, and those of others that processes have."""
    ours = _status(_FOLDER)
    device = 0 if ours is None else ours.st_dev
    found = {(device, index): _Sides() for index in _listed()}
    for thing, _, holders in scan.things("ptmx"):
        found.setdefault((thing.device, thing.inode), _Sides()).masters = holders
    for thing, path, holders in scan.things("pts"):
        found.setdefault((thing.device, int(path.rpartition("/")[2])), _Sides()).slaves = holders
    for (where, index), sides in found.items():
        path = f"{_FOLDER}/{index}"
        status = _status(path) if where == device else None
        if where == device and status is None:
            continue
        session, foreground = sides.control(index)
        yield PseudoTerminal(
            address=f"pty:{path}",
            path=path,
            uid=None if status is None else status.st_uid,
            gid=None if status is None else status.st_gid,
            mode=None if status is None else stat.S_IMODE(status.st_mode),
            since=None if status is None else status.st_ctime,
            masters=_pids(sides.masters),
            slaves=_pids(sides.slaves),
            session=session,
            foreground=foreground,
            holders=sides.holders(),
            unseen=scan.unseen,
            verdict=sides.verdict(scan.unseen, ours=where == device),
        )


class _Sides:
    """Who has which side of a terminal."""

    __slots__ = ("masters", "slaves")

    def __init__(self) -> None:
        self.masters: tuple[Holder, ...] = ()
        self.slaves: tuple[Holder, ...] = ()

    def holders(self) -> tuple[Holder, ...]:
        """Each process once, with its descriptors of both sides."""
        found = {holder.process.pid: holder for holder in self.masters}
        for holder in self.slaves:
            pid = holder.process.pid
            if pid in found:
                found[pid] = found[pid]._replace(descriptors=found[pid].descriptors + holder.descriptors)
            else:
                found[pid] = holder
        return tuple(found.values())

    def control(self, index: int) -> tuple[int | None, int | None]:
        """The leader of its session and the process group in the foreground, by those who have the slave.

        Others may be in its session too, but the number of a terminal that proc_pid_stat(5) tells does not say of
        which /dev/pts it is.
        """
        for holder in self.slaves:
            try:
                text = read_path(f"/proc/{holder.process.pid}/stat")
            except OSError:  # it has ended
                continue
            _, _, _, session, terminal, foreground = (text.rpartition(b")")[2].split())[:6]
            if os.major(int(terminal)) in _MAJORS and os.minor(int(terminal)) == index:
                return int(session) or None, int(foreground) if int(foreground) > 0 else None
        return None, None

    def verdict(self, unseen: int, *, ours: bool) -> Verdict:
        """It is there because somebody has its master: so it is in use, whoever can be seen."""
        state, reason = judge(self.holders(), unseen)
        if not self.masters:
            whose = "by a process that could not be looked into" if unseen else "by nobody who can be seen"
            master = f"its master is open {whose}"
            state, reason = "in use", f"{reason}; {master}" if self.slaves else master
        return Verdict(state, reason) if ours else Verdict("foreign", f"it belongs to another /dev/pts; {reason}")


def _pids(holders: tuple[Holder, ...]) -> tuple[int, ...]:
    return tuple(holder.process.pid for holder in holders)


def _listed() -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(_FOLDER) if name.isdecimal())
    except OSError:  # not mounted, or not to be read
        return []


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None
