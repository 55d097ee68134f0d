"""The timed loops of further loads of two processes; halves as in `ipckit.bench.measurements`."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from itertools import repeat
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any

from ipckit.bench.loads import SMALL_DICT
from ipckit.bench.measurements import CheckFailed, throughput_first, throughput_second

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.bench.loads import Arrays
    from ipckit.bench.measurements import Side

SETTLED = 0.2  # s, in which the longest spin of a receiver ends, and what a library does at its start
WARM_LAPS = 5  # arrays that go round before those that are timed: the first ones meet fresh memory


@contextmanager
def busy_thread() -> Iterator[None]:
    """A thread that computes in Python for as long as the block takes, and never lets go of the GIL by itself."""
    busy = True

    def compute() -> None:
        number = 0
        while busy:
            number = (number * 5 + 1) & 0xFFFF

    thread = threading.Thread(target=compute, daemon=True)
    thread.start()
    try:
        yield
    finally:
        busy = False
        thread.join()


def beside_first(side: Side, size: int, count: int) -> int:
    """As `throughput_first`, with a busy thread beside."""
    with busy_thread():
        return throughput_first(side, size, count)


def beside_second(side: Side, size: int, count: int) -> int:
    """As `throughput_second`, with a busy thread beside."""
    with busy_thread():
        return throughput_second(side, size, count)


def asleep_first(side: Side, size: int, count: int) -> list[tuple[int, int]]:
    """Send when the other one sleeps, and sleep until it answers; return the moments before and after each trip."""
    send, receive = side.there.sender(size), side.back.receiver(size)
    payload = bytes(size)
    moments = []
    for _ in range(count):
        side.peer.until_asleep()
        begin = clock()
        send(payload)
        receive()
        moments.append((begin, clock()))
    return moments


def asleep_second(side: Side, size: int, count: int) -> list[int]:
    """Answer each message when the other one sleeps; return how long each was kept for that."""
    receive, send = side.there.receiver(size), side.back.sender(size)
    payload = bytes(size)
    kept = []
    for _ in range(count):
        receive()
        begin = clock()
        side.peer.until_asleep()
        kept.append(clock() - begin)
        send(payload)
    return kept


def idle_first(side: Side, size: int, milliseconds: int) -> float:
    """Let the receiver wait; return how much of that time a processor worked for its process, in per cent."""
    send = side.there.sender(size)
    payload = bytes(size)
    side.sync.wait()
    send(payload)  # whatever is done once at the first message is done
    side.sync.wait()
    time.sleep(SETTLED)
    processor = (~side.peer.pid << 3) | 2  # the clock of another process: MAKE_PROCESS_CPUCLOCK, clock_getcpuclockid(3)
    begin, used = clock(), time.clock_gettime_ns(processor)
    time.sleep(milliseconds / 1000)
    used, taken = time.clock_gettime_ns(processor) - used, clock() - begin
    send(payload)
    return 100 * used / taken


def idle_second(side: Side, size: int, milliseconds: int) -> None:
    """Receive a message, and wait for another one."""
    del milliseconds
    receive = side.there.receiver(size)
    side.sync.tell()
    receive()
    side.sync.tell()
    receive()


def objects_first(side: Side, count: int) -> int:
    """Send the same small dict again and again; return the moment before the first."""
    send = side.there.sender(0)
    side.sync.wait()
    start = clock()
    for _ in repeat(None, count):
        send(SMALL_DICT)
    return start


def objects_second(side: Side, count: int) -> int:
    """Receive them; return the moment after the last."""
    receive = side.there.receiver(0)
    side.sync.tell()
    for _ in repeat(None, count):
        received = receive()
    end = clock()
    if received != SMALL_DICT:
        raise CheckFailed("a dict arrived with other content than was sent")
    return end


def array_first(side: Side, size: int, count: int) -> list[int]:
    """Hand *count* arrays over and get one back for each; return how long each trip took."""
    there, back = _arrays(side)
    ready, take = there.giver(size), back.taker(size)
    trips = []
    side.sync.wait()
    for number in range(WARM_LAPS + count):
        give = ready(number)
        begin = clock()
        give()
        seen = take()
        trips.append(clock() - begin)
        del give
        _compare(seen, number)
    return trips[WARM_LAPS:]


def array_second(side: Side, size: int, count: int) -> None:
    """Hand another array back for each, which was ready before."""
    there, back = _arrays(side)
    take, ready = there.taker(size), back.giver(size)
    side.sync.tell()
    for number in range(WARM_LAPS + count):
        give = ready(number)
        seen = take()
        give()
        del give
        _compare(seen, number)


def _arrays(side: Side) -> tuple[Arrays, Arrays]:
    rows: tuple[Any, ...] = side.objects
    return rows[0], rows[1]


def _compare(seen: int, number: int) -> None:
    if seen != number:
        raise CheckFailed(f"the last number of an array was {seen}, and {number} was sent")
