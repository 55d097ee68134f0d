"""Spinning for a little before sleeping, where the last times have shown that it pays."""

from __future__ import annotations

import errno
import time

from ipckit._arguments import spin_ns
from ipckit._native import lib
from ipckit._wait import SLICE_NS

_USUAL_NS = 200_000
"""What it costs both sides to be woken once, and as much again for what they do."""
_LATE_NS = 200_000
"""So much later than the spin's end, and it was another thread of this process that kept us."""
_MOST_MISSES = 10


class Allowance:
    """How long those who share it may spin, one at a time."""

    __slots__ = ("most_ns", "taken")

    def __init__(self) -> None:
        self.most_ns = _USUAL_NS
        self.taken = False

    def set(self, seconds: float) -> None:
        """Spin for so long at most, in seconds, and no longer than a signal may wait; 0: never.

        Raises:
            ValueError: it is not from 0 to 1.
        """
        self.most_ns = min(spin_ns(seconds), SLICE_NS)


class Spin:
    """Whether to spin for one socket, which one thread at a time waits on.

    Where the peer shares our CPU, each spin keeps it from answering; and it may have nothing to say for long. So
    after each spin in a row that was in vain twice as many waits do without, up to a thousand.
    """

    __slots__ = ("_misses", "_skip", "allowance")

    def __init__(self, allowance: Allowance) -> None:
        self.allowance = allowance
        self._misses = 0
        self._skip = 0

    def pays(self) -> bool:
        """Whether to spin this time; asked once for each wait."""
        if self._skip:
            self._skip -= 1
            return False
        return not self.allowance.taken and self.allowance.most_ns > 0

    def until_readable(self, fd: int) -> bool:
        """Spin until *fd* is readable, if it may; whether it is."""
        allowance = self.allowance
        allowance.taken = True
        try:
            began_ns = time.monotonic_ns()
            found = lib.ipk_readable_spin(fd, allowance.most_ns)
            if found == 1 and time.monotonic_ns() - began_ns < allowance.most_ns + _LATE_NS:
                self._misses = 0
            elif found in {1, -errno.EAGAIN}:
                self._misses = misses = min(self._misses + 1, _MOST_MISSES)
                self._skip = (1 << misses) - 1
        finally:
            allowance.taken = False
        return found >= 0
