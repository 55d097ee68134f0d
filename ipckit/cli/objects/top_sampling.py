"""What objects did since they were last looked at: rates, changes, and the processor time of who has them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ipckit.inspect import Look

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipckit.inspect import Record

_SHARE = 20
"""Processes are looked at again when that takes at most one in so many parts of the time."""
_TICKS = os.sysconf("SC_CLK_TCK")


class Counters(NamedTuple):
    """What only grows as long as an object lives.

    Attributes:
        messages: sent to it, ever.
        size: bytes of them.
        sleeps: times that a side slept, for want of messages or of room.
    """

    messages: int
    size: int
    sleeps: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """An object, and what it did in the last interval; None where nobody counts that, or it is new.

    Attributes:
        record: as it is now.
        depth: messages that wait, bytes in a pipe or a socket, connections to be accepted, tokens of a semaphore, the
            value of another object.
        change: how much `depth` is more than before.
        messages: sent, per second.
        size: bytes sent, per second.
        sleeps: times that a side slept, per second.
        waiting: threads that wait for it.
        cpu: processors that those who have it used, for whatever: 0.5 is half of one.
    """

    record: Record
    depth: int | None
    change: int | None = None
    messages: float | None = None
    size: float | None = None
    sleeps: float | None = None
    waiting: int | None
    cpu: float | None = None


class Sampler:
    """Looks at the objects of some kinds again and again. It keeps numbers of the last look alone."""

    def __init__(self, kinds: Iterable[str]) -> None:
        self._kinds = tuple(kinds)
        self._look: Look | None = None
        self._looked = 0.0
        self._cost = 0.0
        self._at: float | None = None
        self._counters: dict[tuple[str, object], tuple[int | None, Counters | None]] = {}
        self._ticks: dict[int, tuple[str, int]] = {}

    @property
    def look(self) -> Look:
        """The last look at the processes."""
        if self._look is None:
            self._look = self._take()
        return self._look

    def sample(self) -> tuple[list[Row], float | None]:
        """The objects now, and the seconds since the last sample; None for the first."""
        if self._look is not None and time.monotonic() - self._looked >= _SHARE * self._cost:
            self._look = self._take()
        records = self._records()
        now = time.monotonic()
        elapsed = None if self._at is None else now - self._at
        ticks = {pid: found for pid in {pid for record in records for pid in record.pids} if (found := _used(pid))}
        used = {} if not elapsed else self._spent(ticks, elapsed)
        counters: dict[tuple[str, object], tuple[int | None, Counters | None]] = {}
        rows = []
        for record in records:
            depth, counted = counters[_key(record)] = (_depth(record), _counters(record))
            before = self._counters.get(_key(record))
            shares = [used[pid] for pid in record.pids if pid in used]
            rows.append(
                Row(
                    record=record,
                    depth=depth,
                    waiting=_waiting(record),
                    cpu=sum(shares) if shares else None,
                    **({} if before is None or not elapsed else _differences(before, depth, counted, elapsed)),
                )
            )
        self._at, self._counters, self._ticks = now, counters, ticks
        return rows, elapsed

    def _records(self) -> list[Record]:
        records = list(self.look)
        if (
            self._at is not None
            and self._looked < self._at
            and any(_key(record) not in self._counters for record in records)
        ):
            self._look = self._take()  # who has a new object, only a new look at the processes tells
            records = list(self._look)
        return records

    def _take(self) -> Look:
        began = time.monotonic()
        look = Look(self._kinds)
        self._looked = time.monotonic()
        self._cost = self._looked - began
        return look

    def _spent(self, ticks: dict[int, tuple[str, int]], elapsed: float) -> dict[int, float]:
        """The processors that each process used since the last sample."""
        found = {}
        for pid, (started, now) in ticks.items():
            before = self._ticks.get(pid)
            if before is not None and before[0] == started:  # else another process has got the number
                found[pid] = (now - before[1]) / _TICKS / elapsed
        return found


def _key(record: Record) -> tuple[str, object]:
    """Tells it from another object that got its name."""
    return record.address, getattr(record, "id", None)


def _differences(
    before: tuple[int | None, Counters | None], depth: int | None, counted: Counters | None, elapsed: float
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    old_depth, old = before
    if depth is not None and old_depth is not None:
        found["change"] = depth - old_depth
    if counted is not None and old is not None:
        found["messages"] = max(0, counted.messages - old.messages) / elapsed
        found["size"] = max(0, counted.size - old.size) / elapsed
        found["sleeps"] = max(0, counted.sleeps - old.sleeps) / elapsed
    return found


def _counters(record: Record) -> Counters | None:
    statistics = getattr(record, "statistics", None)
    if statistics is None:
        return None
    sleeps = getattr(statistics, "full_waits", 0) + getattr(statistics, "empty_waits", 0)
    return Counters(statistics.sent, statistics.bytes_sent, sleeps)


def _depth(record: Record) -> int | None:
    if record.kind == "pipe":
        size: int | None = getattr(record, "waiting", None)
        return size
    if record.kind == "sysv-sem":
        values = getattr(record, "values", None)
        return None if values is None else sum(values)
    for name in ("depth", "messages", "value", "count", "to_read", "backlog"):
        if (value := getattr(record, name, None)) is not None:
            return int(value)
    return None


def _waiting(record: Record) -> int | None:
    if record.kind == "pipe":
        return None
    waiting = getattr(record, "waiting", None)
    if record.kind == "sysv-sem" and waiting is not None:
        return int(sum(waiting) + sum(getattr(record, "waiting_for_zero", None) or ()))
    return waiting if isinstance(waiting, int) else None


def _used(pid: int) -> tuple[str, int] | None:
    """When the process began, and the clock ticks that it has used since: proc_pid_stat(5); None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return fields[19].decode(), int(fields[11]) + int(fields[12])
