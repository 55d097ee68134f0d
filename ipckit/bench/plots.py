"""The report's plots: which rows, which figures, which colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.bench.drawing import Series, lines, ranges
from ipckit.bench.quantity import HANDOFF, PAIR, READ, ROUNDTRIP, THROUGHPUT, WAKEUP, WRITE, Quantity
from ipckit.bench.settings import nominal
from ipckit.bench.units import rate_text, size_text, time_text

if TYPE_CHECKING:
    from ipckit.bench.report import Report

# Okabe and Ito's colours, which people with any colour vision can tell apart, on white as on black.
COLOURS = {
    "ring": "#d55e00",
    "pipe": "#0072b2",
    "socket": "#009e73",
    "message queue": "#cc79a7",
    "shared memory": "#e69f00",
    "event": "#56b4e9",
    "semaphore": "#e69f00",
    "file lock": "#0072b2",
    "multiprocessing": "#888888",
}
OTHER = "#999933"


def plots(report: Report) -> list[tuple[str, str]]:
    """(caption, SVG) of every plot that has something to show."""
    drawn = [
        ("One-way throughput, messages/s, by message size", _by_size(report, THROUGHPUT)),
        ("One-way throughput, bytes/s, by message size", _by_size(report, THROUGHPUT, bytes_per_second=True)),
    ]
    if sizes := report.sizes(ROUNDTRIP):
        size = nominal(sizes)
        drawn.append((f"Round trip of {size_text(size)}: p50 (dot), p90, p99, p99.9", _ranges(report, ROUNDTRIP, size)))
        if len(sizes) > 1:
            drawn.append(("Round trip, p50, by message size", _by_size(report, ROUNDTRIP)))
    drawn += [
        ("Wake-up of a sleeping receiver: p50 (dot), p90, p99", _ranges(report, WAKEUP, None)),
        ("Lock: acquire and release, uncontended", _ranges(report, PAIR, None)),
        ("Lock: release to blocked acquire: p50 (dot), p90, p99", _ranges(report, HANDOFF, None)),
        *((f"{quantity.title}, by size", _by_size(report, quantity)) for quantity in (READ, WRITE)),
    ]
    return [(caption, svg) for caption, svg in drawn if svg]


def _by_size(report: Report, quantity: Quantity, *, bytes_per_second: bool = False) -> str:
    sizes = report.sizes(quantity)
    if len(sizes) < 2:
        return ""
    summaries = {size: report.summaries(quantity, size) for size in sizes}
    series = []
    for name in report.rows:
        points = []
        for size in sizes:
            if summary := summaries[size].get(name):
                unit = size if bytes_per_second else 1
                points.append((size, summary.median * unit, summary.low * unit, summary.high * unit))
        if len(points) > 1:
            series.append(Series(name, _colour(report, name), _bare(name), points=points))
    if not series:
        return ""
    if not quantity.higher_is_better:
        return lines(series, _size, time_text)
    return lines(series, _size, _bytes if bytes_per_second else rate_text)


def _ranges(report: Report, quantity: Quantity, size: int | None) -> str:
    cells = report.select(quantity, size)
    series = []
    for name in report.ranks(quantity, size):
        found = [cells[name].summary(statistic) for statistic in quantity.statistics]
        summaries = [summary for summary in found if summary is not None]
        series.append(
            Series(
                name,
                _colour(report, name),
                _bare(name),
                values=[summary.median for summary in summaries],
                interval=(summaries[0].low, summaries[0].high),
            )
        )
    return ranges(series, time_text) if series else ""


def _colour(report: Report, name: str) -> str:
    return COLOURS.get(report.rows[name]["family"], OTHER)


def _bare(name: str) -> bool:
    return name.endswith("(bare)")


def _size(size: float) -> str:
    return size_text(int(size))


def _bytes(rate: float) -> str:
    return rate_text(rate) + "B"
