"""A worker: receives, checks, notes how long each message took, and reports when a message says so."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.model_server.messages import DATA, REPORT, STOP, Corrupt, examine

if TYPE_CHECKING:
    from ctypes import Array, c_uint64
    from multiprocessing.connection import Connection

    from benchmarks.model_server.transport import Door


class Notes(NamedTuple):
    """What a worker has seen since its last report."""

    first: int
    last: int
    latencies_ns: list[int]
    failure: str = ""


def work(
    door: Door, place: int, control: Connection[object, object], progress: Array[c_uint64], *, thorough: bool
) -> None:
    """The process: until a message says stop.

    Args:
        door: where messages come from.
        place: our index in *progress*, where the number of the last message stands.
        control: to the scheduler: "ready", its ticket from there, then notes whenever a message asks for them.
        progress: shared with all.
        thorough: whether to compare checksums.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the scheduler ends us
    inbox = door.open(place)
    control.send("ready")
    inbox.begin(control.recv)
    first = last = 0
    latencies: list[int] = []
    kind = REPORT
    while kind != STOP:
        message = inbox.take()
        arrived = time.monotonic_ns()
        try:
            head = examine(message, thorough=thorough)
            if last and head.number != last + 1:
                raise Corrupt(f"message {head.number} came after {last}")
        except Corrupt as error:
            control.send(Notes(first, last, [], str(error)))
            raise
        del message
        inbox.done()
        kind, last = head.kind, head.number
        first = first or last
        if kind == DATA:
            latencies.append(arrived - head.sent_ns)
        else:
            control.send(Notes(first, last, latencies))
            first, latencies = 0, []
        progress[place] = last
    inbox.close()
