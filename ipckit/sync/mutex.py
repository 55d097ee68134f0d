"""A mutex in shared memory that survives the death of its owner: native/include/ipckit/mutex.h."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final, Literal

from ipckit._arguments import check_acquire
from ipckit._compiled import methods_in_c
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._wait import NEVER_NS, PASSED, Deadline
from ipckit.errors import LayoutError, OwnerDiedError, syscall_error
from ipckit.sync._mutex_lane import CLOSED, lane_of
from ipckit.sync._ownership import ACQUIRED, Acquired, OnOwnerDeath, OwnedHandle, Owner, check_policy

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from ipckit.sync._object import Place

_BUSY = -errno.EAGAIN


@methods_in_c
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

    With ``priority_inheritance=True`` the kernel lets the owner run with the priority of whoever waits for it, so that
    no process of a priority in between holds up both (futex(2), FUTEX_LOCK_PI). It believes what the memory says: use
    such a mutex only among processes that trust each other, of one pid namespace, and not for a `Condition`. Who waits
    for it does not spin; a thread that ends while it owns has died; and owners that wait for each other are told:
    DeadlockError.

    Threads: safe to share; the owner is a thread. A thread that ends while it owns goes on owning: the process lives.
    fork(2): the child has the handle, and owns nothing. `close` of the handle through which it was acquired is as the
    death of the owner. execve(2) without that is not: the process goes on owning until it ends (unless its priority is
    inherited: then who waits at that moment gets the mutex).

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
    _ACQUIRED = ACQUIRED

    SIZE: Final[int] = lib.IPK_MUTEX_SIZE
    """Bytes that a mutex takes within memory of yours, at a multiple of 64."""

    def __init__(self, place: Place, on_owner_death: OnOwnerDeath = "report") -> None:
        _check_inheritance(place)
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
        priority_inheritance: bool = False,
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
            priority_inheritance: whether its owner runs with the priority of whoever waits for it.
            on_owner_death: see above; of this handle, not of the mutex.
            mode: permission bits of the file, exactly, whatever the umask. To acquire takes the right to write.
            unlink_on_close: `close` unlinks the name too, in the process that created it.

        Raises:
            AlreadyExistsError: the name is taken, or there is an object at that offset (EEXIST).
            LimitError: /dev/shm, or memory, is full (ENOSPC, ENOMEM).
            UnsupportedError: this kernel has no priority inheritance (ENOSYS).
        """
        check_policy(on_owner_death)
        options = lib.IPK_MUTEX_RECURSIVE if recursive else 0
        if not priority_inheritance:
            return cls(cls._make(name, within, offset, mode, unlink_on_close, options=options), on_owner_death)
        options |= lib.IPK_MUTEX_INHERITS
        _format_inheriting(ffi.new("char[]", cls.SIZE))  # before there is anything to clean up
        fill = _format_inheriting
        return cls(cls._make(name, within, offset, mode, unlink_on_close, options=options, fill=fill), on_owner_death)

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> Acquired | Literal[False]:  # noqa: FBT001, FBT002  # threading's
        """Take the mutex, waiting for it.

        Args:
            blocking: False: take it if it is free now, or its owner dead.
            timeout: seconds; None waits for ever, 0 never waits.

        Returns:
            Something true that says whether the last owner died; False if it was not to be had in that time.

        Raises:
            DeadlockError: this thread has it already, or its owner, whose priority would be raised, waits for this
                thread (EDEADLK).
            OwnerDiedError: the last owner died, and `on_owner_death` says "raise"; the mutex is ours (EOWNERDEAD).
            NotRecoverableError: an owner died, and nobody put right what it left (ENOTRECOVERABLE).
            ValueError: a timeout was given with ``blocking=False``.
        """
        if timeout is not None:
            check_acquire(blocking, timeout)
        lane = self._lane
        if not (rc := lane.take()):
            return ACQUIRED
        if rc == _BUSY:
            # The clock is read only now: nothing has waited yet. What follows a wake-up is short.
            deadline = Deadline.after(timeout) if blocking else PASSED
            if not (rc := lane.wait(deadline.at_ns)):
                return ACQUIRED
        return self._taken_or_not(rc)

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

    @property
    def priority_inheritance(self) -> bool:
        """Whether its owner runs with the priority of whoever waits for it."""
        return bool(quick.ipk_mutex_pi_inherits(self._opened()))

    def locked(self) -> bool:
        """Whether somebody holds it now, alive or dead."""
        return self.owner() is not None

    def owner(self) -> Owner | None:
        """Who holds it now, or None."""
        return self._owner()

    def __enter__(self) -> Acquired:  # type: ignore[override]  # a lock gives its result
        if not (rc := self._lane.take()):
            return ACQUIRED
        return self._enter_slowly(rc)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if rc := self._lane.give():
            raise self._refused(rc, "release")

    def _enter_slowly(self, rc: int) -> Acquired:
        if rc == _BUSY and not (rc := self._lane.wait(NEVER_NS)):
            return ACQUIRED
        try:
            got = self._taken_or_not(rc)
        except OwnerDiedError:
            self.release()
            raise
        assert got
        return got

    def _acquire_slowly(self, rc: int, deadline: Deadline) -> Acquired | Literal[False]:
        if rc == _BUSY and not (rc := self._lane.wait(deadline.at_ns)):
            return ACQUIRED
        return self._taken_or_not(rc)

    def _taken_or_not(self, rc: int) -> Acquired | Literal[False]:
        """What it means that the core did not simply give it to us."""
        with self._in_use():
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

    def _refused(self, rc: int, call: str) -> Exception:
        if rc == -errno.EDEADLK and not quick.ipk_mutex_mine(self._opened()):
            remedy = "its owner waits for this thread, perhaps through others: acquire mutexes in one order everywhere"
            return syscall_error(errno.EDEADLK, call, self._filename(), remedy=remedy)
        return super()._refused(rc, call)

    def _release(self) -> None:
        lane, self._lane = self._lane, CLOSED
        lane.close()
        quick.ipk_mutex_abandon(self._view)
        super()._release()


def _format_inheriting(memory: Any) -> None:
    if rc := quick.ipk_mutex_pi_format(memory):
        raise _no_inheritance(rc)


def _check_inheritance(place: Place) -> None:
    """Refuse a mutex whose owner inherits, where the kernel cannot do that, or means other threads by its word."""
    rc = quick.ipk_mutex_pi_check(place.view)
    if rc == -errno.EXDEV:
        raise LayoutError(
            "this mutex with priority inheritance names its owner by a thread id of another pid namespace: "
            "open it in the namespace in which it was made, or create it without priority_inheritance"
        )
    if rc:
        raise _no_inheritance(rc)


def _no_inheritance(rc: int) -> Exception:
    remedy = "this kernel has no priority inheritance" if rc == -errno.ENOSYS else None
    return syscall_error(-rc, "futex", remedy=remedy)
