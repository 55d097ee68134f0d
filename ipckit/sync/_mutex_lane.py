"""A mutex taken, waited for and given back: the compiled fast lane where it is there, the same on cffi where not.

A deadline is absolute, in nanoseconds of CLOCK_MONOTONIC. A wait releases the GIL; when it ends because the lane was
closed, or by an exception of a signal handler, nothing is taken.
"""

from __future__ import annotations

import errno
from typing import Any, Protocol

from ipckit._compiled import memory_lane
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick


class Lane(Protocol):
    """What a mutex, or a semaphore, asks of its lane: 0, or ``-errno``."""

    def take(self) -> int:
        """Take it if it is free."""

    def give(self) -> int:
        """Give it back."""


class WaitingLane(Lane, Protocol):
    """What a mutex asks of it besides."""

    def wait(self, deadline_ns: int, /) -> int:
        """Wait for it; -EBADF: the lane was closed meanwhile."""

    def close(self) -> None:
        """End the waits: nobody gets it through this lane by waiting any more."""


class TakingCffiLane:
    """What is taken, and given back where it is not wanted any more, on cffi; a subclass names the calls."""

    __slots__ = ("_closed", "_view")

    _wait: Any
    """The core's wait for it, for a slice: whether it is taken goes into the last argument, a ``uint32_t *``."""

    def __init__(self, view: Any) -> None:
        self._view = view  # keeps its memory while a call is inside
        self._closed = False

    def wait(self, deadline_ns: int, /) -> int:
        taken = ffi.new("uint32_t *")
        try:
            rc = -errno.EAGAIN
            while True:
                if rc not in {-errno.EAGAIN, -errno.EINTR} or self._closed:
                    break
                rc = self._wait(self._view, deadline_ns, taken)
            if not self._closed:
                return rc
        except BaseException:  # of a signal handler
            if taken[0]:
                self._undo()
            raise
        if taken[0]:
            self._undo()
        return -errno.EBADF

    def close(self) -> None:
        self._closed = True

    def _undo(self) -> None:
        """Give back what nobody is to have got."""
        raise NotImplementedError


class CffiLane(TakingCffiLane):
    """The lane for an installation without the extension: a pair takes twice as long; otherwise the same."""

    __slots__ = ()

    _wait = staticmethod(lib.ipk_mutex_wait_taking)

    def take(self) -> int:
        rc: int = quick.ipk_mutex_try(self._view)
        return rc

    def give(self) -> int:
        rc: int = quick.ipk_mutex_release(self._view)
        return rc

    def _undo(self) -> None:
        quick.ipk_mutex_undo(self._view)


class ClosedLane:
    """The lane of a closed handle."""

    __slots__ = ()

    def take(self) -> int:
        return -errno.EBADF

    def give(self) -> int:
        return -errno.EBADF

    def wait(self, _deadline_ns: int, /) -> int:
        return -errno.EBADF

    def close(self) -> None:
        """It is."""


CLOSED = ClosedLane()


def lane_of(view: Any) -> WaitingLane:
    """The fastest lane of this installation.

    Args:
        view: the cffi pointer of the view, whose owner keeps the memory; the lane keeps the pointer.
    """
    return memory_lane("MutexLane", view) or CffiLane(view)
