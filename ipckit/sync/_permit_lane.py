"""A permit taken, waited for or given: the compiled fast lane where it is there, the same calls on cffi where not.

A deadline is absolute, in nanoseconds of CLOCK_MONOTONIC. A wait releases the GIL; when it ends because the lane was
closed, or by an exception of a signal handler, nothing is taken.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from ipckit._compiled import memory_lane
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick

if TYPE_CHECKING:
    from ipckit.sync._mutex_lane import WaitingLane


class CffiLane:
    """The lane for an installation without the extension: a pair takes twice as long; otherwise the same."""

    __slots__ = ("_closed", "_view")

    _wait = staticmethod(lib.ipk_semaphore_wait)

    def __init__(self, view: Any) -> None:
        self._view = view  # keeps its memory while a call is inside
        self._closed = False

    def take(self) -> int:
        rc: int = quick.ipk_semaphore_try(self._view)
        return rc

    def give(self) -> int:
        rc: int = quick.ipk_semaphore_release(self._view, 1)
        return rc

    def wait(self, deadline_ns: int, /) -> int:
        taken = ffi.new("uint32_t *")
        try:
            rc = -errno.EAGAIN
            while rc in {-errno.EAGAIN, -errno.EINTR} and not self._closed:
                rc = self._wait(self._view, deadline_ns, taken)
            if not self._closed:
                return rc
        except BaseException:  # of a signal handler
            self._undo(taken)
            raise
        self._undo(taken)
        return -errno.EBADF

    def close(self) -> None:
        self._closed = True

    def _undo(self, taken: Any) -> None:
        if taken[0]:
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
