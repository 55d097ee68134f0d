"""Events set and waited for in one call: the compiled fast lane where it is there, the same calls on cffi where not.

A deadline is absolute, in nanoseconds of CLOCK_MONOTONIC. A wait releases the GIL; a signal handler that raises ends
it, and nothing is consumed. That of a pair lasts for a slice at most.
"""

from __future__ import annotations

import errno
from typing import Any, Protocol

from ipckit._compiled import memory_lane
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick


class Lane(Protocol):
    """What an event asks of its lane; each call returns ``-errno`` where it fails."""

    def set(self) -> int:
        """Set it; 0."""

    def clear(self) -> int:
        """Make it not set; 0."""

    def is_set(self) -> int:
        """1 or 0."""

    def take(self) -> int:
        """Consume it if it is auto-reset; 0 if it was set."""

    def wait(self, deadline_ns: int, /) -> int:
        """Wait until it is set; 0. -EBADF: the lane was closed meanwhile."""

    def close(self) -> None:
        """End the waits."""


class PairLane(Protocol):
    """What an event pair asks of its lane."""

    def set(self, side: int, /) -> int:
        """Set one side; 0."""

    def wait(self, side: int, deadline_ns: int, /) -> int:
        """Wait for one side; 0, or ``-errno``: -EAGAIN when the slice is over."""

    def exchange(self, side: int, deadline_ns: int, /) -> int:
        """Set one side, and wait for the other one."""


class CffiLane:
    """The event's lane for an installation without the extension: slower, and otherwise the same."""

    __slots__ = ("_closed", "_view")

    def __init__(self, view: Any) -> None:
        self._view = view  # keeps its memory while a call is inside
        self._closed = False

    def set(self) -> int:
        rc: int = quick.ipk_event_set(self._view)
        return rc

    def clear(self) -> int:
        rc: int = quick.ipk_event_clear(self._view)
        return rc

    def is_set(self) -> int:
        found: int = quick.ipk_event_is_set(self._view)
        return found

    def take(self) -> int:
        rc: int = quick.ipk_event_take(self._view)
        return rc

    def wait(self, deadline_ns: int, /) -> int:
        if not quick.ipk_event_take(self._view):
            return 0
        taken = ffi.new("uint32_t *")
        try:
            rc: int = lib.ipk_event_wait(self._view, 0, deadline_ns, taken)
            while True:
                if rc <= 0:
                    return rc
                if self._closed:
                    return -errno.EBADF
                # above 0: a slice is over, and what the next call wants to know of the last one
                rc = lib.ipk_event_wait(self._view, rc, deadline_ns, taken)
        except BaseException:
            if taken[0]:
                quick.ipk_event_set(self._view)
            raise

    def close(self) -> None:
        self._closed = True


class CffiPairLane:
    """The pair's lane for an installation without the extension."""

    __slots__ = ("_view",)

    def __init__(self, view: Any) -> None:
        self._view = view

    def set(self, side: int, /) -> int:
        rc: int = quick.ipk_event_pair_set(self._view, side)
        return rc

    def wait(self, side: int, deadline_ns: int, /) -> int:
        if not quick.ipk_event_pair_glance(self._view, side):
            return 0
        taken = ffi.new("uint32_t *")
        try:
            rc: int = lib.ipk_event_pair_wait(self._view, side, deadline_ns, taken)
        except BaseException:
            if taken[0]:
                quick.ipk_event_pair_set(self._view, side)
            raise
        return rc

    def exchange(self, side: int, deadline_ns: int, /) -> int:
        quick.ipk_event_pair_set(self._view, side)
        return self.wait(side ^ 1, deadline_ns)


class ClosedLane:
    """The lane of a closed event, or pair."""

    __slots__ = ()

    def set(self, _side: int = 0, /) -> int:
        return -errno.EBADF

    clear = is_set = take = set

    def wait(self, *_: int) -> int:
        return -errno.EBADF

    exchange = wait

    def close(self) -> None:
        """It is."""


CLOSED = ClosedLane()


def lane_of(view: Any) -> Lane:
    """The fastest lane of this installation for an event.

    Args:
        view: the cffi pointer of the view, whose owner keeps the memory; the lane keeps the pointer.
    """
    return memory_lane("EventLane", view) or CffiLane(view)


def pair_lane_of(view: Any) -> PairLane:
    """The fastest lane of this installation for an event pair; *view* as for `lane_of`."""
    return memory_lane("EventPairLane", view) or CffiPairLane(view)
