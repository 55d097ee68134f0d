"""Event pairs in shared memory: two sides that take turns. native/include/ipckit/event_pair.h."""

from __future__ import annotations

import errno
from typing import Final

from ipckit._native import lib
from ipckit._native_quick import lib as quick
from ipckit._wait import NEVER_NS, Deadline
from ipckit.sync._event_lane import CLOSED, pair_lane_of
from ipckit.sync._object import Place, SyncHandle, failure

_LOW = 0  # IPK_EVENT_PAIR_LOW and _HIGH: a global is quicker than an attribute of the library
_HIGH = 1


class EventPair(SyncHandle):
    """Two auto-reset events, low and high, for two processes that take turns; the event pair of Windows NT.

    A client puts its request where both see it and calls `set_low_wait_high`; the server, which waits for low, does the
    work and calls `set_high_wait_low`, which answers and waits for the next request in one call. As long as both run on
    different CPUs and answer quickly, no system call is made.

    Ordering: what one side did before it set is seen by the other one that waited for it.

    A side is consumed by exactly one waiter; set twice before, it counts once. Nobody owns a side, so nobody's death
    leaves it wrong, but nobody is told of it either: wait with a timeout, or watch the peer with a `PidFd`. Before a
    successor takes part, `clear`.

    Threads: safe to share, and lock-free: `set_low` and `set_high` may be called in a signal handler. fork(2): the
    child has the handle.

    >>> with EventPair.create("/ipckit-doc-pair", unlink_on_close=True) as pair:
    ...     pair.set_high()
    ...     pair.set_low_wait_high()
    ...     pair.wait_low()
    """

    __slots__ = ("_lane",)

    _KIND = lib.IPK_SYNC_EVENT_PAIR
    _WHAT = "event pair"

    SIZE: Final[int] = lib.IPK_EVENT_PAIR_SIZE
    """Bytes that an event pair takes within memory of yours, at a multiple of 64."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._lane = pair_lane_of(place.view)

    def set_low(self) -> None:
        """Set the low side, and wake who waits for it. Never waits."""
        if self._lane.set(_LOW):
            self._check_open()

    def set_high(self) -> None:
        """Set the high side, and wake who waits for it. Never waits."""
        if self._lane.set(_HIGH):
            self._check_open()

    def wait_low(self, timeout: float | None = None) -> None:
        """Wait until the low side is set, and consume it.

        Args:
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: it was not set in that time (ETIMEDOUT); so in all that wait.
        """
        at_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        if rc := self._lane.wait(_LOW, at_ns):
            self._wait_on(rc, _LOW, at_ns)

    def wait_high(self, timeout: float | None = None) -> None:
        """Wait until the high side is set, and consume it; as `wait_low`."""
        at_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        if rc := self._lane.wait(_HIGH, at_ns):
            self._wait_on(rc, _HIGH, at_ns)

    def set_low_wait_high(self, timeout: float | None = None) -> None:
        """Set the low side, and wait for the high one, in one call.

        Whenever it raises during the wait, the low side has been set: to wait on, call `wait_high`.

        Args:
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: the high side was not set in that time (ETIMEDOUT).
        """
        at_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        if rc := self._lane.exchange(_LOW, at_ns):
            self._wait_on(rc, _HIGH, at_ns)

    def set_high_wait_low(self, timeout: float | None = None) -> None:
        """Set the high side, and wait for the low one, in one call; as `set_low_wait_high`."""
        at_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        if rc := self._lane.exchange(_HIGH, at_ns):
            self._wait_on(rc, _LOW, at_ns)

    def clear(self) -> None:
        """Make both sides not set, as at first. Never waits."""
        quick.ipk_event_pair_clear(self._opened())

    def _wait_on(self, rc: int, side: int, at_ns: int) -> None:
        while rc == -errno.EAGAIN:  # a slice is over
            self._check_open()
            rc = self._lane.wait(side, at_ns)
        if rc:
            self._check_open()
            raise failure(rc, "wait", self._filename())

    def _release(self) -> None:
        self._lane = CLOSED
        super()._release()
