"""Conditions and barriers waited for in one call: the compiled fast lane where it is there, the same on cffi where not.

How far a wait has come, a struct of the caller's says: what `new_wait` makes. A deadline is absolute, in nanoseconds
of CLOCK_MONOTONIC. A wait lasts for a slice at most, and releases the GIL.
"""

from __future__ import annotations

import errno
from typing import Any, Final, NamedTuple, Protocol

from ipckit._compiled import address_of, memory_lane
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick

ACT: Final[int] = lib.IPK_BARRIER_MAX_PARTIES + 1
"""What a barrier's lane says instead of an index to the last one to come, if it has something to do first."""


class Wait(NamedTuple):
    """How far one wait has come."""

    struct: Any
    """the cffi pointer"""
    address: int


def new_wait(kind: str) -> Wait:
    """A wait that has not begun; *kind* is the name of its struct."""
    struct = ffi.new(f"struct {kind} *")
    return Wait(struct, address_of(struct))


class ConditionLane(Protocol):
    """What a condition asks of its lane."""

    def wait(self, wait: int, deadline_ns: int, /) -> int:
        """Begin to wait, or go on: 1 when notified, 0 when the time is up, both with the mutex; or ``-errno``."""

    def notify(self, n: int, /) -> int:
        """How many were notified, or ``-errno``."""


class BarrierLane(Protocol):
    """What a barrier asks of its lane."""

    def arrive(self, wait: int, deadline_ns: int, /) -> int:
        """Come, and wait: how many had come before; or `ACT`; or ``-errno``: -EAGAIN when the slice is over."""

    def wait(self, wait: int, deadline_ns: int, /) -> int:
        """Go on waiting."""


class CffiConditionLane:
    """The condition's lane for an installation without the extension: slower, and otherwise the same."""

    __slots__ = ("_mutex", "_view")

    def __init__(self, view: Any, mutex: Any) -> None:
        self._view = view  # keeps its memory while a call is inside
        self._mutex = mutex

    def wait(self, wait: int, deadline_ns: int, /) -> int:
        struct = ffi.cast("struct ipk_condition_wait *", wait)
        rc: int = 0
        if struct.phase == lib.IPK_CONDITION_OUTSIDE:
            rc = quick.ipk_condition_begin(self._view, self._mutex, struct)
        if rc == 0:
            rc = lib.ipk_condition_wait(self._view, self._mutex, struct, deadline_ns)
        return 1 if rc == 0 and struct.notified else rc

    def notify(self, n: int, /) -> int:
        given: int = quick.ipk_condition_notify(self._view, self._mutex, n)
        return given


class CffiBarrierLane:
    """The barrier's lane for an installation without the extension."""

    __slots__ = ("_view",)

    def __init__(self, view: Any) -> None:
        self._view = view

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

    def wait(self, _wait: int, _deadline_ns: int, /) -> int:
        return -errno.EBADF

    arrive = wait

    def notify(self, _n: int, /) -> int:
        return -errno.EBADF


CLOSED = ClosedLane()


def condition_lane_of(view: Any, mutex: Any) -> ConditionLane:
    """The fastest lane of this installation for a condition.

    Args:
        view, mutex: the cffi pointers of the views, whose owners keep the memory; the lane keeps the pointers.
    """
    try:
        from ipckit._lane import ConditionLane as Compiled
    except ImportError:
        return CffiConditionLane(view, mutex)
    return Compiled(view, address_of(view), mutex, address_of(mutex))


def barrier_lane_of(view: Any) -> BarrierLane:
    """The fastest lane of this installation for a barrier; *view* as for `condition_lane_of`."""
    return memory_lane("BarrierLane", view) or CffiBarrierLane(view)
