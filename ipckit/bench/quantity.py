"""The questions that the benchmark answers: one `Quantity` each."""

from __future__ import annotations

from typing import NamedTuple

from ipckit.bench.units import digits, rate_text, size_text, time_text


class Quantity(NamedTuple):
    """One question, and the statistics that answer it; the first of them ranks."""

    key: str
    title: str
    unit: str
    statistics: tuple[str, ...]
    higher_is_better: bool
    sized: bool
    """Whether there is an answer for each size of the message, or for each number of what `counted` says."""
    counted: str = "bytes"
    """"bytes", "pairs", "readers" or "arguments"."""

    def at(self, size: int) -> str:
        """*size* as people write it: "64 B"; "2+2" of pairs; "8 readers"; "null" of a call's arguments."""
        if self.counted == "pairs":
            return f"{size}+{size}"
        if self.counted == "readers":
            return "1 reader" if size == 1 else f"{size} readers"
        if self.counted == "arguments" and size == 0:
            return "null"
        return size_text(size)

    def text(self, value: float) -> str:
        """A figure of this quantity with its unit."""
        if self.unit == "ns":
            return time_text(value)
        return f"{digits(value)} %" if self.unit == "%" else rate_text(value)


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
READ = Quantity("read", "Another process's memory: one read", "ns", ("read",), higher_is_better=False, sized=True)
WRITE = Quantity("write", "Another process's memory: one write", "ns", ("write",), higher_is_better=False, sized=True)
ENCODE = Quantity(
    "encode", "XDR: a list of 10,000 structs, encoded", "ns", ("encode",), higher_is_better=False, sized=False
)
DECODE = Quantity(
    "decode", "XDR: a list of 10,000 structs, decoded", "ns", ("decode",), higher_is_better=False, sized=False
)
CALLS = Quantity(
    "calls", "Remote procedure calls, one after the other", "calls/s", ("rate",),
    higher_is_better=True, sized=True, counted="arguments",
)  # fmt: skip
CALL = Quantity(
    "call", "Remote procedure call", "ns", ("p50", "p90", "p99", "p99.9"),
    higher_is_better=False, sized=True, counted="arguments",
)  # fmt: skip

# What is asked only where the settings name it, or by rows of `ipckit.bench.loads`.
BESIDE = Quantity(
    "beside", "One-way throughput beside a busy thread", "messages/s", ("rate",), higher_is_better=True, sized=False
)
ASLEEP = Quantity("asleep", "Round trip, both asleep", "ns", ("p50", "p90", "p99"), higher_is_better=False, sized=False)
IDLE = Quantity("idle", "Processor time of a receiver that waits", "%", ("use",), higher_is_better=False, sized=False)
OBJECTS = Quantity(
    "objects", "One-way throughput, small dict", "messages/s", ("rate",), higher_is_better=True, sized=False
)
ARRAY = Quantity("array", "Hand-off of an array", "ns", ("p50", "p90"), higher_is_better=False, sized=True)
CROWD = Quantity("crowd", "Many to many", "messages/s", ("rate",), higher_is_better=True, sized=True, counted="pairs")
FAN_COST = Quantity(
    "fan cost", "Broadcast: the writer's processor time for a message", "ns", ("cost",),
    higher_is_better=False, sized=True, counted="readers",
)  # fmt: skip
FAN_RATE = Quantity(
    "fan rate", "Broadcast: messages delivered, of all readers", "messages/s", ("rate",),
    higher_is_better=True, sized=True, counted="readers",
)  # fmt: skip
FURTHER = (BESIDE, ASLEEP, IDLE, OBJECTS, ARRAY, CROWD, FAN_COST, FAN_RATE)

QUANTITIES = (THROUGHPUT, ROUNDTRIP, WAKEUP, PAIR, HANDOFF, READ, WRITE, ENCODE, DECODE, CALLS, CALL, *FURTHER)
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
