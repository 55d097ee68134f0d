"""A mutex in shared memory that survives the death of its owner: native/include/ipckit/mutex.h."""

from __future__ import annotations

import errno
import warnings
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from ipckit._arguments import check_acquire
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._wait import FOREVER, PASSED, Deadline
from ipckit.errors import NotOwnerError, OwnerDiedWarning, syscall_error
from ipckit.sync._mutex_lane import CLOSED, lane_of
from ipckit.sync._object import Place, SyncHandle, failure

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

OnOwnerDeath = Literal["report", "raise", "recover"]
_POLICIES = ("report", "raise", "recover")
_AGAIN = (-errno.EAGAIN, -errno.EINTR)  # look for signals, and wait on


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
    """Who holds a mutex, as it said itself when it took it."""

    pid: int
    """in its own pid namespace; 0: it has not yet said"""
    thread: int
    """its thread id there: gettid(2), `threading.get_native_id`"""
    depth: int
    """how often it has acquired a recursive mutex"""
    lives: bool
    """whether the kernel still knows it; False: the next one to acquire inherits"""


class Mutex(SyncHandle):
    """A lock with an owner: the thread that acquired it, and nobody else, gives it back.

    Used like `threading.Lock`, between unrelated processes. **If its owner is killed, the next one gets it**, within
    some 50 ms, and is told so while it holds the lock: what the lock protects may be half-changed. It puts that right
    and calls `mark_consistent`; a release without that makes the mutex unusable for all (NotRecoverableError), for
    nobody can trust what it protects. What `acquire` does with such an inheritance, `on_owner_death` says:

    * ``"report"``: it returns a result whose `owner_died` is true;
    * ``"raise"``: it raises OwnerDiedError, with the lock held until `release`; ``with`` releases it before it raises;
    * ``"recover"``: it says that all is consistent, and issues OwnerDiedWarning: for what nobody changes by halves.

    To acquire what one has already is a DeadlockError, unless the mutex is recursive. Who waits longest is not promised
    to be served first. Waiting spins for about as long as a wake-up takes, if the owner runs on another CPU, and then
    sleeps in futex(2).

    Threads: safe to share; the owner is a thread. A thread that ends while it owns goes on owning: the process lives.
    fork(2): the child has the handle, and owns nothing. `close` of the handle through which it was acquired, and
    execve(2), are as the death of the owner.

    >>> mutex = Mutex.create("/ipckit-doc-mutex", unlink_on_close=True)
    >>> with mutex as got:
    ...     got.owner_died
    False
    >>> mutex.acquire(timeout=1.0)
    Acquired(owner_died=False)
    >>> mutex.release(), mutex.close()
    (None, None)
    """

    __slots__ = ("_lane", "_policy")

    _KIND = lib.IPK_SYNC_MUTEX
    _OPTIONS = frozenset({"on_owner_death"})
    _WHAT = "mutex"

    SIZE: Final[int] = lib.IPK_MUTEX_SIZE
    """Bytes that a mutex takes within memory of yours, at a multiple of 64."""

    def __init__(self, place: Place, on_owner_death: OnOwnerDeath = "report") -> None:
        super().__init__(place)
        self._lane = lane_of(place.view)
        self._policy = on_owner_death

    @classmethod
    def create(
        cls,
        name: str | None = None,
        *,
        within: Any = None,
        offset: int = 0,
        recursive: bool = False,
        on_owner_death: OnOwnerDeath = "report",
        mode: int = 0o600,
        unlink_on_close: bool = False,
    ) -> Self:
        """Create a mutex that nobody owns, exclusively.

        Args:
            name: "/" and at most 247 more bytes; the file is ``/dev/shm/ipckit.NAME``. None: anonymous, for children
                and for whoever gets its descriptor.
            within: memory of yours to put it into instead, zeroed: a `Mapping`, `Memfd` mapping or
                `posix.SharedMemory`. It stays mapped as long as the handle is open.
            offset: bytes from the beginning of *within*, a multiple of 64.
            recursive: whether its owner may acquire it again, and releases it as often.
            on_owner_death: see above; of this handle, not of the mutex.
            mode: permission bits of the file, exactly, whatever the umask. To acquire takes the right to write.
            unlink_on_close: `close` unlinks the name too, in the process that created it.

        Raises:
            AlreadyExistsError: the name is taken, or there is an object at that offset (EEXIST).
            LimitError: /dev/shm, or memory, is full (ENOSPC, ENOMEM).
        """
        check_policy(on_owner_death)
        options = lib.IPK_MUTEX_RECURSIVE if recursive else 0
        return cls(cls._make(name, within, offset, mode, unlink_on_close, options=options), on_owner_death)

    @classmethod
    def open(
        cls,
        name: str | None = None,
        *,
        within: Any = None,
        offset: int = 0,
        on_owner_death: OnOwnerDeath = "report",
    ) -> Self:
        """Open the mutex of that name, or at that offset of memory of yours; arguments as for `create`.

        Raises:
            NotFoundError: there is none (ENOENT).
            AccessError: its mode forbids it (EACCES).
            LayoutError: there is something else, or another layout version.
        """
        check_policy(on_owner_death)
        return cls(cls._find(name, within, offset), on_owner_death)

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> Acquired | Literal[False]:  # noqa: FBT001, FBT002  # threading's
        """Take the mutex, waiting for it.

        Args:
            blocking: False: take it if it is free now, or its owner dead.
            timeout: seconds; None waits for ever, 0 never waits.

        Returns:
            Something true that says whether the last owner died; False if it was not to be had in that time.

        Raises:
            DeadlockError: this thread has it already (EDEADLK).
            OwnerDiedError: the last owner died, and `on_owner_death` says "raise"; the mutex is ours (EOWNERDEAD).
            NotRecoverableError: an owner died, and nobody put right what it left (ENOTRECOVERABLE).
            ValueError: a timeout was given with ``blocking=False``.
        """
        if timeout is not None:
            check_acquire(blocking, timeout)
        rc = self._lane.take()
        if not rc:
            return ACQUIRED
        # The clock is read only now: nothing has waited yet.
        return self._acquire_slowly(rc, Deadline.after(timeout) if blocking else PASSED)

    def try_acquire(self) -> Acquired | Literal[False]:
        """Take the mutex if it is free now, or its owner dead: ``acquire(timeout=0)``."""
        rc = self._lane.take()
        return self._acquire_slowly(rc, PASSED) if rc else ACQUIRED

    def release(self) -> None:
        """Give the mutex back; a recursive one, once for each `acquire`.

        Raises:
            NotOwnerError: this thread does not hold it; a RuntimeError, as in `threading`.
        """
        if rc := self._lane.give():
            raise self._refused(rc, "release")

    def mark_consistent(self) -> None:
        """Say that what the mutex protects is right again, after the death of an owner.

        Raises:
            NotOwnerError: this thread does not hold it.
        """
        if rc := quick.ipk_mutex_consistent(self._opened()):
            raise self._refused(rc, "mark_consistent")

    def locked(self) -> bool:
        """Whether somebody holds it now, alive or dead."""
        return self.owner() is not None

    def owner(self) -> Owner | None:
        """Who holds it now, or None."""
        found = ffi.new("struct ipk_mutex_owner *")
        view = self._opened()
        if not quick.ipk_mutex_owner(view, found):
            return None
        return Owner(found.pid, found.thread, found.depth, bool(quick.ipk_mutex_lives(view, found.word)))

    def __enter__(self) -> Acquired:  # type: ignore[override]  # a lock gives its result
        if not (rc := self._lane.take()):
            return ACQUIRED
        try:
            got = self._acquire_slowly(rc, FOREVER)
        except BaseException as error:
            if getattr(error, "errno", None) == errno.EOWNERDEAD:
                self.release()
            raise
        assert got
        return got

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if rc := self._lane.give():
            raise self._refused(rc, "release")

    def _acquire_slowly(self, rc: int, deadline: Deadline) -> Acquired | Literal[False]:
        with self._in_use():
            if rc == -errno.EAGAIN:
                rc = self._wait(deadline)
            if rc in (-errno.ETIMEDOUT, -errno.EAGAIN):
                return False
            if rc == 0:
                return ACQUIRED
            if rc != -errno.EOWNERDEAD:
                raise self._refused(rc, "acquire")
            return self._inherited()

    def _wait(self, deadline: Deadline) -> int:
        view = self._view
        try:
            if deadline is PASSED:
                rc: int = quick.ipk_mutex_recover(view)
                return rc
            while (rc := lib.ipk_mutex_wait(view, deadline.at_ns)) in _AGAIN:
                self._check_open()
            self._check_open()  # whoever closes meanwhile shall not own
        except BaseException:
            if quick.ipk_mutex_mine(view):  # an exception of a signal handler came between
                quick.ipk_mutex_abandon(view) if rc == -errno.EOWNERDEAD else quick.ipk_mutex_release(view)
            raise
        return rc

    def _inherited(self) -> Acquired:
        if self._policy == "raise":
            raise syscall_error(
                errno.EOWNERDEAD, "acquire", self._describe(), remedy="the mutex is yours: mark_consistent(), release()"
            )
        if self._policy == "recover":
            quick.ipk_mutex_consistent(self._view)
            text = f"the owner of {self!r} died with it; what it protects may be half-changed"
            warnings.warn(text, OwnerDiedWarning, stacklevel=4)
        return INHERITED

    def _refused(self, rc: int, call: str) -> Exception:
        self._check_open()
        if rc == -errno.EPERM:
            return NotOwnerError(f"cannot {call} {self!r}: this thread does not hold it")
        if rc == -errno.EDEADLK:
            remedy = "this thread holds it already; make it recursive, or release it first"
            return syscall_error(errno.EDEADLK, call, self._describe(), remedy=remedy)
        return failure(rc, call, self._describe())

    def _release(self) -> None:
        quick.ipk_mutex_abandon(self._view)
        self._lane = CLOSED
        super()._release()

    def _how(self) -> dict[str, Any]:
        return {"on_owner_death": self._policy}


def check_policy(policy: str) -> None:
    """Refuse what is no policy for the death of an owner."""
    if policy not in _POLICIES:
        raise ValueError(f"on_owner_death must be one of {', '.join(map(repr, _POLICIES))}, not {policy!r}")
