"""A mutex in shared memory that survives the death of its owner: native/include/ipckit/mutex.h."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final, Literal

from ipckit._arguments import check_acquire
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._wait import FOREVER, PASSED, Deadline
from ipckit.errors import OwnerDiedError
from ipckit.sync._mutex_lane import CLOSED, lane_of
from ipckit.sync._ownership import ACQUIRED, Acquired, OnOwnerDeath, OwnedHandle, Owner, check_policy

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from ipckit.sync._object import Place


class Mutex(OwnedHandle):
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

    __slots__ = ("_lane",)

    _KIND = lib.IPK_SYNC_MUTEX
    _WHAT = "mutex"
    _RELOCK = "this thread holds it already; make it recursive, or release it first"

    SIZE: Final[int] = lib.IPK_MUTEX_SIZE
    """Bytes that a mutex takes within memory of yours, at a multiple of 64."""

    def __init__(self, place: Place, on_owner_death: OnOwnerDeath = "report") -> None:
        super().__init__(place, on_owner_death)
        self._lane = lane_of(place.view)

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
        return self._owner()

    def __enter__(self) -> Acquired:  # type: ignore[override]  # a lock gives its result
        if not (rc := self._lane.take()):
            return ACQUIRED
        try:
            got = self._acquire_slowly(rc, FOREVER)
        except OwnerDiedError:
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
                view = self._view
                taken = ffi.new("uint32_t *")  # that it is ours says nothing where its owner may wait for it
                rc = self._waited(
                    lambda: lib.ipk_mutex_wait_taking(view, deadline.at_ns, taken),
                    lambda: self._undo() if taken[0] else None,
                )
            outcome = self._outcome(rc, "acquire")
            if outcome is not None:
                return outcome
            try:
                return self._inherited()
            except OwnerDiedError:
                raise  # and it is ours
            except BaseException:  # the user makes errors of warnings
                quick.ipk_mutex_release(self._view)
                raise

    def _inherited(self) -> Acquired:
        return self._heir("acquire", "mark_consistent(), release()", quick.ipk_mutex_consistent)

    def _undo(self) -> None:
        """Give back what a wait got before an exception of a signal handler ended it."""
        found = ffi.new("struct ipk_mutex_owner *")
        view = self._view
        if quick.ipk_mutex_mine(view):
            quick.ipk_mutex_owner(view, found)
            quick.ipk_mutex_abandon(view) if found.word & lib.IPK_LOCK_DIED else quick.ipk_mutex_release(view)

    def _release(self) -> None:
        quick.ipk_mutex_abandon(self._view)
        self._lane = CLOSED
        super()._release()
