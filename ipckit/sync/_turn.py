"""An RWLock for a ``with`` block, for an installation without the compiled type, `RWLockTurn`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipckit.sync._ownership import Acquired
    from ipckit.sync.rwlock import RWLock


class Turn:
    """What `RWLock.reading` and `RWLock.writing` return: for one ``with`` block after the other."""

    __slots__ = ("_acquired", "_lock", "_writing")

    def __init__(self, lock: RWLock, acquired: Acquired, writing: bool) -> None:  # noqa: FBT001
        self._lock = lock
        self._acquired = acquired
        self._writing = writing

    def __enter__(self) -> Acquired:
        lane = self._lock._lane
        rc = lane.take_write() if self._writing else lane.take_read()
        if not rc:
            return self._acquired
        with self._lock._in_use():
            return self._lock._enter_slowly(rc, self._writing)

    def __exit__(self, *error: object) -> None:
        if self._writing:
            self._lock.release_write()
        else:
            self._lock.release_read()
