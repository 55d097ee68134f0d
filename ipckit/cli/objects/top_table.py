"""The table of `ipckit top`: its columns, its order, and the line above it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ipckit.bench.units import about, digits, rate_text
from ipckit.cli.objects.record_columns import STYLES, held_text
from ipckit.cli.terminal.table import Column, Table

if TYPE_CHECKING:
    from ipckit.cli.objects.top_sampling import Row

ORDERS = ("activity", "messages", "size", "depth", "waiting", "cpu", "address")
"""What it may be sorted by."""

TABLE: Table[Row] = Table(
    "top",
    "objects",
    (
        Column(key="address", header="OBJECT", help="its address", value=lambda row: row.record.address, cut="middle"),
        Column(
            key="state",
            header="STATE",
            help="the verdict",
            value=lambda row: row.record.verdict.state,
            style=lambda row: STYLES.get(row.record.verdict.state, ""),
        ),
        Column(
            key="depth",
            header="DEPTH",
            help="messages that wait, bytes in a pipe, tokens of a semaphore",
            value=lambda row: row.depth,
            right=True,
        ),
        Column(
            key="change",
            header="CHANGE",
            help="of the depth, since the last interval",
            value=lambda row: row.change,
            text=lambda row: "-" if row.change is None else f"{row.change:+d}" if row.change else "0",
            right=True,
            spare=True,
        ),
        Column(
            key="messages",
            header="MSG/S",
            help="messages sent per second",
            value=lambda row: row.messages,
            text=lambda row: _rate(row.messages),
            right=True,
        ),
        Column(
            key="size",
            header="BYTES/S",
            help="bytes sent per second",
            value=lambda row: row.size,
            text=lambda row: "-" if row.size is None else about(round(row.size)),
            right=True,
        ),
        Column(
            key="sleeps",
            header="SLEEPS/S",
            help="times per second that a side slept",
            value=lambda row: row.sleeps,
            text=lambda row: _rate(row.sleeps),
            right=True,
            spare=True,
        ),
        Column(
            key="waiting", header="WAITING", help="threads that wait for it", value=lambda row: row.waiting, right=True
        ),
        Column(
            key="cpu",
            header="CPU%",
            help="of one processor, by all who have it",
            value=lambda row: None if row.cpu is None else 100 * row.cpu,
            text=lambda row: "-" if row.cpu is None else f"{100 * row.cpu:.1f}",
            right=True,
        ),
        Column(
            key="held",
            header="HELD BY",
            help="who has it",
            value=lambda row: held_text(row.record) if row.record.holders else None,
            cut="end",
            spare=True,
        ),
        Column(key="use", header="USE", help="in words", value=lambda row: row.record.use, cut="end", extra=True),
        Column(key="pids", header="PIDS", help="who has it", value=lambda row: list(row.record.pids), extra=True),
    ),
)


def ordered(rows: list[Row], key: str, *, reverse: bool) -> list[Row]:
    """The rows, the busiest first; by address, the first of the alphabet first. What is not known comes last."""
    if key == "address":
        return sorted(rows, key=lambda row: row.record.address, reverse=reverse)
    if key == "activity":
        found = sorted(rows, key=lambda row: row.record.address)
        found.sort(key=lambda row: (row.messages or 0, abs(row.change or 0), row.cpu or 0), reverse=not reverse)
        return found
    known = [row for row in rows if getattr(row, key) is not None]
    known.sort(key=lambda row: row.record.address)
    known.sort(key=lambda row: getattr(row, key), reverse=not reverse)
    return known + sorted((row for row in rows if getattr(row, key) is None), key=lambda row: row.record.address)


def head(clock: float, elapsed: float | None, rows: list[Row]) -> str:
    """The line above the table."""
    rates = "" if elapsed is None else f", the last {digits(elapsed)} s"
    states = {state: sum(row.record.verdict.state == state for row in rows) for state in STYLES}
    counted = ", ".join(f"{count} {state}" for state, count in states.items() if count)
    many = "1 object" if len(rows) == 1 else f"{len(rows)} objects"
    return f"ipckit top, {time.strftime('%H:%M:%S', time.localtime(clock))}{rates}: {many}" + (
        f" ({counted})" if counted else ""
    )


def _rate(value: float | None) -> str:
    return "-" if value is None else rate_text(value)
