"""The tables, as data: the terminal and the HTML page draw the same ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ipckit.bench.quantity import (
    CALL,
    CALLS,
    DECODE,
    ENCODE,
    FURTHER,
    HANDOFF,
    PAIR,
    READ,
    ROUNDTRIP,
    THROUGHPUT,
    WAKEUP,
    WRITE,
    Quantity,
)
from ipckit.bench.settings import nominal
from ipckit.bench.units import counted, digits, factor_text, rate_text

if TYPE_CHECKING:
    from ipckit.bench.report import Report
    from ipckit.bench.statistics import Summary

YARDSTICK = "mp.Queue"
LOCK_YARDSTICK = "mp.Lock"
NOTHING = "\N{EN DASH}"


@dataclass(frozen=True)
class Entry:
    """One field of a table."""

    text: str
    rank: int = 0
    """0: this column does not rank."""


@dataclass
class Sheet:
    """One table: what is asked, the columns (the first one names the row), and the rows, best first."""

    title: str
    columns: list[str]
    rows: list[list[Entry]] = field(default_factory=list)


def sheets(report: Report) -> list[Sheet]:
    """All tables that have something to show."""
    drawn = [_throughput(report)]
    if sizes := report.sizes(ROUNDTRIP):
        drawn.append(_latency(report, ROUNDTRIP, nominal(sizes)))
        if len(sizes) > 1:
            drawn.append(_by_size(report, ROUNDTRIP, "Round trip by size, p50, µs"))
    drawn += [_latency(report, WAKEUP, None), _locks(report)]
    drawn += [_by_size(report, quantity, f"{quantity.title}, µs") for quantity in (READ, WRITE)]
    drawn += [_further(report, quantity) for quantity in (ENCODE, DECODE, CALLS, *FURTHER)]
    drawn += [_latency(report, CALL, size) for size in report.sizes(CALL)]
    return [sheet for sheet in drawn if sheet.rows]


def factor_sentence(drawn: list[Sheet]) -> str:
    """What the last column says; empty where no table has one, since what it compares with was not measured."""
    names = dict.fromkeys(sheet.columns[-1][2:] for sheet in drawn if sheet.columns[-1].startswith("x "))
    return f"The last column says how many times better than {' or '.join(names)}." if names else ""


def reasons(report: Report) -> list[tuple[str, str]]:
    """What could not be measured, and what went wrong, as (rows and sizes, why)."""
    found: dict[tuple[str, str], list[str]] = {}
    for cell in report.cells:
        if why := cell.reason or cell.note:
            if cell.note:
                why += f" (after {counted(len(cell.counts), 'repeat')})"
            where = cell.quantity.key if cell.size is None else f"{cell.quantity.key} {cell.quantity.at(cell.size)}"
            found.setdefault((cell.row, why), []).append(where)
    cells_of = {row: sum(cell.row == row for cell in report.cells) for row, _ in found}
    return [
        (row if len(places) == cells_of[row] else f"{row}, {_join(places)}", why)
        for (row, why), places in found.items()
    ]


def _join(places: list[str]) -> str:
    """Say a word that repeats once: "throughput 64 KiB, 1 MiB, roundtrip 64 KiB"."""
    said, parts = "", []
    for place in places:
        word, _, rest = place.partition(" ")
        parts.append(rest if rest and word == said else place)
        said = word
    return ", ".join(parts)


def _throughput(report: Report) -> Sheet:
    return _by_size(report, THROUGHPUT, "One-way throughput, messages/s")


def _by_size(report: Report, quantity: Quantity, title: str) -> Sheet:
    sizes = report.sizes(quantity)
    if not sizes:
        return Sheet(title, [])
    middle = nominal(sizes)
    summaries = {size: report.summaries(quantity, size) for size in sizes}
    ranks = {size: report.ranks(quantity, size) for size in sizes}
    yardstick = summaries[middle].get(YARDSTICK)
    sheet = Sheet(title, ["", *map(quantity.at, sizes)])
    if yardstick:
        sheet.columns.append(f"x {YARDSTICK}")
    names = list(dict.fromkeys(cell.row for cell in report.cells if cell.quantity is quantity))
    # Best first at the size in the middle; rows without a figure there come last.
    for name in [*ranks[middle], *(name for name in names if name not in ranks[middle])]:
        entries = [Entry(name)]
        for size in sizes:
            summary = summaries[size].get(name)
            entries.append(Entry(_text(quantity, summary), ranks[size][name]) if summary else Entry(NOTHING))
        if yardstick:
            entries.append(_factor(quantity, summaries[middle].get(name), yardstick))
        sheet.rows.append(entries)
    if len(sizes) > 1:
        sheet.title += f" (sorted by {quantity.at(middle)})"
    return sheet


def _further(report: Report, quantity: Quantity) -> Sheet:
    title = f"{quantity.title}, {'µs' if quantity.unit == 'ns' else quantity.unit}"
    if quantity.sized:
        return _by_size(report, quantity, title)
    sheet = _latency(report, quantity, None)
    sheet.title = title
    return sheet


def _latency(report: Report, quantity: Quantity, size: int | None) -> Sheet:
    title = f"{quantity.title}, µs" + ("" if size is None else f", {quantity.at(size)}")
    cells, ranks = report.select(quantity, size), report.ranks(quantity, size)
    summaries = report.summaries(quantity, size)
    yardstick = summaries.get(YARDSTICK)
    sheet = Sheet(title, ["", *quantity.statistics, *([f"x {YARDSTICK}"] if yardstick else [])])
    for name in [*ranks, *(name for name in cells if name not in ranks)]:
        entries = [Entry(name)]
        for statistic in quantity.statistics:
            summary = cells[name].summary(statistic)
            first = statistic == quantity.statistics[0]
            entries.append(
                Entry(_text(quantity, summary), ranks.get(name, 0) if first else 0) if summary else Entry(NOTHING)
            )
        if yardstick:
            entries.append(_factor(quantity, summaries.get(name), yardstick))
        sheet.rows.append(entries)
    return sheet


def _locks(report: Report) -> Sheet:
    pairs, handoffs = report.select(PAIR), report.select(HANDOFF)
    pair_ranks, handoff_ranks = report.ranks(PAIR), report.ranks(HANDOFF)
    yardstick = report.summaries(PAIR).get(LOCK_YARDSTICK)
    columns = ["", "pair, ns", "hand-off, µs", "p90", "p99", *([f"x {LOCK_YARDSTICK}"] if yardstick else [])]
    sheet = Sheet("Locks: acquire and release uncontended; release to blocked acquire, p50", columns)
    for name in [*pair_ranks, *(name for name in pairs if name not in pair_ranks)]:
        pair = pairs[name].summary()
        entries = [Entry(name), Entry(digits(pair.median), pair_ranks[name]) if pair else Entry(NOTHING)]
        for statistic in HANDOFF.statistics:
            summary = handoffs[name].summary(statistic) if name in handoffs else None
            ranked = handoff_ranks.get(name, 0) if statistic == "p50" else 0
            entries.append(Entry(_text(HANDOFF, summary), ranked) if summary else Entry(NOTHING))
        if yardstick:
            entries.append(_factor(PAIR, pair, yardstick))
        sheet.rows.append(entries)
    return sheet


def _text(quantity: Quantity, summary: Summary) -> str:
    if quantity.higher_is_better:
        return rate_text(summary.median).replace(" ", "")  # or five sizes would not fit into 80 columns
    return digits(summary.median / 1000 if quantity.unit == "ns" else summary.median)


def _factor(quantity: Quantity, summary: Summary | None, yardstick: Summary) -> Entry:
    """How many times better than the yardstick."""
    if summary is None:
        return Entry(NOTHING)
    if not summary.median or not yardstick.median:  # no processor time at all can be had
        return Entry(NOTHING)
    ratio = summary.median / yardstick.median
    return Entry(factor_text(ratio if quantity.higher_is_better else 1 / ratio))
