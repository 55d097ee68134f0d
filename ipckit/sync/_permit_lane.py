"""A permit taken, waited for or given: the compiled fast lane where it is there, the same calls on cffi where not.

A deadline is absolute, in nanoseconds of CLOCK_MONOTONIC. A wait releases the GIL; when it ends because the lane was
closed, or by an exception of a signal handler, nothing is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit._compiled import memory_lane
from ipckit._native import lib
from ipckit._native_quick import lib as quick
from ipckit.sync._mutex_lane import TakingCffiLane

if TYPE_CHECKING:
    from ipckit.sync._mutex_lane import WaitingLane


class CffiLane(TakingCffiLane):
    """The lane for an installation without the extension: a pair takes twice as long; otherwise the same."""

    __slots__ = ()

    _wait = staticmethod(lib.ipk_semaphore_wait)

    def take(self) -> int:
        rc: int = quick.ipk_semaphore_try(self._view)
        return rc

    def give(self) -> int:
        rc: int = quick.ipk_semaphore_release(self._view, 1)
        return rc

    def _undo(self) -> None:
        self.give()


class TrackedCffiLane(CffiLane):
    """The same, where permits have owners."""

    __slots__ = ()

    _wait = staticmethod(lib.ipk_tracked_semaphore_wait)

    def take(self) -> int:
        rc: int = quick.ipk_tracked_semaphore_try(self._view)
        return rc

    def give(self) -> int:
        rc: int = quick.ipk_tracked_semaphore_release(self._view, 1)
        return rc


def lane_of(view: Any, *, tracked: bool) -> WaitingLane:
    """The fastest lane of this installation.

    Args:
        view: the cffi pointer of the view, whose owner keeps the memory; the lane keeps the pointer.
    """
    if tracked:
        return memory_lane("TrackedPermitLane", view) or TrackedCffiLane(view)
    return memory_lane("PermitLane", view) or CffiLane(view)
