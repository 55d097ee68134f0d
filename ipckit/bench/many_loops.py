"""The timed loops of more than two processes, which meet at a `Gate`; halves as in `ipckit.bench.measurements`."""

from __future__ import annotations

import time
from itertools import repeat
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any

from ipckit.bench.measurements import CheckFailed, Sync, sample_payload

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from ipckit.bench.loads import Crowd, Fan
    from ipckit.bench.measurements import Side


class Gate(Sync):
    """Opens when all processes of the measurement stand before it; the orchestrator opens it."""

    def __init__(self, control: Connection[Any, Any]) -> None:
        super().__init__(control)
        self._control = control

    def tell(self, word: bytes = b".") -> None:
        """Stand before the gate."""
        self._control.send(("ready", word))

    def wait(self) -> bytes:
        """Wait until it opens."""
        self._control.recv()
        return b"."


def crowd_first(side: Side, index: int, pairs: int, size: int, count: int) -> int:
    """Send *count* messages, beside other producers; return the moment before the first."""
    del index, pairs
    row: Crowd = side.objects[0]
    send = row.sender(size)
    payload = sample_payload(size)
    _meet(side)
    start = clock()
    for _ in repeat(None, count):
        send(payload)
    return start


def crowd_second(side: Side, index: int, pairs: int, size: int, count: int) -> int:
    """Receive *count* messages, whoever sent them; return the moment after the last."""
    del index, pairs
    row: Crowd = side.objects[0]
    return _receive(side, row.receiver(size), size, count)


def fan_rate_first(side: Side, index: int, readers: int, size: int, count: int) -> int:
    """Send *count* messages to all readers; return the moment before the first."""
    del index
    row: Fan = side.objects[0]
    _meet(side)  # all readers are there
    send = row.writer(size, readers)
    payload = sample_payload(size)
    _meet(side)
    start = clock()
    for _ in repeat(None, count):
        send(payload)
    return start


def fan_rate_second(side: Side, index: int, readers: int, size: int, count: int) -> int:
    """Receive them all; return the moment after the last."""
    del readers
    row: Fan = side.objects[0]
    receive = row.reader(size, index)
    _meet(side)
    return _receive(side, receive, size, count)


def fan_cost_first(side: Side, index: int, readers: int, size: int, count: int) -> int:
    """Send *count* messages, for which there is room, to all readers.

    Returns:
        The nanoseconds that processors worked for this process, all threads, until all readers had all messages.
    """
    del index
    row: Fan = side.objects[0]
    _meet(side)
    send = row.writer(size, readers)
    payload = sample_payload(size)
    _meet(side)
    start = time.process_time_ns()
    for _ in repeat(None, count):
        send(payload)
    _meet(side)  # a thread of its own may have been sending till then
    return time.process_time_ns() - start


def fan_cost_second(side: Side, index: int, readers: int, size: int, count: int) -> None:
    """Receive them all."""
    fan_rate_second(side, index, readers, size, count)
    _meet(side)


def _receive(side: Side, receive: Any, size: int, count: int) -> int:
    _meet(side)
    for _ in repeat(None, count):
        message = receive()
    end = clock()
    if bytes(message) != sample_payload(size):
        raise CheckFailed(f"a message of {size} bytes arrived with other content than was sent")
    return end


def _meet(side: Side) -> None:
    side.sync.tell()
    side.sync.wait()
