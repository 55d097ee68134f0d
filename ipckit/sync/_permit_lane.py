"""A permit taken or given at once: the compiled fast lane where it is there, the same calls on cffi where it is not."""

from __future__ import annotations

import errno
from typing import Any, Protocol

from ipckit._native import ffi
from ipckit._native_quick import lib as quick


class Lane(Protocol):
    """What a semaphore asks of its lane: 0, or ``-errno``."""

    def take(self) -> int:
        """Take a permit if there is one."""

    def give(self) -> int:
        """Give a permit."""


class CffiLane:
    """The lane for an installation without the extension: a pair takes twice as long; otherwise the same."""

    __slots__ = ("_view",)

    def __init__(self, view: Any) -> None:
        self._view = view  # keeps its memory while a call is inside

    def take(self) -> int:
        rc: int = quick.ipk_semaphore_try(self._view)
        return rc

    def give(self) -> int:
        rc: int = quick.ipk_semaphore_release(self._view, 1)
        return rc


class TrackedCffiLane(CffiLane):
    """The same, where permits have owners."""

    __slots__ = ()

    def take(self) -> int:
        rc: int = quick.ipk_tracked_semaphore_try(self._view)
        return rc

    def give(self) -> int:
        rc: int = quick.ipk_tracked_semaphore_release(self._view, 1)
        return rc


class ClosedLane:
    """The lane of a closed handle."""

    __slots__ = ()

    def take(self) -> int:
        return -errno.EBADF

    give = take


CLOSED = ClosedLane()


def lane_of(view: Any, *, tracked: bool) -> Lane:
    """The fastest lane of this installation.

    Args:
        view: the cffi pointer of the view, whose owner keeps the memory; the lane keeps the pointer.
    """
    try:
        from ipckit._lane import PermitLane, TrackedPermitLane
    except ImportError:
        return TrackedCffiLane(view) if tracked else CffiLane(view)
    return (TrackedPermitLane if tracked else PermitLane)(view, int(ffi.cast("uintptr_t", view)))
