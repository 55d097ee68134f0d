"""Conditions and barriers waited for in one call: the compiled fast lane where it is there, the same on cffi where not.

A deadline is absolute, in nanoseconds of CLOCK_MONOTONIC. A wait releases the GIL. That of a barrier lasts for a slice
at most; how far it has come, a struct of the caller's says: what `new_wait` makes.
"""

from __future__ import annotations

import errno
from typing import Any, Final, NamedTuple, Protocol

from ipckit._compiled import address_of, memory_lane
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit.sync import _mutex_lane

ACT: Final[int] = lib.IPK_BARRIER_MAX_PARTIES + 1
"""What a barrier's lane says instead of an index to the last one to come, if it has something to do first."""
NOTIFIED_HEIR: Final = 2
"""What a condition's lane says instead of -EOWNERDEAD to one that was notified, too."""
_AGAIN = (-errno.EAGAIN, -errno.EINTR)


class Wait(NamedTuple):
    """How far one wait at a barrier has come."""

    struct: Any
    """the cffi pointer"""
    address: int


def new_wait() -> Wait:
    """A wait at a barrier that has not begun."""
    struct = ffi.new("struct ipk_barrier_wait *")
    return Wait(struct, address_of(struct))


class ConditionLane(Protocol):
    """What a condition asks of its lane."""

    def wait(self, deadline_ns: int, /) -> int:
        """Wait to be notified, and for the mutex, with which it ends, also by an exception of a signal handler.

        Returns:
            1 when notified, 0 when the time is up; -EOWNERDEAD, `NOTIFIED_HEIR`: likewise, and the mutex's last owner
            died. -EBADF: the lane was closed, or that of the mutex, which is not ours then. Or another ``-errno``.
        """

    def notify(self, n: int, /) -> int:
        """How many were notified, or ``-errno``."""

    def close(self) -> None:
        """End the waits."""


class BarrierLane(Protocol):
    """What a barrier asks of its lane."""

    def arrive(self, wait: int, deadline_ns: int, /) -> int:
        """Come, and wait: how many had come before; or `ACT`; or ``-errno``: -EAGAIN when the slice is over."""

    def wait(self, wait: int, deadline_ns: int, /) -> int:
        """Go on waiting."""

    def close(self) -> None:
        """End the waits."""


class CffiConditionLane:
    """The condition's lane for an installation without the extension: slower, and otherwise the same."""

    __slots__ = ("_closed", "_mutex", "_recovers", "_view")

    def __init__(self, view: Any, mutex: _mutex_lane.CffiLane, *, recovers: bool) -> None:
        self._view = view  # keeps its memory while a call is inside
        self._mutex = mutex
        self._recovers = recovers
        self._closed = False

    def wait(self, deadline_ns: int, /) -> int:
        mutex, wait, rc = self._mutex._view, ffi.new("struct ipk_condition_wait *"), 0
        try:
            rc = quick.ipk_condition_begin(self._view, mutex, wait)
            if rc < 0 and wait.phase == lib.IPK_CONDITION_OUTSIDE:
                return rc
            rc = -errno.EAGAIN
            while True:
                if rc not in _AGAIN or self._is_closed():
                    break
                rc = lib.ipk_condition_wait(self._view, mutex, wait, deadline_ns)
        except BaseException:
            self._give_up(wait, rc)
            raise
        if self._is_closed():
            self._give_up(wait, rc)
            return -errno.EBADF
        if not rc:
            return 1 if wait.notified else 0
        return NOTIFIED_HEIR if rc == -errno.EOWNERDEAD and wait.notified else rc

    def notify(self, n: int, /) -> int:
        given: int = quick.ipk_condition_notify(self._view, self._mutex._view, n)
        return given

    def close(self) -> None:
        self._closed = True

    def _is_closed(self) -> bool:
        return self._closed or self._mutex._closed

    def _give_up(self, wait: Any, rc: int) -> None:
        """End a wait that comes to nothing: with the mutex, unless it was closed, or another exception comes."""
        mutex = self._mutex
        quick.ipk_condition_leave(self._view, wait)
        while wait.phase == lib.IPK_CONDITION_LEFT and not mutex._closed:
            rc = lib.ipk_condition_wait(self._view, mutex._view, wait, 0)
            if rc not in _AGAIN:
                break
        if mutex._closed:
            while not quick.ipk_mutex_undo(mutex._view):  # once for each level
                pass
        elif rc == -errno.EOWNERDEAD and self._recovers:
            quick.ipk_mutex_consistent(mutex._view)


class CffiBarrierLane:
    """The barrier's lane for an installation without the extension."""

    __slots__ = ("_view",)

    def __init__(self, view: Any) -> None:
        self._view = view

    def close(self) -> None:
        """Whoever waits asks its handle."""

    def arrive(self, wait: int, deadline_ns: int, /) -> int:
        struct = ffi.cast("struct ipk_barrier_wait *", wait)
        rc = quick.ipk_barrier_arrive(self._view, struct)
        return self.wait(wait, deadline_ns) if rc in {0, -errno.EAGAIN} else _outcome(struct, rc)

    def wait(self, wait: int, deadline_ns: int, /) -> int:
        struct = ffi.cast("struct ipk_barrier_wait *", wait)
        return _outcome(struct, lib.ipk_barrier_wait(self._view, struct, deadline_ns))


def _outcome(struct: Any, rc: int) -> int:
    index: int = struct.index
    return index if rc in {0, 1} else ACT if rc == 2 else rc  # as barrier.h numbers them


class ClosedLane:
    """The lane of a closed handle."""

    __slots__ = ()

    def wait(self, *_: int) -> int:
        return -errno.EBADF

    arrive = notify = wait

    def close(self) -> None:
        """It is."""


CLOSED = ClosedLane()


def condition_lane_of(view: Any, mutex: _mutex_lane.WaitingLane, *, recovers: bool) -> ConditionLane:
    """The fastest lane of this installation for a condition.

    Args:
        view: the cffi pointer of the view, whose owner keeps the memory; the lane keeps the pointer.
        mutex: the lane of its mutex; it is kept too.
        recovers: whether to call the mutex consistent for whom it comes to by an exception, and its last owner died.
    """
    if isinstance(mutex, _mutex_lane.CffiLane):
        return CffiConditionLane(view, mutex, recovers=recovers)
    from ipckit._lane import ConditionLane as Compiled

    return Compiled(view, address_of(view), mutex, recovers)


def barrier_lane_of(view: Any) -> BarrierLane:
    """The fastest lane of this installation for a barrier; *view* as for `condition_lane_of`."""
    return memory_lane("BarrierLane", view) or CffiBarrierLane(view)
