"""What the standard library asks in private of the locks that it takes from a context: an attribute called _semlock.

`multiprocessing.queues.Queue`, by which a ProcessPoolExecutor sends calls, asks how many permits are left, and
`multiprocessing.synchronize.Condition`, who owns its lock. So they can be made of ours, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.compat._synchronize import Counting, Lockable

if TYPE_CHECKING:
    from typing_extensions import Self


class Owned(Lockable):
    """A Lock or RLock that can be asked for its owner."""

    __slots__ = ()

    @property
    def _semlock(self) -> Self:
        return self

    def _is_mine(self) -> bool:
        return self._is_owned()

    def _count(self) -> int:
        """How often this thread has acquired it."""
        owner = self._handle.owner() if self._is_owned() else None
        return owner.depth if owner is not None else 0


class Counted(Counting):
    """A semaphore that can be asked for its permits."""

    __slots__ = ()

    @property
    def _semlock(self) -> Self:
        return self

    def _get_value(self) -> int:
        return self._handle.value

    def _is_zero(self) -> bool:
        return self._handle.value == 0
