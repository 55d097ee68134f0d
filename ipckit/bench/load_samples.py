"""One sample of a further load: what the processes are asked, and what becomes of their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ipckit.bench.loads import Crowd, Many
from ipckit.bench.quantity import ARRAY, ASLEEP, BESIDE, CROWD, FAN_COST, IDLE, percentiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.bench.crew import Crew
    from ipckit.bench.pair import Pair
    from ipckit.bench.report import Cell
    from ipckit.bench.settings import Settings

BURST = 5000  # messages of a broadcast for which any row must have room
FEW = 64  # messages, to begin with, beside a busy thread
GROWTH = 4
LEAST_BESIDE = 0.25  # s: fifty times the interval after which a thread must let the other have the GIL
TRIAL = 3  # arrays
MOST_ARRAYS = 1000

Sample = tuple[dict[str, float], int]


class Counting(Protocol):
    """How many operations fill the time that the settings give a sample: `Visitor._count`."""

    def __call__(self, cell: Cell, pace: Callable[[int], float], *, share: int = 1) -> int:
        """The number, by trial with *pace* where it is not known."""


def most(settings: Settings, row: Many | type[Many]) -> int:
    """How many pairs, or readers, a row of many processes is made for."""
    kind = row if isinstance(row, type) else type(row)
    return max(settings.pairs if issubclass(kind, Crowd) else settings.readers)


def sample_load(pair: Pair, cell: Cell, size: int, settings: Settings, counting: Counting) -> Sample:
    """One sample of a load of two processes, and how many operations are behind it."""
    if cell.quantity is ASLEEP:
        return _asleep(pair, size, settings.wakeups)
    if cell.quantity is IDLE:
        return {"use": pair.ask("idle", size, round(settings.idle * 1000))[0]}, 1
    if cell.quantity is ARRAY:
        return _array(pair, size, settings.seconds)
    if cell.quantity is BESIDE:
        return _beside(pair, cell, size, max(settings.seconds, LEAST_BESIDE))

    def pace(count: int) -> float:
        start, end = pair.ask("objects", count)
        return float(end - start) / count

    count = counting(cell, pace)
    return {"rate": 1e9 / pace(count)}, count


def sample_many(crew: Crew, cell: Cell, size: int, counting: Counting) -> Sample:
    """One sample of a load of many processes, and how many messages each sender sent for it."""
    number = cell.size or 1
    if cell.quantity is FAN_COST:
        (used,), _ = crew.ask("fan_cost", (1, number), number, size, BURST)
        return {"cost": used / BURST}, BURST
    crowd = cell.quantity is CROWD
    name, sides = ("crowd", (number, number)) if crowd else ("fan_rate", (1, number))

    def pace(count: int) -> float:
        starts, ends = crew.ask(name, sides, number, size, count)
        return float(max(ends) - min(starts)) / count

    count = counting(cell, pace)
    return {"rate": number * 1e9 / pace(count)}, count


def _beside(pair: Pair, cell: Cell, size: int, seconds: float) -> Sample:
    count = cell.counts[-1] if cell.counts else FEW
    while True:
        start, end = pair.ask("beside", size, count)
        if end - start >= seconds * 1e9:
            return {"rate": count * 1e9 / (end - start)}, count
        # What a few messages take is the switches at the begin, and says nothing of the rest.
        count *= GROWTH


def _asleep(pair: Pair, size: int, count: int) -> Sample:
    moments, kept = pair.ask("asleep", size, count)
    trips = sorted(end - begin - pause for (begin, end), pause in zip(moments, kept, strict=True))
    return percentiles(trips, ASLEEP.statistics), count


def _array(pair: Pair, size: int, seconds: float) -> Sample:
    count, trips = TRIAL, pair.ask("array", size, TRIAL)[0]
    if sum(trips) < seconds * 1e9:
        count = min(MOST_ARRAYS, max(TRIAL, round(seconds * 1e9 / max(trips))))
        trips = pair.ask("array", size, count)[0]
    return percentiles(sorted(trip // 2 for trip in trips), ARRAY.statistics), count
