"""Two reports side by side: only what exceeds the noise of both is a difference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ipckit.bench.environment import SAME_MACHINE
from ipckit.bench.units import digits

if TYPE_CHECKING:
    from ipckit.bench.quantity import Quantity
    from ipckit.bench.report import Report
    from ipckit.bench.statistics import Summary

NOISE = 3.0  # times the median absolute deviation
_ONCE = "figures of one repeat have no interval that tells their noise: no difference of theirs is sure"


class NotComparable(Exception):
    """The reports are of different machines or placements; the message names what differs."""


@dataclass(frozen=True)
class Difference:
    """One figure that changed."""

    row: str
    what: str
    old: str
    new: str
    change: str
    better: bool


@dataclass
class Comparison:
    """What changed, out of how many figures."""

    compared: int = 0
    differences: list[Difference] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    unsure: bool = False
    """Of some figures there is one repeat only, and so no noise to exceed."""


def compare(old: Report, new: Report, *, force: bool = False) -> Comparison:
    """Compare every figure that both reports have.

    Args:
        force: compare even across machines, and only say so.

    Raises:
        NotComparable: host, CPU, kernel or placement differ, and *force* is false.
    """
    comparison = Comparison()
    differing = [
        f"{key} ({old.environment.get(key)!r}, now {new.environment.get(key)!r})"
        for key in SAME_MACHINE
        if old.environment.get(key) != new.environment.get(key)
    ]
    if old.settings.get("placement") != new.settings.get("placement"):
        differing.append(f"placement ({old.settings.get('placement')!r}, now {new.settings.get('placement')!r})")
    if differing:
        sentence = f"the old report is of a different {', '.join(differing)}"
        if not force:
            raise NotComparable(f"{sentence}: its figures are no measure for these; --force compares all the same")
        comparison.notices.append(sentence)
    comparison.notices += [
        f"different {key}: {old.environment.get(key)}, now {new.environment.get(key)}"
        for key in ("python", "ipckit", "packages")
        if old.environment.get(key) != new.environment.get(key)
    ]
    loads = [report.environment.get("load before", "unknown") for report in (old, new)]
    if loads[0] != loads[1]:
        comparison.notices.append(f"the load averages were {loads[0]}, now {loads[1]}")
    for quantity, size in new.questions():
        before, after = old.summaries(quantity, size), new.summaries(quantity, size)
        for name, summary in after.items():
            if name in before:
                comparison.compared += 1
                comparison.unsure |= min(before[name].count, summary.count) == 1
                if exceeds_noise(before[name], summary):
                    comparison.differences.append(_difference(name, quantity, size, before[name], summary))
    if comparison.unsure:
        comparison.notices.append(_ONCE)
    return comparison


def exceeds_noise(old: Summary, new: Summary) -> bool:
    """Whether the intervals are disjoint and the medians further apart than three times the larger deviation."""
    return not old.overlaps(new) and abs(new.median - old.median) > NOISE * max(old.mad, new.mad)


def _difference(name: str, quantity: Quantity, size: int | None, old: Summary, new: Summary) -> Difference:
    ratio = new.median / old.median
    # Beyond a doubling, per cent say less than a factor.
    change = f"{100 * (ratio - 1):+.0f} %" if 0.5 < ratio < 2 else f"x {digits(ratio)}"
    what = quantity.key if size is None else f"{quantity.key} {quantity.at(size)}"
    better = (ratio > 1) == quantity.higher_is_better
    return Difference(name, what, quantity.text(old.median), quantity.text(new.median), change, better)
