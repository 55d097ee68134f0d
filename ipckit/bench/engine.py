"""The run: every row in turn, in fresh processes, again and again."""

from __future__ import annotations

import random
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol

from ipckit.bench import environment
from ipckit.bench.placement import choose, read_topology
from ipckit.bench.quantity import (
    ARRAY,
    BY_KEY,
    CALL,
    CALLS,
    CROWD,
    FAN_COST,
    FAN_RATE,
    READ,
    ROUNDTRIP,
    THROUGHPUT,
    WRITE,
)
from ipckit.bench.report import Cell, Report
from ipckit.bench.row import Channel
from ipckit.bench.settings import nominal
from ipckit.bench.team import MeasurementFailed, TimedOut, tracker
from ipckit.bench.visit import Visitor
from ipckit.bench.worker import why

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipckit.bench.placement import Placement
    from ipckit.bench.quantity import Quantity
    from ipckit.bench.row import Row
    from ipckit.bench.settings import Settings


class Observer(Protocol):
    """Who is told how far the run is; never while a measurement is going on."""

    def __call__(self, done: float, text: str) -> None:
        """*done* is the part that is done, 0 to 1; *text* is what comes next."""


class Engine:
    """One run; `report` holds what is measured so far, at any moment."""

    def __init__(self, rows: Sequence[type[Row]], missing: dict[str, str], settings: Settings) -> None:
        """Prepare to measure *rows*; *missing* are rows by name that can't even be loaded, and why."""
        cpus = read_topology()
        self._settings = settings
        self._placement: Placement = choose(settings.placement, cpus)
        self._rows = {row.name: row for row in rows}
        self._visitor = Visitor(settings, self._placement)
        notices = [self._placement.notice, environment.busy(cpus)]
        self.report = Report(
            environment=environment.record(cpus),
            settings={
                "command": environment.command_line(),
                **asdict(settings),
                "placement": self._placement.kind,
                "placement_text": self._placement.text,
                "cpus": [self._placement.first, self._placement.second],
            },
            rows={row.name: {"about": row.about, "family": row.family} for row in rows},
            notices=[notice for notice in notices if notice],
        )
        for row in rows:
            self.report.cells += [Cell(row.name, quantity, size) for quantity, size in self._questions(row)]
        for name, reason in missing.items():
            self.report.rows[name] = {"about": "can't be loaded", "family": ""}
            self.report.cells += [Cell(name, THROUGHPUT, size, reason=reason) for size in settings.sizes]

    def run(self, observe: Observer) -> Report:
        """Measure everything; on KeyboardInterrupt nothing is left behind and `report` holds what there is."""
        began = time.monotonic()
        self.report.interrupted = True
        try:
            with tracker():
                self._rounds(began, observe)
            self.report.interrupted = False
        finally:
            self.report.environment["load after"] = environment.load()
            self.report.environment["duration"] = f"{time.monotonic() - began:.0f} s"
        return self.report

    def _rounds(self, began: float, observe: Observer) -> None:
        repeats = self._settings.repeats
        order = list(self._rows.values())
        shuffle = random.Random(0).shuffle  # noqa: S311  # the same orders in each run
        for repeat in range(repeats):
            shuffle(order)  # else each row would always follow the same one, and inherit its heat
            round_began = time.monotonic()
            for index, row in enumerate(order):
                observe((repeat + index / len(order)) / repeats, f"repeat {repeat + 1}/{repeats}: {row.name}")
                self._visit(row)
            now = time.monotonic()
            budget, least = self._settings.budget, self._settings.least_repeats
            if budget is not None and least - 1 <= repeat < repeats - 1 and now - began + (now - round_began) > budget:
                self.report.notices.append(f"{repeat + 1} of {repeats} repeats made: more would not fit {budget:.0f} s")
                break
        observe(1.0, "done")

    def _questions(self, row: type[Row]) -> list[tuple[Quantity, int | None]]:
        sizes = self._settings.sizes
        trips = sizes if self._settings.roundtrip_sizes is None else self._settings.roundtrip_sizes
        if issubclass(row, Channel) and not row.payload:
            trips = (nominal(trips),)
        sized: dict[Quantity, Sequence[int]] = {THROUGHPUT: sizes, ROUNDTRIP: trips, READ: sizes, WRITE: sizes}
        sized |= {ARRAY: sizes, CROWD: self._settings.pairs}
        sized |= dict.fromkeys((FAN_COST, FAN_RATE), self._settings.readers)
        sized |= dict.fromkeys((CALLS, CALL), self._settings.arguments)
        asked = row.measures
        if (keys := self._settings.measures) is not None:
            asked = tuple(BY_KEY[key] for key in keys if row.answers(BY_KEY[key]))
        questions = [(quantity, size) for quantity in asked for size in sized.get(quantity, [None])]
        if FAN_COST in asked:  # readers come, and none goes
            questions.sort(key=lambda question: question[1] or 0)
        return questions

    def _visit(self, row: type[Row]) -> None:
        """Measure all cells of *row* once, in a fresh pair of processes, and in another where the first fails."""
        cells = [cell for cell in self.report.cells if cell.row == row.name and not cell.reason and not cell.note]
        while cells:
            try:
                self._visitor.measure(row, cells)
            except Exception as error:
                reason = str(error) if isinstance(error, MeasurementFailed) else why(error)
                if not cells:
                    self.report.notices.append(f"{row.name} could not be cleaned up: {reason}")
                    break
                # The one that failed is out of the run, those after it get new processes.
                # To wait for each of a row that hangs would take minutes, so its others are out with it.
                out = len(cells) if isinstance(error, TimedOut) else 1
                for failed in cells[:out]:
                    if failed.samples:
                        failed.note = reason
                    else:
                        failed.reason = reason
                del cells[:out]
