"""Medians, their intervals, and ranks that admit a tie."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

TARGET_COVERAGE = 0.95


@dataclass(frozen=True)
class Summary:
    """The median of the repeats, and how sure it is."""

    median: float
    low: float
    high: float
    mad: float
    """Median absolute deviation of the repeats from their median."""
    count: int

    def overlaps(self, other: Summary) -> bool:
        """Whether the two intervals have a value in common."""
        return self.low <= other.high and other.low <= self.high


def order_statistics(count: int) -> tuple[int, float]:
    """Which of *count* sorted samples bound the median, and with which probability.

    Returns:
        (k, coverage): the k-th smallest and the k-th largest sample (counted from 1) enclose the true median with
        probability *coverage*, whatever the distribution. k is the largest that reaches 95 %, or 1.
    """

    def coverage(k: int) -> float:
        tail: int = sum(math.comb(count, i) for i in range(k))
        return 1.0 - 2.0 * tail / 2.0**count

    best = 1
    for k in range(2, (count + 1) // 2 + 1):
        if coverage(k) < TARGET_COVERAGE:
            break
        best = k
    return best, max(0.0, coverage(best))


def summarise(samples: Sequence[float]) -> Summary:
    """Summarise at least one sample."""
    ordered = sorted(samples)
    k, _ = order_statistics(len(ordered))
    median = statistics.median(ordered)
    mad = statistics.median(abs(value - median) for value in ordered)
    return Summary(median, ordered[k - 1], ordered[-k], mad, len(ordered))


def interval_sentence(counts: Sequence[int]) -> str:
    """Which intervals were used, for repeats that gave *counts* samples."""
    if not counts:
        return "nothing was measured"
    count = max(counts)
    if count == 1:
        return "one repeat only: no interval, so no rank is shared and no difference is sure"
    k, coverage = order_statistics(count)
    which = "smallest to largest" if k == 1 else f"{ordinal(k)} smallest to {ordinal(k)} largest"
    return f"median of {count} repeats; interval: {which}, which holds the true median with {100 * coverage:.1f} %"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th."""
    suffix = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def rank(summaries: dict[str, Summary], *, higher_is_better: bool) -> dict[str, int]:
    """Rank, 1 the best; rows whose intervals overlap share a rank, directly or through a row between them.

    The next rank counts those before it: 1, 1, 3. The names come best first, by median within a rank.
    """
    sign = -1.0 if higher_is_better else 1.0
    # As costs, less is better whichever way the quantity goes: (best edge, worst edge, median, name).
    costs = []
    for name, summary in summaries.items():
        best, worst = sorted((sign * summary.low, sign * summary.high))
        costs.append((best, worst, sign * summary.median, name))
    groups: list[list[tuple[float, str]]] = []
    reach = -math.inf  # the worst edge of the present group
    for best, worst, median, name in sorted(costs):
        if best > reach:
            groups.append([])
        groups[-1].append((median, name))
        reach = max(reach, worst)
    ranks: dict[str, int] = {}
    for group in groups:
        current = len(ranks) + 1
        for _, name in sorted(group):
            ranks[name] = current
    return ranks
