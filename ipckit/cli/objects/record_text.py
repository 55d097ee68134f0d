"""What is known of an object, in words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from ipckit.bench.units import about, age_text
from ipckit.cli.objects.record_columns import details, mode_text, owner
from ipckit.cli.terminal.screen import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect import Record

_SIZES = ("size", "bytes", "capacity", "allocated")
"""Ends of the names of what is counted in bytes."""
_EPOCH = 1e9
"""Seconds; no smaller number is taken for a time of day."""


class Entry(NamedTuple):
    """A line: a label and what there is to say, or a heading without text.

    Attributes:
        depth: 0, or more below a heading.
    """

    label: str
    text: str = ""
    depth: int = 0


def entries(record: Record) -> Iterator[Entry]:
    """All that is known of it, but for its verdict and its processes."""
    if record.uid is not None:
        mode = f", mode {mode_text(record.mode)}" if record.mode is not None else ""
        yield Entry("owner", f"{owner(record)} (uid {record.uid}, gid {record.gid}){mode}")
    if record.size is not None:
        yield Entry("size", size_in_full(record.size))
    if record.use:
        yield Entry("use", printable(record.use))
    if record.since is not None:
        yield Entry("since", moment(record.since))
    if record.aliases:
        yield Entry("also", printable(", ".join(record.aliases)))
    for name, value in details(record).items():
        yield from _described(name, value, 0)


def size_in_full(size: int) -> str:
    """In a unit that people grasp, and exactly."""
    return f"{size} bytes" if size < 1024 else f"{about(size)} ({size} bytes)"


def moment(seconds: float) -> str:
    """A time since the epoch, by the clock here, and how long ago that is."""
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    return f"{clock}, {age_text(max(0.0, time.time() - seconds))} ago"


def _described(name: str, value: object, depth: int) -> Iterator[Entry]:
    """A value that only its kind has: a line, or lines below a heading; nothing if it is not known."""
    label = name.replace("_", " ")
    if value is None:
        return
    if isinstance(value, dict) and value:
        yield Entry(label, "", depth)
        for key, part in value.items():
            yield from _described(key, part, depth + 1)
    elif isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
        yield Entry(label, "", depth)
        for part in value:
            yield Entry(f"- {_brief(part)}", "", depth + 1)
    else:
        yield Entry(label, _value(name, value), depth)


def _brief(value: object) -> str:
    """A list's member in one line."""
    if isinstance(value, dict):
        known = {key.replace("_", " "): _value(key, part) for key, part in value.items() if part is not None}
        return ", ".join(f"{key} {text}" for key, text in known.items())
    return _value("", value)


def _value(name: str, value: object) -> str:
    text = str(value)
    if isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, int) and name.endswith(_SIZES):
        text = size_in_full(value)
    elif isinstance(value, float) and value >= _EPOCH:
        text = moment(value)
    elif isinstance(value, dict):
        text = _brief(value)
    elif isinstance(value, list):
        text = ", ".join(_brief(part) for part in value)
    return printable(text) or "-"
