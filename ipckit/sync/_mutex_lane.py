"""A mutex taken or given back at once: the compiled fast lane where it is there, the same on cffi where it is not."""

from __future__ import annotations

import errno
from typing import Any, Protocol

from ipckit._compiled import memory_lane
from ipckit._native_quick import lib as quick


class Lane(Protocol):
    """What a mutex, or a semaphore, asks of its lane: 0, or ``-errno``."""

    def take(self) -> int:
        """Take it if it is free."""

    def give(self) -> int:
        """Give it back."""


class CffiLane:
    """The lane for an installation without the extension: a pair takes twice as long; otherwise the same."""

    __slots__ = ("_view",)

    def __init__(self, view: Any) -> None:
        self._view = view  # keeps its memory while a call is inside

    def take(self) -> int:
        rc: int = quick.ipk_mutex_try(self._view)
        return rc

    def give(self) -> int:
        rc: int = quick.ipk_mutex_release(self._view)
        return rc


class ClosedLane:
    """The lane of a closed handle."""

    __slots__ = ()

    def take(self) -> int:
        return -errno.EBADF

    def give(self) -> int:
        return -errno.EBADF


CLOSED = ClosedLane()


def lane_of(view: Any) -> Lane:
    """The fastest lane of this installation.

    Args:
        view: the cffi pointer of the view, whose owner keeps the memory; the lane keeps the pointer.
    """
    return memory_lane("MutexLane", view) or CffiLane(view)
