"""What the drop-ins for threading's and for multiprocessing's locks have in common: all but names and time-outs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ipckit._native_quick import lib as quick
from ipckit._wait import FOREVER, PASSED, Deadline
from ipckit.compat._arena import note_sharing
from ipckit.compat._placed import PlacedMutex, PlacedSemaphore
from ipckit.errors import NotOwnerError

if TYPE_CHECKING:
    from collections.abc import Callable


class Shared:
    """An object that processes share: by fork(2), or as an argument of a process that is being started."""

    __slots__ = ("__weakref__", "_handle")

    _handle: Any
    _UNSHARED: ClassVar[type[Exception]] = TypeError
    """What pickling raises at other times."""

    def _parts(self) -> tuple[Any, ...]:
        """What travels, for `_adopt`."""
        return (self._handle,)

    def _adopt(self, handle: Any) -> None:
        self._handle = handle

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        from multiprocessing import context

        name = type(self).__name__
        if context.get_spawning_popen() is None:
            raise self._UNSHARED(
                f"cannot pickle a {name}: processes share it by inheritance, or as an argument of a Process"
            )
        note_sharing()
        return _arrived, (type(self), *self._parts())

    def __repr__(self) -> str:
        cls = type(self)
        return f"<{cls.__module__}.{cls.__qualname__} at {id(self):#x}: {self._state()}>"

    def _state(self) -> str:
        raise NotImplementedError


def _arrived(cls: type[Shared], *parts: Any) -> Shared:
    made = cls.__new__(cls)
    made._adopt(*parts)
    return made


def deadline_of(timeout: float | None) -> Deadline:
    """The deadline of a wait where less than 0 is as 0."""
    if timeout is None:
        return FOREVER
    return PASSED if timeout <= 0 else Deadline.after(float(timeout))


class Lockable(Shared):
    """Lock or RLock."""

    __slots__ = ()

    _handle: PlacedMutex
    _RECURSIVE: ClassVar[bool]

    def __init__(self) -> None:
        self._adopt(PlacedMutex.placed(recursive=self._RECURSIVE))

    def release(self) -> None:
        """Give it back."""
        if self._handle._lane.give():
            raise self._refused()

    def locked(self) -> bool:
        """Whether somebody has it now."""
        return self._handle.locked()

    def __enter__(self) -> bool:
        handle = self._handle
        if rc := handle._lane.take():
            handle._acquire_slowly(rc, FOREVER)
        return True

    def __exit__(self, *error: object) -> None:
        if self._handle._lane.give():
            raise self._refused()

    def _refused(self) -> Exception:
        """The error for giving back what one does not have."""
        self._handle._opened()
        return NotOwnerError("release unlocked lock")

    def _is_owned(self) -> bool:
        return bool(quick.ipk_mutex_mine(self._handle._opened()))


class Counting(Shared):
    """Semaphore or BoundedSemaphore."""

    __slots__ = ("_initial",)

    _handle: PlacedSemaphore
    _BOUNDED: ClassVar[bool] = False

    def __init__(self, value: int = 1) -> None:
        if value < 0:
            raise ValueError("semaphore initial value must be >= 0")
        self._adopt(PlacedSemaphore.placed(value, bounded=self._BOUNDED), value)

    def _adopt(self, handle: PlacedSemaphore, initial: int = 1) -> None:
        self._handle = handle
        self._initial = initial

    def _parts(self) -> tuple[Any, ...]:
        return self._handle, self._initial

    def __enter__(self) -> bool:
        handle = self._handle
        if rc := handle._lane.take():
            handle._acquire_slowly(rc, FOREVER)
        return True

    def __exit__(self, *error: object) -> None:
        self._handle.release()
