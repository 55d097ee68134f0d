"""Locks on files, who has them and who waits: proc_locks(5), fcntl_locking(2), flock(2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from ipckit.inspect._processes.calls import process_of
from ipckit.inspect._verdicts import judge
from ipckit.inspect._waits.lock_table import EOF, TYPES, LockTable, identity
from ipckit.inspect._waits.lock_waits import conflict, who_waits
from ipckit.inspect.records import Holder, Process, Record, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit._lock_lines import LockLine
    from ipckit.inspect._processes.scan import Scan
    from ipckit.inspect._waits.lock_table import Lock

_DELETED = " (deleted)"
_LIFE_BYTES = (1 << 62) - 2
"""From here on the locks of ipckit's segments lie: native/src/life.c, identity.c."""
_NAMED = 3


class Waiter(NamedTuple):
    """Who waits for a lock.

    Attributes:
        process: which one; None where it may not be looked into.
        shared: whether it would have it shared.
        start: the first byte that it asks for.
        end: the last one; None is the end of the file.
    """

    process: Process | None
    shared: bool
    start: int
    end: int | None


@dataclass(frozen=True, kw_only=True)
class FileLock(Record):
    """A lock on a file, or on bytes of it. Several that have the same bytes shared are one record.

    Since when it is held, and how long somebody has waited, the kernel does not tell. Nor does it list, in a container,
    the locks of processes outside.

    Attributes:
        type: "record" (the process has it: fcntl(2) F_SETLK), "ofd" (the open file description has it: F_OFD_SETLK),
            "flock", "lease" or "delegation" (of a file server).
        file: the path, as a holder's descriptor tells it; None if no holder could be looked into, or
            it is longer than that tells one (PATH_MAX).
        device: of the file, as proc_locks(5) tells it: on overlay and btrfs it is not what stat(2) tells.
        inode: of the file.
        shared: whether others may have it too.
        start: the first byte.
        end: the last one; None is the end of the file, however long it grows.
        owners: how many have it: processes for "record", open file descriptions for the others.
        waiters: who waits, and is kept waiting by this lock, perhaps by others too.
    """

    kind: ClassVar[str] = "lock"

    type: Literal["record", "ofd", "flock", "lease", "delegation"]
    file: str | None
    device: int
    inode: int
    shared: bool
    start: int
    end: int | None
    owners: int
    waiters: tuple[Waiter, ...]

    @property
    def use(self) -> str:
        """How it is held, and how many wait."""
        how = "exclusive" if not self.shared else "shared" if self.owners == 1 else f"shared by {self.owners}"
        waiting = f", {len(self.waiters)} wait" if self.waiters else ""
        return f"{self.type}, {how}{waiting}"


def collect(scan: Scan, kind: str) -> Iterator[Record]:  # noqa: ARG001  # this module has one kind
    """The locks of this machine, in the order of their files."""
    table = LockTable.read(scan)
    waits: dict[str, list[tuple[LockLine, Process | None]]] = {}
    for line, who in zip(table.waits, who_waits(scan, table.waits), strict=True):
        waits.setdefault(line.file, []).append((line, who))
    for lock in sorted(table.locks(), key=lambda lock: (lock.path or "", lock.key)):
        waiters = tuple(
            Waiter(who, line.access == "READ", int(line.start), _end(line.end))
            for line, who in waits.get(lock.key.file, ())
            if line.number in lock.numbers or conflict(lock.key, line)
        )
        yield _record(lock, waiters, scan)


def _record(lock: Lock, waiters: tuple[Waiter, ...], scan: Scan) -> FileLock:
    key = lock.key
    holders = _holders(lock)
    device, inode = identity(key.file)
    gone = lock.path is None or lock.path.endswith(_DELETED)
    name = f"[{key.file}]" if gone else lock.path
    where = f"{key.start}-{key.end}" if key.kind in {"POSIX", "OFDLCK", "ACCESS"} else TYPES[key.kind]
    return FileLock(
        address=f"lock:{name}:{where}",
        type=TYPES[key.kind],
        file=lock.path,
        device=device,
        inode=inode,
        shared=key.access == "READ",
        start=int(key.start),
        end=_end(key.end),
        owners=lock.owners,
        waiters=waiters,
        holders=holders,
        unseen=scan.unseen,
        verdict=_verdict(lock, holders, waiters, scan.unseen),
    )


def _holders(lock: Lock) -> tuple[Holder, ...]:
    """Who has it, by their descriptors, and those that /proc/locks names and that may not be looked into."""
    held: dict[Process, list[int]] = {}
    for owner, descriptor in lock.seen:
        held.setdefault(owner, []).append(descriptor)
    pids = {owner.pid for owner in held}
    for pid in lock.pids:
        if pid not in pids and (other := process_of(pid)):
            held[other] = []
    return tuple(Holder(owner, tuple(fds)) for owner, fds in held.items())


def _verdict(lock: Lock, holders: tuple[Holder, ...], waiters: tuple[Waiter, ...], unseen: int) -> Verdict:
    more = []
    if waiters:
        named = [f"{who.process.pid} ({who.process.command})" for who in waiters if who.process]
        rest = len(waiters) - len(named[:_NAMED])
        also = f" and {rest} more" if rest and named else "" if named else "who it is could not be seen"
        count = "1 waits" if len(waiters) == 1 else f"{len(waiters)} wait"
        more.append(f"{count} for it: {', '.join(named[:_NAMED])}{also}")
    if int(lock.key.start) >= _LIFE_BYTES and lock.key.kind == "OFDLCK":
        more.append("such bytes are the signs of life of those who use a ring or lock of ipckit")
    if lock.key.state == "BREAKING":
        more.append("its holder was asked to give it up")
    if holders or unseen:
        return judge(holders, unseen, also="; ".join(more))
    reason = (
        "the kernel has it, and no process is seen to have its file open: it may be mapped, on its way through a "
        "socket, or open in another pid namespace or on another machine"
    )
    return Verdict("in use", "; ".join((reason, *more)))


def _end(text: str) -> int | None:
    return None if text == EOF else int(text)
