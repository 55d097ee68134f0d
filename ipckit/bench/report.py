"""The result of a run: cells of samples, and their form as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ipckit.bench.quantity import BY_KEY, QUANTITIES, Quantity
from ipckit.bench.statistics import Summary, rank, summarise

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT = "ipckit-bench"
VERSION = 1


class ReportError(ValueError):
    """A file is not a report of this benchmark; the message says what is wrong."""


@dataclass
class Cell:
    """One row, one quantity, one size: a sample per repeat for each statistic, or the reason why there is none."""

    row: str
    quantity: Quantity
    size: int | None
    samples: dict[str, list[float]] = field(default_factory=dict)
    counts: list[int] = field(default_factory=list)
    """How many messages, trips or pairs stand behind each sample."""
    reason: str = ""
    note: str = ""
    """What went wrong in a later repeat; the samples before it stand."""

    def summary(self, statistic: str | None = None) -> Summary | None:
        """The median and its interval of *statistic*, by default of the one that ranks; None without samples."""
        first = self.samples.get(self.quantity.statistics[0], [])
        samples = self.samples.get(statistic, []) if statistic else first
        # A percentile that only some repeats had enough samples for would be a median of other repeats than the rest.
        return summarise(samples) if samples and len(samples) == len(first) else None


@dataclass
class Report:
    """All that a run knows."""

    environment: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, dict[str, str]] = field(default_factory=dict)
    """For each row by name: "about" and "family"."""
    cells: list[Cell] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    interrupted: bool = False

    def select(self, quantity: Quantity, size: int | None = None) -> dict[str, Cell]:
        """The cells of one quantity and size, by row."""
        return {cell.row: cell for cell in self.cells if cell.quantity is quantity and cell.size == size}

    def sizes(self, quantity: Quantity) -> list[int]:
        """The sizes for which *quantity* was asked, ascending."""
        return sorted({cell.size for cell in self.cells if cell.quantity is quantity and cell.size is not None})

    def summaries(self, quantity: Quantity, size: int | None = None) -> dict[str, Summary]:
        """The summaries of the cells that have samples."""
        found = {name: cell.summary() for name, cell in self.select(quantity, size).items()}
        return {name: summary for name, summary in found.items() if summary is not None}

    def ranks(self, quantity: Quantity, size: int | None = None) -> dict[str, int]:
        """The rank of each row that has samples, best first."""
        return rank(self.summaries(quantity, size), higher_is_better=quantity.higher_is_better)

    def questions(self) -> Iterator[tuple[Quantity, int | None]]:
        """Every quantity and size that has cells."""
        for quantity in QUANTITIES:
            if quantity.sized:
                yield from ((quantity, size) for size in self.sizes(quantity))
            elif self.select(quantity):
                yield quantity, None

    def to_json(self) -> str:
        """The report as JSON, raw samples included; times in nanoseconds, rates in messages per second."""
        ranks = {(quantity.key, size): self.ranks(quantity, size) for quantity, size in self.questions()}
        cells = []
        for cell in self.cells:
            entry: dict[str, Any] = {"row": cell.row, "quantity": cell.quantity.key, "size": cell.size}
            if summary := cell.summary():
                entry |= {
                    "unit": cell.quantity.unit,
                    "median": summary.median,
                    "interval": [summary.low, summary.high],
                    "mad": summary.mad,
                    "rank": ranks[cell.quantity.key, cell.size][cell.row],
                    "samples": cell.samples,
                    "counts": cell.counts,
                }
            for key, text in (("reason", cell.reason), ("note", cell.note)):
                if text:
                    entry[key] = text
            cells.append(entry)
        document = {
            "format": FORMAT,
            "version": VERSION,
            "interrupted": self.interrupted,
            "environment": self.environment,
            "settings": self.settings,
            "notices": self.notices,
            "rows": self.rows,
            "cells": cells,
        }
        return json.dumps(document, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read what `to_json` wrote.

        Raises:
            ReportError: it is something else.
        """
        try:
            document = json.loads(text)
        except ValueError as error:
            raise ReportError(f"not JSON: {error}") from None
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ReportError("JSON, but not a report of `ipckit bench --json`")
        if document.get("version") != VERSION:
            raise ReportError(f"a report of version {document.get('version')!r}, this ipckit reads version {VERSION}")
        try:
            return cls(
                environment=dict(document["environment"]),
                settings=dict(document["settings"]),
                rows=dict(document["rows"]),
                cells=[_cell(entry) for entry in document["cells"]],
                notices=list(document["notices"]),
                interrupted=bool(document["interrupted"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ReportError(f"a damaged report: {error!r}") from None


def _cell(entry: dict[str, Any]) -> Cell:
    if not isinstance(entry["row"], str) or not isinstance(entry["size"], int | None):
        raise TypeError(f"a cell of the row {entry['row']!r}, of the size {entry['size']!r}")
    return Cell(
        row=entry["row"],
        quantity=BY_KEY[entry["quantity"]],
        size=entry["size"],
        samples={key: [float(value) for value in values] for key, values in entry.get("samples", {}).items()},
        counts=list(entry.get("counts", [])),
        reason=entry.get("reason", ""),
        note=entry.get("note", ""),
    )
