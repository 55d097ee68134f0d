"""The objects of `ipckit.sync` that the drop-ins are made of: in an arena, and closed when they are collected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit._handle import Quiet
from ipckit._native import lib
from ipckit._native_quick import lib as quick
from ipckit.compat._arena import Room, room_for
from ipckit.sync import Barrier, Condition, Event, Mutex, Semaphore

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from typing_extensions import Self

    T = TypeVar("T", bound="Placed")

_WAITERS = 256  # of a condition at a time; they take 16 KiB


class Placed(Quiet):
    """A handle that gives its room in the arena back."""

    __slots__ = ()

    _room: Room  # there is none in a process that the handle has travelled to

    def _release(self) -> None:
        super()._release()
        room = getattr(self, "_room", None)
        if room is not None:
            room.leave()


def _placed(size: int, make: Callable[[Room], T]) -> T:
    """What *make* makes in an arena."""
    room = room_for(size)
    handle = make(room)
    handle._room = room
    return handle


class PlacedMutex(Placed, Mutex):
    """The mutex of an RLock, or of a Lock, which anybody may give back."""

    __slots__ = ("_room",)

    @classmethod
    def placed(cls, *, recursive: bool) -> Self:
        """Make one that nobody owns."""
        options = lib.IPK_MUTEX_RECURSIVE if recursive else lib.IPK_MUTEX_ANYONE
        return _placed(cls.SIZE, lambda room: cls(cls._make(None, *room[:2], 0o600, False, options=options), "recover"))

    def __repr__(self) -> str:
        return f"<lock of ipckit.compat at {self._offset}>"  # for OwnerDiedWarning


class PlacedSemaphore(Placed, Semaphore):
    """A plain semaphore: anybody may give a permit back."""

    __slots__ = ("_room",)

    @classmethod
    def placed(cls, value: int, *, bounded: bool) -> Self:
        """Make one with so many permits."""
        return _placed(
            cls.SIZE,
            lambda room: cls.create(within=room.arena, offset=room.offset, value=value, bounded=bounded),
        )


class PlacedEvent(Placed, Event):
    """A manual-reset event."""

    __slots__ = ("_room",)

    @classmethod
    def placed(cls) -> Self:
        """Make one that is not set."""
        return _placed(cls.SIZE, lambda room: cls.create(within=room.arena, offset=room.offset))


class PlacedCondition(Placed, Condition):
    """A condition of a Lock or an RLock."""

    __slots__ = ("_room",)

    @classmethod
    def placed(cls, mutex: Mutex) -> Self:
        """Make one that nobody waits for."""
        return _placed(
            cls.size(_WAITERS),
            lambda room: cls.create(within=room.arena, offset=room.offset, mutex=mutex, waiters=_WAITERS),
        )


class PlacedBarrier(Placed, Barrier):
    """A barrier."""

    __slots__ = ("_room",)

    @classmethod
    def placed(cls, parties: int, action: Callable[[], object] | None) -> Self:
        """Make one that nobody waits at."""
        return _placed(
            cls.size(parties),
            lambda room: cls.create(within=room.arena, offset=room.offset, parties=parties, action=action),
        )

    def forget(self) -> None:
        """Say that this process, if it took part, is not to be waited for."""
        quick.ipk_barrier_forget(self._opened())
