"""An RWLock taken or given back at once: the compiled fast lane where it is there, else the same calls on cffi."""

from __future__ import annotations

import errno
from typing import Any, Protocol

from ipckit._compiled import memory_lane
from ipckit._native_quick import lib as quick


class Lane(Protocol):
    """What an RWLock asks of its lane: 0, or ``-errno``."""

    def take_read(self) -> int:
        """Read if no writer is in the way."""

    def give_read(self) -> int:
        """Read no more."""

    def take_write(self) -> int:
        """Write if nobody is in the way."""

    def give_write(self) -> int:
        """Write no more."""


class CffiLane:
    """The lane for an installation without the extension: a pair takes twice as long; otherwise the same."""

    __slots__ = ("_view",)

    def __init__(self, view: Any) -> None:
        self._view = view  # keeps its memory while a call is inside

    def take_read(self) -> int:
        rc: int = quick.ipk_rwlock_read_try(self._view)
        return rc

    def give_read(self) -> int:
        rc: int = quick.ipk_rwlock_read_release(self._view)
        return rc

    def take_write(self) -> int:
        rc: int = quick.ipk_rwlock_write_try(self._view)
        return rc

    def give_write(self) -> int:
        rc: int = quick.ipk_rwlock_write_release(self._view)
        return rc


class ClosedLane:
    """The lane of a closed handle."""

    __slots__ = ()

    def take_read(self) -> int:
        return -errno.EBADF

    give_read = take_write = give_write = take_read


CLOSED = ClosedLane()


def lane_of(view: Any) -> Lane:
    """The fastest lane of this installation.

    Args:
        view: the cffi pointer of the view, whose owner keeps the memory; the lane keeps the pointer.
    """
    return memory_lane("RWLockLane", view) or CffiLane(view)
