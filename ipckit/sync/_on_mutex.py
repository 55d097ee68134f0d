"""An object on a mutex: one of its own, in the same memory, or one that is given. native/include/ipckit/condition.h."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit._life import held
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit.sync._object import Place, SyncHandle
from ipckit.sync._ownership import ACQUIRED, check_policy
from ipckit.sync.mutex import Mutex

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Literal

    from typing_extensions import Self

    from ipckit.sync._ownership import Acquired, OnOwnerDeath, Owner


class OnMutex(SyncHandle):
    """A handle that is also used as its mutex is; both travel together."""

    __slots__ = ("_given", "_mutex")

    _OPTIONS = frozenset({"mutex", "on_owner_death"})
    _ACQUIRED = ACQUIRED

    def __init__(self, place: Place, mutex: Mutex | None = None, on_owner_death: OnOwnerDeath | None = None) -> None:
        _check_mutex(place, mutex, on_owner_death)
        self._mutex = mutex if mutex is not None else _own_mutex(place, on_owner_death or "report")
        self._given = mutex
        super().__init__(place)

    @classmethod
    def from_fd(cls, fd: int, *, mutex: Mutex | None = None) -> Self:
        """Make a handle of the condition behind *fd*, as received over a Unix socket; *fd* becomes the handle's own."""
        return cls._attach(held(fd), "", mutex=mutex)

    @property
    def mutex(self) -> Mutex | None:
        """The mutex that was given, whose handle is the giver's to close, or came along in a pickle; None: its own."""
        return self._given

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> Acquired | Literal[False]:  # noqa: FBT001, FBT002  # threading's
        """Take the mutex: `Mutex.acquire`."""
        return self._mutex.acquire(blocking, timeout)

    def try_acquire(self) -> Acquired | Literal[False]:
        """Take the mutex if it is free now, or its owner dead: ``acquire(timeout=0)``."""
        return self._mutex.try_acquire()

    def release(self) -> None:
        """Give the mutex back: `Mutex.release`."""
        self._mutex.release()

    def mark_consistent(self) -> None:
        """Say that what the mutex protects is right again, after the death of an owner."""
        self._mutex.mark_consistent()

    def locked(self) -> bool:
        """Whether somebody holds the mutex now, alive or dead."""
        return self._mutex.locked()

    def owner(self) -> Owner | None:
        """Who holds the mutex now, or None."""
        return self._mutex.owner()

    def __enter__(self) -> Acquired:  # type: ignore[override]  # a lock gives its result
        if self._closed:
            self._check_open()
        if not (rc := self._mutex._lane.take()):  # as the mutex does it, without its frame
            return ACQUIRED
        return self._mutex._enter_slowly(rc)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if rc := self._mutex._lane.give():
            raise self._mutex._refused(rc, "release")

    def close(self) -> None:
        """Let go of the object in this process, and of its mutex if that is its own; a given one stays open."""
        super().close()
        if self._given is None:
            self._mutex.close()

    def _release(self) -> None:
        if self._given is None:  # forgotten without a close, the mutex goes along without a warning of its own
            self._mutex.close()
        super()._release()

    def _how(self) -> dict[str, Any]:
        return {"mutex": self._given} if self._given is not None else {"on_owner_death": self._mutex._policy}


def check_arguments(mutex: Mutex | None, on_owner_death: OnOwnerDeath | None) -> None:
    """Refuse what is no mutex, and two policies for one."""
    if mutex is not None and not isinstance(mutex, Mutex):
        raise TypeError(f"mutex must be a Mutex of ipckit.sync, or None for one of its own, not {type(mutex).__name__}")
    if mutex is not None and mutex.priority_inheritance:
        raise ValueError("mutex must be one without priority_inheritance: the kernel cannot move who waits over to it")
    if mutex is not None and on_owner_death is not None:
        raise ValueError("on_owner_death is for a mutex of the condition's own: the given one has its policy")
    if on_owner_death is not None:
        check_policy(on_owner_death)


def _check_mutex(place: Place, mutex: Mutex | None, on_owner_death: OnOwnerDeath | None) -> None:
    """Refuse a mutex that is not the one that the condition was made for."""
    check_arguments(mutex, on_owner_death)
    identity = ffi.new("uint64_t[2]")
    if not quick.ipk_condition_of(place.view, identity):
        if mutex is not None:
            raise ValueError("mutex must be None: this condition has a mutex of its own")
    elif mutex is None:
        raise ValueError("mutex must be given: this condition was created for one that is not its own")
    elif mutex._identity() != tuple(identity):
        raise ValueError("mutex must be the one that this condition was created for, and is another one")


def _own_mutex(place: Place, policy: OnOwnerDeath) -> Mutex:
    """A handle of the mutex within a condition, at the condition's place."""
    outer = ffi.cast("char *", quick.ipk_sync_place(place.view))
    inner = ffi.gc(ffi.cast("void *", outer + lib.IPK_CONDITION_MUTEX), lambda _: place.view)  # the pointer keeps it
    view = Mutex._viewed(place.home, inner, place.name or f"offset {place.offset}", lib.IPK_MUTEX_SIZE)
    offset = place.offset + lib.IPK_CONDITION_MUTEX
    return Mutex(Place(view, place.home, place.name, place.within, offset, unlink=False), policy)
