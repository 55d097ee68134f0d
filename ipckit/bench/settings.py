"""How much to measure, and the two usual choices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NOMINAL_SIZE = 64  # bytes: about a small request


@dataclass(frozen=True)
class Settings:
    """How much to measure."""

    sizes: tuple[int, ...] = (8, 64, 1024, 65536, 1 << 20)
    roundtrip_sizes: tuple[int, ...] | None = None
    """None: all `sizes`."""
    placement: str | None = None
    """"same", "cross", "free", or None for "cross" where there are two CPUs."""
    repeats: int = 9
    seconds: float = 0.05
    """For one figure of one repeat."""
    wakeups: int = 100
    """How many wake-ups of one repeat."""
    limit: float = 10.0
    """Seconds after which a measurement is given up."""
    measures: tuple[str, ...] | None = None
    """Only these quantities, by key; None: what each row measures by itself."""
    pairs: tuple[int, ...] = (1, 2, 4)
    """How many producers, and as many consumers."""
    readers: tuple[int, ...] = (1, 2, 4, 8)
    arguments: tuple[int, ...] = (0, 1024)
    """Bytes that a remote procedure is sent, and sends back; 0: the null procedure, which takes nothing."""
    idle: float = 10.0
    """For how many seconds a waiting receiver is watched."""
    budget: float | None = None
    """Seconds for the whole run: no further repeat is begun that would not fit."""
    least_repeats: int = 3
    """So many are made in any case."""


FULL = Settings(budget=840.0)
QUICK_ROWS = frozenset({
    "EventFd", "Fifo", "Flock", "MpmcRing", "Pipe", "Queue", "SpscRing", "SpscRing x100", "TCP (bare)", "inet.Stream",
    "mp.Lock", "mp.Pipe", "mp.Queue", "os.pipe (bare)", "posix.MessageQueue", "posix.Semaphore", "shm + semaphores",
    "sync.Mutex", "sysv.MessageQueue", "unix.Datagram", "unix.SeqPacket", "unix.Stream",
})  # fmt: skip
"""What most people choose between, by the names of the rows."""
QUICK = Settings(sizes=(8, 64, 1024, 65536), roundtrip_sizes=(64,), seconds=0.02, limit=5.0, budget=50.0)


def nominal(sizes: Iterable[int]) -> int:
    """The size in the middle of the interest: the one nearest to 64 bytes."""
    return min(sizes, key=lambda size: (abs(size - NOMINAL_SIZE), size))
