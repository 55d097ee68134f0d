"""A permit taken or given at once: the compiled fast lane where it is there, the same calls on cffi where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit._compiled import memory_lane
from ipckit._native_quick import lib as quick

if TYPE_CHECKING:
    from ipckit.sync._mutex_lane import Lane


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


def lane_of(view: Any, *, tracked: bool) -> Lane:
    """The fastest lane of this installation.

    Args:
        view: the cffi pointer of the view, whose owner keeps the memory; the lane keeps the pointer.
    """
    if tracked:
        return memory_lane("TrackedPermitLane", view) or TrackedCffiLane(view)
    return memory_lane("PermitLane", view) or CffiLane(view)
