"""The questions that the benchmark answers: one `Quantity` each."""

from __future__ import annotations

from typing import NamedTuple


class Quantity(NamedTuple):
    """One question, and the statistics that answer it; the first of them ranks."""

    key: str
    title: str
    unit: str
    statistics: tuple[str, ...]
    higher_is_better: bool
    sized: bool
    """Whether the answer depends on the size of the message."""


THROUGHPUT = Quantity("throughput", "One-way throughput", "messages/s", ("rate",), higher_is_better=True, sized=True)
ROUNDTRIP = Quantity(
    "roundtrip", "Round trip", "ns", ("p50", "p90", "p99", "p99.9"), higher_is_better=False, sized=True
)
WAKEUP = Quantity(
    "wakeup", "Wake-up of a sleeping receiver", "ns", ("p50", "p90", "p99"), higher_is_better=False, sized=False
)
PAIR = Quantity("pair", "Lock: acquire and release, uncontended", "ns", ("pair",), higher_is_better=False, sized=False)
HANDOFF = Quantity(
    "handoff", "Lock: release to blocked acquire", "ns", ("p50", "p90", "p99"), higher_is_better=False, sized=False
)

QUANTITIES = (THROUGHPUT, ROUNDTRIP, WAKEUP, PAIR, HANDOFF)
BY_KEY = {quantity.key: quantity for quantity in QUANTITIES}

NEEDED_FOR = {"p50": 1, "p90": 10, "p99": 100, "p99.9": 1000}
"""How many samples a percentile needs: with fewer it would only be the worst one by another name."""


def percentiles(sorted_ns: list[int], names: tuple[str, ...]) -> dict[str, float]:
    """The *names* percentiles of samples in ascending order (nearest rank); those with too few samples are left out."""
    count = len(sorted_ns)
    answer = {}
    for name in names:
        if count >= NEEDED_FOR[name]:
            rank = -(-round(float(name[1:]) * 10) * count // 1000)  # rounded up, in integers: 99.9 is no binary float
            answer[name] = float(sorted_ns[max(rank, 1) - 1])
    return answer
