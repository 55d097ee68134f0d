"""The timed loop of remote procedure calls: the first process calls, the second one serves."""

from __future__ import annotations

from itertools import repeat
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING

from ipckit.bench.measurements import CheckFailed, sample_payload, warm_up
from ipckit.bench.quantity import CALL, percentiles

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.bench.measurements import Side


def call_first(side: Side, size: int, count: int) -> tuple[dict[str, float], int]:
    """Make *count* calls with *size* bytes.

    Returns:
        The percentiles in nanoseconds, and the nanoseconds that all calls took together.
    """
    trips = side.caller.trips(side.sync.wait().decode(), sample_payload(size), count)
    side.sync.tell()
    trips.sort()
    return percentiles(trips, CALL.statistics), sum(trips)


def call_second(side: Side, size: int, count: int) -> None:
    """Serve, until the other process is through."""
    del size, count
    with side.caller.serving() as where:
        side.sync.tell(where.encode())
        side.sync.wait()


def timed_calls(call: Callable[[], object], data: bytes, count: int) -> list[int]:
    """Nanoseconds of each of *count* calls, which give back *data* if there is any, after some that are not timed."""
    if (call() or b"") != data:
        raise CheckFailed(f"a call with {len(data)} bytes gave back something else")
    trips = [0] * count
    for _ in repeat(None, warm_up(count)):
        call()
    for i in range(count):
        start = clock()
        call()
        trips[i] = clock() - start
    return trips
