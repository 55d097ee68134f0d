"""The kinds of promises, each checked against the samples of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ipckit.bench.quantity import BY_KEY
from ipckit.bench.units import digits, factor_text, size_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.bench.report import Report
    from ipckit.bench.statistics import Summary

Reports = dict[str, "Report"]
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Verdict:
    """One line of the table."""

    part: str
    what: str
    wanted: str
    reached: str
    met: bool | None
    """None: not measured."""
    sure: bool = False
    """The whole interval of the ratio lies on one side of what was wanted."""
    details: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """Where a figure is in the reports."""

    part: str
    key: str
    size: int | None
    row: str

    def find(self, reports: Reports) -> Summary | None:
        """The summary, if it was measured."""
        report = reports.get(self.part)
        return report.summaries(BY_KEY[self.key], self.size).get(self.row) if report else None

    @property
    def place(self) -> str:
        """What was asked, in short."""
        quantity = BY_KEY[self.key]
        words = {
            "throughput": "one way",
            "roundtrip": "round trip",
            "objects": "small dict",
            "array": "array",
            "crowd": "many to many",
            "fan cost": "broadcast, writer",
            "pair": "uncontended",
            "handoff": "hand-off",
            "wakeup": "wake-up",
            "asleep": "round trip, both asleep",
            "call": "remote call",
            "idle": "processor time when idle",
        }
        text = words.get(self.key, self.key) + (" on one CPU" if self.part == "one-cpu" else "")
        return text if self.size is None else f"{text}, {quantity.at(self.size)}"


def _repeated(*summaries: Summary) -> bool:
    """Whether there are intervals at all: one repeat has none."""
    return all(summary.count > 1 for summary in summaries)


def times(ours: Figure, peer: str, factor: float) -> Callable[[Reports], Verdict]:
    """*ours* is at least *factor* times better than the row *peer* at the same."""
    other = Figure(ours.part, ours.key, ours.size, peer)

    def judge(reports: Reports) -> Verdict:
        what = f"{ours.row}: {ours.place}, against {peer}"
        wanted = f"{factor_text(factor)}"
        mine, theirs = ours.find(reports), other.find(reports)
        if mine is None or theirs is None:
            return Verdict(ours.part, what, wanted, NOT_MEASURED, None)
        if BY_KEY[ours.key].higher_is_better:
            ratio, low, high = mine.median / theirs.median, mine.low / theirs.high, mine.high / theirs.low
        else:
            ratio, low, high = theirs.median / mine.median, theirs.low / mine.high, theirs.high / mine.low
        return Verdict(
            ours.part, what, wanted, factor_text(ratio), ratio >= factor,
            sure=_repeated(mine, theirs) and (low >= factor or high < factor),
            details={"ours": mine.median, "theirs": theirs.median, "ratio": ratio, "low": low, "high": high},
        )  # fmt: skip

    return judge


def at_most(ours: Figure, limit: float) -> Callable[[Reports], Verdict]:
    """*ours*, in the unit of its quantity, is at most *limit*."""

    def judge(reports: Reports) -> Verdict:
        text = BY_KEY[ours.key].text
        what, wanted = f"{ours.row}: {ours.place}", f"at most {text(limit)}"
        mine = ours.find(reports)
        if mine is None:
            return Verdict(ours.part, what, wanted, NOT_MEASURED, None)
        sure = _repeated(mine) and (mine.high <= limit or mine.low > limit)
        return Verdict(ours.part, what, wanted, text(mine.median), mine.median <= limit, sure, {"ours": mine.median})

    return judge


def bandwidth(ours: Figure, gigabytes: float) -> Callable[[Reports], Verdict]:
    """Messages of that size make at least so many 10^9 bytes a second."""
    scale = (ours.size or 0) / 1e9

    def judge(reports: Reports) -> Verdict:
        what, wanted = f"{ours.row}: one way, {size_text(ours.size or 0)}", f"{digits(gigabytes)} GB/s"
        mine = ours.find(reports)
        if mine is None:
            return Verdict(ours.part, what, wanted, NOT_MEASURED, None)
        reached = mine.median * scale
        sure = _repeated(mine) and (mine.low * scale >= gigabytes or mine.high * scale < gigabytes)
        return Verdict(
            ours.part, what, wanted, f"{digits(reached)} GB/s", reached >= gigabytes, sure, {"ours": reached}
        )

    return judge


def steady(
    part: str, key: str, row: str, sizes: tuple[int, ...], limit: float, *, rising: bool = True
) -> Callable[[Reports], Verdict]:
    """From the first of *sizes* to any other, the figure grows (or, not *rising*, falls) to at most *limit* times."""
    figures = [Figure(part, key, size, row) for size in sizes]
    quantity = BY_KEY[key]

    def judge(reports: Reports) -> Verdict:
        what = f"{row}: {figures[-1].place}, against {quantity.at(sizes[0])}"
        wanted = f"at {'most' if rising else 'least'} {factor_text(limit)}"
        found = [figure.find(reports) for figure in figures]
        known = [summary for summary in found if summary is not None]
        if len(known) < len(found):
            return Verdict(part, what, wanted, NOT_MEASURED, None)
        ratios = [summary.median / known[0].median for summary in known[1:]]
        worst = max(ratios) if rising else min(ratios)
        first, others = known[0], known[1:]
        met = worst <= limit if rising else worst >= limit
        if rising:
            low, high = max(other.low for other in others) / first.high, max(other.high for other in others) / first.low
            sure = high <= limit or low > limit
        else:
            low, high = min(other.low for other in others) / first.high, min(other.high for other in others) / first.low
            sure = low >= limit or high < limit
        details = {"ratio": worst, "low": low, "high": high}
        return Verdict(part, what, wanted, factor_text(worst), met, _repeated(*known) and sure, details)

    return judge


def kept(row: str) -> Callable[[Reports], Verdict]:
    """What is left of the rate at 64 B beside a busy thread; nothing was promised, so nothing is met or missed."""
    beside, alone = Figure("one-way", "beside", None, row), Figure("one-way", "throughput", 64, row)

    def judge(reports: Reports) -> Verdict:
        what = f"{row}: rate kept beside a busy thread, 64 B"
        with_thread, without = beside.find(reports), alone.find(reports)
        if with_thread is None or without is None:
            return Verdict("one-way", what, "", NOT_MEASURED, None)
        share = with_thread.median / without.median
        return Verdict("one-way", what, "", f"{100 * share:.0f} %", None, details={"ratio": share})

    return judge
