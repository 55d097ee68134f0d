"""Rings in shared memory: the C core's message queues that need no system call while both sides are awake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit._lazy import lazily

if TYPE_CHECKING:
    from ipckit.ring._inplace import Loan as Loan
    from ipckit.ring._inplace import Reservation as Reservation
    from ipckit.ring.broadcast import BroadcastRing as BroadcastRing
    from ipckit.ring.broadcast import BroadcastStat as BroadcastStat
    from ipckit.ring.latest import Latest as Latest
    from ipckit.ring.latest import LatestStat as LatestStat
    from ipckit.ring.mpmc import MpmcRing as MpmcRing
    from ipckit.ring.mpmc import MpmcStat as MpmcStat
    from ipckit.ring.queue import Queue as Queue
    from ipckit.ring.spsc import SpscRing as SpscRing
    from ipckit.ring.spsc import SpscStat as SpscStat

_HOMES = {
    "BroadcastRing": "ipckit.ring.broadcast",
    "BroadcastStat": "ipckit.ring.broadcast",
    "Latest": "ipckit.ring.latest",
    "LatestStat": "ipckit.ring.latest",
    "Loan": "ipckit.ring._inplace",
    "MpmcRing": "ipckit.ring.mpmc",
    "MpmcStat": "ipckit.ring.mpmc",
    "Queue": "ipckit.ring.queue",
    "Reservation": "ipckit.ring._inplace",
    "SpscRing": "ipckit.ring.spsc",
    "SpscStat": "ipckit.ring.spsc",
}

__all__ = [
    "BroadcastRing",
    "BroadcastStat",
    "Latest",
    "LatestStat",
    "Loan",
    "MpmcRing",
    "MpmcStat",
    "Queue",
    "Reservation",
    "SpscRing",
    "SpscStat",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazily(__name__, _HOMES)
