"""The columns of a record of `ipckit.inspect`, and its values as JSON has them."""

from __future__ import annotations

import pwd
from dataclasses import fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING

from ipckit.bench.units import about, age_text
from ipckit.cli.terminal.table import Column
from ipckit.inspect import Record

if TYPE_CHECKING:
    from ipckit.cli.terminal.screen import Style

STYLES: dict[str, Style] = {"in use": "green", "stale": "red", "unused": "yellow", "foreign": "cyan", "unknown": "dim"}
_NAMED = 2
_BASE = frozenset(field.name for field in fields(Record))


@cache
def user_name(uid: int) -> str:
    """The user's name, or the number where nobody is called so."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def owner(record: Record) -> str:
    """Who owns it, by name."""
    return "-" if record.uid is None else user_name(record.uid)


def mode_text(mode: int | None) -> str | None:
    """Permission bits as chmod(1) takes them, such as 0600."""
    return None if mode is None else f"{mode & 0o7777:04o}"


def held_text(record: Record) -> str:
    """Who has it now, in few words."""
    shown = [f"{holder.process.pid} {holder.process.command}" for holder in record.holders[:_NAMED]]
    rest = len(record.holders) - _NAMED
    return (", ".join(shown) + (f" +{rest}" if rest > 0 else "")) or "-"


def plain(value: object) -> object:
    """The value as JSON has it: tuples with names as objects, other ones and sets as lists, bytes as text."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, bytes | bytearray):
        return value.decode(errors="backslashreplace")
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    elif is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, tuple | list | set | frozenset) else str(value)


def details(record: Record) -> dict[str, object]:
    """What only objects of its kind have."""
    return {field.name: plain(getattr(record, field.name)) for field in fields(record) if field.name not in _BASE}


def holders(record: Record) -> list[dict[str, object]]:
    """The processes that have it and how, one flat object for each."""
    return [
        {
            **holder.process._asdict(),
            "descriptors": list(holder.descriptors),
            "mapped": holder.mapped,
            "access": holder.access,
        }
        for holder in record.holders
    ]


RECORD_COLUMNS: tuple[Column[Record], ...] = (
    Column(key="address", header="OBJECT", help="what the commands take", value=lambda r: r.address, cut="middle"),
    Column(key="kind", header="KIND", help="the first part of the address", value=lambda r: r.kind, extra=True),
    Column(key="name", header="NAME", help="the rest of the address", value=lambda r: r.name, cut="middle", extra=True),
    Column(
        key="state",
        header="STATE",
        help="the verdict",
        value=lambda r: r.verdict.state,
        style=lambda r: STYLES.get(r.verdict.state, ""),
    ),
    Column(
        key="owner",
        header="OWNER",
        help="its user by name",
        value=lambda r: None if r.uid is None else owner(r),
        spare=True,
    ),
    Column(key="uid", header="UID", help="its user", value=lambda r: r.uid, right=True, extra=True),
    Column(key="gid", header="GID", help="its group", value=lambda r: r.gid, right=True, extra=True),
    Column(key="mode", header="MODE", help="permission bits", value=lambda r: mode_text(r.mode), extra=True),
    Column(
        key="size",
        header="SIZE",
        help="bytes",
        value=lambda r: r.size,
        text=lambda r: "-" if r.size is None else about(r.size),
        right=True,
        spare=True,
    ),
    Column(key="use", header="USE", help="how much it is used", value=lambda r: r.use, cut="end"),
    Column(
        key="age",
        header="AGE",
        help="seconds since it was made or last changed",
        value=lambda r: r.age,
        text=lambda r: "-" if r.age is None else age_text(r.age),
        right=True,
        spare=True,
    ),
    Column(key="since", header="SINCE", help="when that was", value=lambda r: r.since, right=True, extra=True),
    Column(
        key="held",
        header="HELD BY",
        help="who has it now",
        value=lambda r: None if not r.holders else held_text(r),
        cut="end",
        spare=True,
    ),
    Column(key="pids", header="PIDS", help="their process ids", value=lambda r: list(r.pids), extra=True),
    Column(
        key="unseen",
        header="UNSEEN",
        help="processes that might have it too, and could not be looked into",
        value=lambda r: r.unseen,
        right=True,
        extra=True,
    ),
    Column(key="reason", header="REASON", help="why this verdict", value=lambda r: r.verdict.reason, extra=True),
    Column(key="aliases", header="ALSO", help="other addresses", value=lambda r: list(r.aliases), extra=True),
    Column(key="holders", header="HOLDERS", help="who has it and how", value=holders, extra=True),
    Column(key="details", header="DETAILS", help="what only its kind has", value=details, extra=True),
)
"""Of `ls`, `clean` and whatever else lists objects."""
