"""What a ring from one producer to one consumer tells of itself."""

from __future__ import annotations

from typing import Any, NamedTuple

from ipckit._native import ffi
from ipckit._native_quick import lib as quick


class SpscStat(NamedTuple):
    """A snapshot of a ring; the two sides' counters may be of slightly different moments."""

    capacity: int
    """bytes"""
    used: int
    """bytes in use, 8 bytes of header and up to 7 of padding for each message included"""
    sent: int
    """messages"""
    received: int
    """messages"""
    full_waits: int
    """times that the producer slept"""
    empty_waits: int
    """times that the consumer slept"""
    producer_wakes: int
    """wake-up calls of the producer"""
    consumer_wakes: int
    """wake-up calls of the consumer"""
    bytes_sent: int
    """bytes of messages"""
    lost: int
    """messages that nobody will receive: dropped for want of a consumer, or in parts of which one end is gone"""
    recoveries: int
    """times that a side was taken over from a process that had died"""

    @classmethod
    def of(cls, counters: Any) -> SpscStat:
        """The core's *counters* as people read them."""
        lost = counters.dropped + counters.skipped + counters.torn
        return cls(**{field: getattr(counters, field) for field in cls._fields if field != "lost"}, lost=lost)


def participants(fd: int, role: int) -> int:
    """How many living processes have that role, in the ring behind *fd*; negative for ``-errno``."""
    found = ffi.new("struct ipk_participant_info *")
    count: int = quick.ipk_segment_participant(fd, role, found)
    return count
