"""What was left behind on this machine."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ipckit.errors import IPCError
from ipckit.inspect._checks.finding import Finding, quantity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ipckit.inspect.records import Record

DAY = 86400.0  # seconds


def left_behind(records: Iterable[Record], *, older: float = DAY) -> Iterator[Finding]:
    """How much is there that nobody has.

    Args:
        records: of objects that outlive their processes; they are read once, and none is kept.
        older: how many seconds an object of others has to be old to be told of.
    """
    stale, unused = _Sum(), _Sum()
    unseen = 0
    try:
        for record in records:
            unseen = max(unseen, record.unseen)
            if record.verdict.state == "stale":
                stale.add(record)
            elif record.verdict.state == "unused" and (record.age or 0) > older:
                unused.add(record)
    except (IPCError, ImportError) as error:  # what is not installed is told elsewhere
        yield Finding(name="stale objects", level="unknown", found=f"objects can't be listed: {error}")
        return
    yield _seen(unseen)
    yield _stale(stale)
    yield _unused(unused)


class _Sum:
    """How many objects, and how large they are together."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.size = 0

    def add(self, record: Record) -> None:
        self.kinds[record.kind] += 1
        self.size += record.size or 0

    def __str__(self) -> str:
        parts = ", ".join(f"{kind} {count}" for kind, count in sorted(self.kinds.items()))
        return f"{sum(self.kinds.values())} ({parts})"


def _seen(unseen: int) -> Finding:
    name = "holders of objects"
    if not unseen:
        return Finding(name=name, level="ok", found="all processes could be looked into")
    who = "1 process" if unseen == 1 else f"{unseen} processes"
    what = f"{who} could not be looked into: what is held there is not known"
    return Finding(name=name, level="unknown", found=what, advice="ask as root", commands=("sudo ipckit doctor",))


def _stale(found: _Sum) -> Finding:
    if not found.kinds:
        return Finding(name="stale objects", level="ok", found="none of ipckit's")
    what = f"{found} of ipckit's, {quantity(found.size)}: their makers and users are all gone"
    commands = ("ipckit ls --stale", "ipckit clean --yes")
    return Finding(name="stale objects", level="warning", found=what, advice="remove them", commands=commands)


def _unused(found: _Sum) -> Finding:
    name = "unused objects"
    if not found.kinds:
        return Finding(name=name, level="ok", found="none of others that is older than a day")
    what = f"{found} of others, {quantity(found.size)}, older than a day: no process has them"
    advice = "whether somebody wants them again, their programs know: look at them"
    commands = ("ipckit ls", "ipckit clean --foreign --older-than 1d")
    return Finding(name=name, level="ok", found=what, advice=advice, commands=commands)
