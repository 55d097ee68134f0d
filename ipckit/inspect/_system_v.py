"""What System V objects have in common: sysvipc(7), proc_sysvipc(5)."""

from __future__ import annotations

import errno
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ipckit.inspect.records import Record, Verdict
from ipckit.sysv.key import noted_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ipckit.inspect._processes.scan import Scan

GONE = (-errno.EINVAL, -errno.EIDRM)
"""What the kernel answers of an object that is not there any more."""
_KEY_MASK = 0xFFFFFFFF
_TICKS = os.sysconf("SC_CLK_TCK")
_SLACK = 2.0  # seconds: times of objects are whole ones, and the two clocks are read one after the other


@dataclass(frozen=True, kw_only=True)
class SystemVRecord(Record):
    """An object that the kernel knows by a number, and programs by a key.

    Attributes:
        address: with its key, "id=N" if it is private.
        id: its number.
        key: 0 to 2**32 - 1; 0 is IPC_PRIVATE.
        key_name: the name from which ipckit made the key; None if it was not made by name.
        creator_uid, creator_gid: who made it; the owner may be another.
    """

    id: int
    key: int
    key_name: str | None
    creator_uid: int
    creator_gid: int

    @property
    def aliases(self) -> tuple[str, ...]:
        """The address by number, where `address` is by key."""
        return (f"{self.kind}:id={self.id}",) if self.key else ()


class User(NamedTuple):
    """A process whose number the kernel noted.

    Attributes:
        did: what it did, such as "sent last".
        pid: its number; 0 if it is not of this pid namespace, or there was none.
        at: when, at the latest; seconds since 1970, 0 for never.
    """

    did: str
    pid: int
    at: float


def rows(title: str, scan: Scan) -> Iterator[dict[str, int]]:
    """The lines of /proc/sysvipc/*title*, by the names in its head line."""
    try:
        with open(f"/proc/sysvipc/{title}", encoding="ascii") as file:
            heads = file.readline().split()
            for line in file:
                words = zip(heads, line.split(), strict=False)
                yield {head: int(word, 8 if head == "perms" else 10) for head, word in words}
    except OSError as error:
        scan.notes.append(f"System V objects cannot be listed: {error}")


def common_fields(kind: str, title: str, row: dict[str, int], number: int) -> dict[str, Any]:
    """The fields that records of all three kinds take as they stand in a line of /proc/sysvipc/*title*."""
    return {
        "address": address(kind, row["key"], number),
        "uid": row["uid"],
        "gid": row["gid"],
        "mode": row["perms"] & 0o777,
        "since": moment(row["ctime"]),
        "id": number,
        "key": row["key"] & _KEY_MASK,
        "key_name": noted_name(title, row["key"], row["cuid"], number),
        "creator_uid": row["cuid"],
        "creator_gid": row["cgid"],
    }


def moment(seconds: int) -> float | None:
    """A time as records have it; the kernel's 0 is never."""
    return float(seconds) if seconds else None


def address(kind: str, key: int, number: int) -> str:
    """The usual address of an object."""
    return f"{kind}:{key & _KEY_MASK:#x}" if key else f"{kind}:id={number}"


class Past:
    """Whether processes still run whose numbers the kernel noted; each is looked at once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[float, str] | None] = {}

    def judge(self, users: Iterable[User], otherwise: str) -> Verdict:
        """The verdict on an object that nobody has now, by who had it.

        Args:
            users: those noted, the latest first.
            otherwise: the reason where none is.
        """
        gone = ""
        elsewhere = ""
        for user in users:
            if not user.at:
                continue
            if not user.pid:
                elsewhere = elsewhere or f"a process that {user.did} is of another pid namespace"
            elif (command := self.command(user)) is not None:
                return Verdict("idle", f"process {user.pid} ({command}), which {user.did}, still runs")
            else:
                gone = gone or f"process {user.pid}, which {user.did}, is gone"
        if elsewhere:
            return Verdict("unknown", elsewhere)
        return Verdict("unused", gone or otherwise)

    def command(self, user: User) -> str | None:
        """The command of that process; None if it has ended, also where a later one was given its number."""
        if user.pid not in self._known:
            self._known[user.pid] = _running(user.pid)
        found = self._known[user.pid]
        return None if found is None or found[0] > user.at + _SLACK else found[1]


def _running(pid: int) -> tuple[float, str] | None:
    """When the process was started, in seconds since 1970, 0 where that may not be seen; and its command."""
    try:
        os.kill(pid, 0)  # this tells, and where /proc hides the processes of others, too
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            name, _, rest = file.read().partition(b"(")[2].rpartition(b")")
    except OSError:  # hidden, or it ended just now: then it will be seen the next time
        return 0.0, "?"
    fields = rest.split()
    if fields[0] in (b"Z", b"X"):
        return None
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / _TICKS
    return time.time() - age, name.decode(errors="replace")
