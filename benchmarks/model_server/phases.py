"""What is measured: processor time of an idle crew, latency, throughput, and life with workers that die."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, NamedTuple

import psutil

if TYPE_CHECKING:
    from benchmarks.model_server.crew import Crew

KIB = 1024
MIXTURE = ((200, 60), (4 * KIB, 20), (64 * KIB, 12), (1024 * KIB, 6), (4096 * KIB, 2))  # bytes, parts in a hundred


class Latency(NamedTuple):
    """Microseconds from the scheduler's send to a worker's having it, over all workers."""

    p50: float
    p99: float


class Churn(NamedTuple):
    """How it went while workers were killed and replaced."""

    messages: int
    killed: int
    replaced: int
    """successors that began while messages went on"""
    longest_send_ms: float
    """the longest that one send took: that is what the living had to wait for the dead"""
    checked: int
    """messages whose checksum the workers that were there at the end have compared"""


def idle(crew: Crew, seconds: float) -> float:
    """Processor time of all workers while nothing is sent, in per cent of one CPU."""
    time.sleep(min(seconds, 0.3))  # whatever they still had to do
    processes = [psutil.Process(pid) for pid in crew.pids]
    before, start = _processor_time(processes), time.monotonic()
    time.sleep(seconds)
    return 100 * (_processor_time(processes) - before) / (time.monotonic() - start)


def latency(crew: Crew, size: int, count: int, pause: float) -> Latency:
    """Send *count* messages, one every *pause* seconds."""
    crew.report()
    for _ in range(count):
        crew.send(size)
        time.sleep(pause)
    crew.until_drained()
    trips = sorted(trip for notes in crew.report().values() for trip in notes.latencies_ns)
    return Latency(trips[len(trips) // 2] / 1e3, trips[len(trips) * 99 // 100] / 1e3)


def throughput(crew: Crew, size: int, seconds: float) -> float:
    """Messages a second that all workers have received, sent as fast as they take them."""
    crew.until_drained()
    start, count = time.monotonic(), 0
    while not count or time.monotonic() - start < seconds:
        for _ in range(4):
            crew.send(size)
        count += 4
    crew.until_drained()
    rate = count / (time.monotonic() - start)
    crew.report()
    return rate


def churn(crew: Crew, seconds: float, every: float, largest: int) -> Churn:
    """Send messages of all sizes, and every *every* seconds kill a worker and start another one in its place.

    One is killed if one is to be, though we be held up until the time is over.
    """
    chance = random.Random(2)
    sizes, weights = zip(*((size, weight) for size, weight in MIXTURE if size <= largest), strict=True)
    some = every < 2 * seconds and len(crew.working) > 1
    begin = time.monotonic()
    next_kill, killed, replaced, longest, before = begin + every / 2, 0, 0, 0.0, crew.sent
    while time.monotonic() - begin < seconds or (some and not killed):
        start = time.monotonic()
        crew.send(chance.choices(sizes, weights)[0])
        longest = max(longest, time.monotonic() - start)
        if time.monotonic() > next_kill and len(crew.working) > 1:
            crew.kill(chance.choice(crew.working))
            killed += 1
            next_kill = time.monotonic() + every
        for place in crew.find_dead():
            crew.start(place)
        starting = len(crew.pids) - len(crew.working)
        crew.admit()
        replaced += starting - (len(crew.pids) - len(crew.working))
    crew.until_drained()
    crew.until_all_are_in()
    messages = crew.sent - before
    notes = crew.report()
    checked = sum(its.last - its.first + 1 for its in notes.values())
    return Churn(messages, killed, replaced, 1e3 * longest, checked)


def _processor_time(processes: list[psutil.Process]) -> float:
    return sum(process.cpu_times().user + process.cpu_times().system for process in processes)
