"""The report as CSV: one line for each statistic of each cell."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipckit.bench.report import Report

COLUMNS = (
    "row", "quantity", "size", "statistic", "unit", "median", "low", "high", "mad", "repeats", "rank", "reason",
)  # fmt: skip


def to_csv(report: Report) -> str:
    """The report as CSV text with a header line; times in nanoseconds, rates in messages per second."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for cell in report.cells:
        size = "" if cell.size is None else cell.size
        head = [cell.row, cell.quantity.key, size]
        ranks = report.ranks(cell.quantity, cell.size)
        for statistic in cell.quantity.statistics:
            summary = cell.summary(statistic)
            first = statistic == cell.quantity.statistics[0]
            if summary:
                figures = [summary.median, summary.low, summary.high, summary.mad, summary.count]
                rank = ranks[cell.row] if first else ""
                writer.writerow([*head, statistic, cell.quantity.unit, *figures, rank, cell.note])
            elif first:
                writer.writerow([*head, statistic, cell.quantity.unit, *[""] * 6, cell.reason])
    return text.getvalue()
