"""The table of `ipckit clean`: what goes, what stays, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ipckit.cli.objects.record_columns import RECORD_COLUMNS
from ipckit.cli.terminal.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.cli.terminal.screen import Style
    from ipckit.inspect import Record

_STYLES: dict[str, Style] = {"would remove": "yellow", "removed": "green", "kept": "red", "left alone": "dim"}
_SHOWN = ("owner", "size", "age")


class Line(NamedTuple):
    """An object and what becomes of it.

    Attributes:
        action: "would remove", "removed"; "kept" is what should have gone; "left alone" is what should not.
    """

    record: Record
    action: str
    reason: str


def _of_record(column: Column[Record]) -> Column[Line]:
    """The same column, of a line's record."""
    text: Callable[[Record], str] | None = column.text
    return Column(
        key=column.key,
        header=column.header,
        help=column.help,
        value=lambda line: column.value(line.record),
        text=None if text is None else lambda line: text(line.record),
        right=column.right,
        cut=column.cut,
        spare=column.spare,
        extra=column.key not in _SHOWN,
    )


_BY_KEY = {column.key: _of_record(column) for column in RECORD_COLUMNS}

CLEANING: Table[Line] = Table(
    "clean",
    "objects",
    (
        Column(
            key="address",
            header="OBJECT",
            help="what the commands take",
            value=lambda line: line.record.address,
            cut="middle",
        ),
        Column(
            key="action",
            header="ACTION",
            help="what becomes of it",
            value=lambda line: line.action,
            style=lambda line: _STYLES[line.action],
        ),
        *(_BY_KEY[key] for key in ("kind", "name", "state", "owner", "uid", "size", "age", "since", "unseen")),
        Column(key="reason", header="REASON", help="why", value=lambda line: line.reason, cut="end"),
    ),
)
