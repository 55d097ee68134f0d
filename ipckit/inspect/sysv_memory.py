"""System V shared memory: sysvipc(7), shmctl(2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ipckit._native import ffi
from ipckit._native_quick import lib as quick
from ipckit.inspect._system_v import GONE, Past, SystemVRecord, User, common_fields, moment, rows
from ipckit.inspect._verdicts import told
from ipckit.inspect.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect._processes.scan import Scan
    from ipckit.inspect.records import Holder

_REMOVED, _LOCKED = 0o1000, 0o2000  # SHM_DEST, SHM_LOCKED of linux/shm.h
_OURS = 0  # what a scan has as the device of segments of this IPC namespace


@dataclass(frozen=True, kw_only=True)
class SystemVMemory(SystemVRecord):
    """A segment. Times are seconds since 1970, None for never; a pid is None for none, or of another pid namespace.

    Attributes:
        size: bytes, as they were asked for.
        since: when it was made, or its owner or mode was set.
        holders: the processes that have it attached, as far as they can be seen.
        attached: how often it is attached, by all processes.
        resident_bytes, swapped_bytes: bytes of it in memory, and swapped out.
        creator_pid: who made it.
        last_pid: who attached or detached it last.
        attach_time, detach_time: when it was last attached, detached.
        removed: whether it goes when the last process detaches it.
        locked: whether it is kept in memory.
    """

    kind: ClassVar[str] = "sysv-shm"

    attached: int
    resident_bytes: int
    swapped_bytes: int
    creator_pid: int | None
    last_pid: int | None
    attach_time: float | None
    detach_time: float | None
    removed: bool
    locked: bool

    @property
    def use(self) -> str:
        """How often it is attached."""
        times = {0: "not attached", 1: "attached once"}.get(self.attached, f"attached {self.attached} times")
        return f"{times}, removed" if self.removed else times


def collect(scan: Scan, kind: str) -> Iterator[SystemVMemory]:
    """The segments of this IPC namespace."""
    status = ffi.new("struct ipk_sysv_shm_status *")
    past = Past()
    for row in rows("shm", scan):
        number = row["shmid"]
        if quick.ipk_sysv_shm_stat(number, status) in GONE:
            continue
        holders = scan.holders(_OURS, number, "sysv")
        yield SystemVMemory(
            **common_fields(kind, "shm", row, number),
            size=row["size"],
            holders=holders,
            unseen=scan.unseen,
            verdict=_verdict(row, holders, past),
            attached=row["nattch"],
            resident_bytes=row.get("rss", 0),
            swapped_bytes=row.get("swap", 0),
            creator_pid=row["cpid"] or None,
            last_pid=row["lpid"] or None,
            attach_time=moment(row["atime"]),
            detach_time=moment(row["dtime"]),
            removed=bool(row["perms"] & _REMOVED),
            locked=bool(row["perms"] & _LOCKED),
        )


def _verdict(row: dict[str, int], holders: tuple[Holder, ...], past: Past) -> Verdict:
    removed = "; it is removed, and goes when it is detached" if row["perms"] & _REMOVED else ""
    if row["nattch"]:
        return Verdict("in use", f"{_attached(row['nattch'], holders)}{removed}")
    used = max(row["atime"], row["dtime"])
    users = [User("used it last", row["lpid"], used), User("made it", row["cpid"], row["ctime"])]
    found = past.judge(users, "nobody has it attached")
    return found._replace(reason=f"nobody has it attached; {found.reason}")


def _attached(times: int, holders: tuple[Holder, ...]) -> str:
    """Who has it attached, in words."""
    often = "once" if times == 1 else f"{times} times"
    who = told(holders, "has it", "have it") if holders else "who has it cannot be seen"
    return f"it is attached {often}; {who}"
