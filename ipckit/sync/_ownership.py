"""What locks with an owner have in common: how they tell of its death, wait for it, and refuse who is not the owner."""

from __future__ import annotations

import errno
import sys
import warnings
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple

from ipckit._native import ffi
from ipckit._native_quick import lib as quick
from ipckit.errors import NotOwnerError, OwnerDiedWarning, syscall_error
from ipckit.sync._object import Place, SyncHandle, failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

OnOwnerDeath = Literal["report", "raise", "recover"]
_POLICIES = ("report", "raise", "recover")
AGAIN = (-errno.EAGAIN, -errno.EINTR)  # look for signals, and wait on
_TIME_IS_UP = (-errno.ETIMEDOUT, -errno.EAGAIN)


class Acquired:
    """What `acquire` returns when the lock is ours: true, and whether the owner before us died with it."""

    __slots__ = ("owner_died",)

    def __init__(self, *, owner_died: bool) -> None:
        self.owner_died = owner_died

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"Acquired(owner_died={self.owner_died})"

    def __reduce__(self) -> str:
        return "INHERITED" if self.owner_died else "ACQUIRED"


ACQUIRED: Final = Acquired(owner_died=False)
INHERITED: Final = Acquired(owner_died=True)


class Owner(NamedTuple):
    """Who holds a lock, as it said itself when it took it."""

    pid: int
    """in its own pid namespace; 0: it has not yet said"""
    thread: int
    """its thread id there: gettid(2), `threading.get_native_id`"""
    depth: int
    """how often it has acquired a recursive mutex; 0: a writer that still waits for readers to leave"""
    lives: bool
    """whether the kernel still knows it; False: the next one to acquire inherits"""


class OwnedHandle(SyncHandle):
    """A handle of a lock that its owner may die with."""

    __slots__ = ("_policy",)

    _OPTIONS = frozenset({"on_owner_death"})
    _RELOCK: ClassVar[str]
    """What to do instead of acquiring what one has."""
    _NOT_OURS: ClassVar[str] = "this thread does not hold it"

    def __init__(self, place: Place, on_owner_death: OnOwnerDeath = "report") -> None:
        super().__init__(place)
        self._policy = on_owner_death

    @classmethod
    def open(
        cls,
        name: str | None = None,
        *,
        within: Any = None,
        offset: int = 0,
        on_owner_death: OnOwnerDeath = "report",
    ) -> Self:
        """Open the lock of that name, or at that offset of memory of yours; arguments as for `create`.

        Raises:
            NotFoundError: there is none (ENOENT).
            AccessError: its mode forbids it (EACCES).
            LayoutError: there is something else, or another layout version.
        """
        check_policy(on_owner_death)
        return cls(cls._find(name, within, offset), on_owner_death)

    def _owner(self) -> Owner | None:
        """Who has the lock now, or None."""
        found = ffi.new("struct ipk_mutex_owner *")
        view = self._opened()
        if not quick.ipk_mutex_owner(view, found):
            return None
        return Owner(found.pid, found.thread, found.depth, bool(quick.ipk_mutex_lives(view, found.word)))

    def _waited(self, attempt: Callable[[], int], undo: Callable[[], object]) -> int:
        """Attempt until there is an outcome.

        Args:
            attempt: waits for a slice.
            undo: called where an exception ends the wait; gives back what an attempt may have got.
        """
        try:
            rc = -errno.EAGAIN
            while True:
                if rc not in AGAIN:
                    return rc
                rc = attempt()
                self._check_open()  # whoever closes meanwhile shall not own
        except BaseException:
            undo()
            raise

    def _outcome(self, rc: int, call: str) -> Acquired | Literal[False] | None:
        """What `acquire` returns or raises for what the core returned; None: the last owner died."""
        if rc == 0:
            return ACQUIRED
        if rc in _TIME_IS_UP:
            return False
        if rc != -errno.EOWNERDEAD:
            raise self._refused(rc, call)
        return None

    def _heir(self, call: str, give_back: str, recover: Callable[[Any], object]) -> Acquired:
        """What `acquire` returns or raises where the last owner died, as our policy says.

        Args:
            give_back: what to call after an OwnerDiedError.
            recover: says that all is consistent.
        """
        if self._policy == "raise":
            remedy = f"the {self._WHAT} is yours: {give_back}"
            raise syscall_error(errno.EOWNERDEAD, call, self._filename(), remedy=remedy)
        if self._policy == "recover":
            recover(self._view)
            text = f"the owner of {self!r} died with it; what it protects may be half-changed"
            warnings.warn(text, OwnerDiedWarning, stacklevel=_level_of_user())
        return INHERITED

    def _refused(self, rc: int, call: str) -> Exception:
        self._check_open()
        if rc == -errno.EPERM:
            return NotOwnerError(f"cannot {call} {self!r}: {self._NOT_OURS}")
        if rc == -errno.EDEADLK:
            return syscall_error(errno.EDEADLK, call, self._filename(), remedy=self._RELOCK)
        return failure(rc, call, self._filename())

    def _how(self) -> dict[str, Any]:
        return {"on_owner_death": self._policy}


def _level_of_user() -> int:
    """The stacklevel, in the calling function, of the line that called into this package; methods in C have none."""
    level, frame = 0, sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("ipckit."):
        level, frame = level + 1, frame.f_back  # type: ignore[assignment]
    return level + 1


def check_policy(policy: str) -> None:
    """Refuse what is no policy for the death of an owner."""
    if policy not in _POLICIES:
        raise ValueError(f"on_owner_death must be one of {', '.join(map(repr, _POLICIES))}, not {policy!r}")
