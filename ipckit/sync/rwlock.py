"""A lock for many readers or one writer in shared memory: native/include/ipckit/rwlock.h."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ipckit._arguments import check_acquire
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._wait import FOREVER, PASSED, Deadline
from ipckit.errors import NotOwnerError, OwnerDiedError, OwnerDiedWarning
from ipckit.sync._holders import Holder, check_places, holders_of, table_full
from ipckit.sync._ownership import ACQUIRED, Acquired, OnOwnerDeath, OwnedHandle, Owner, check_policy
from ipckit.sync._rwlock_lane import CLOSED, lane_of

if TYPE_CHECKING:
    from typing_extensions import Self

    from ipckit.sync._object import Place
    from ipckit.sync._turn import Turn
else:
    try:
        from ipckit._lane import RWLockTurn as Turn
    except ImportError:
        from ipckit.sync._turn import Turn

_READERS = 64


class RWLock(OwnedHandle):
    """A lock that many have at once to read, or one alone to write; nobody's death keeps the others out.

    ``with lock.reading():`` and ``with lock.writing():``, or `acquire_read` and `release_read`, `acquire_write` and
    `release_write`. Used between unrelated processes.

    **Turns.** As soon as a writer waits, no new reader gets in; who waits to read while one writes gets in before the
    next one writes. So readers do not starve writers, nor writers readers. Therefore do not read again what you read
    already: with a writer between, you would wait for yourself; and do not ask to write while you read. A waiter that
    was killed or gave up is in nobody's way; one that is stopped costs the next writer some 50 ms, once. Every 50 ms a
    waiter looks around: one that does so at the very moment of the release may get in one writer later.

    **Death.** A reader that is killed is taken off within some 50 ms. If a writer is killed amid its work, the next
    writer gets the lock, and is told so: it puts right what may be half-changed, and calls `mark_consistent`; a release
    without that makes the lock unusable for all (NotRecoverableError). **Readers get in before that, and are told so
    too**: what they read may be half-changed. What acquiring does then, `on_owner_death` says:

    * ``"report"``: it returns a result whose `owner_died` is true;
    * ``"raise"``: it raises OwnerDiedError, with the lock held until it is released; ``with`` releases it before it
      raises;
    * ``"recover"``: it issues OwnerDiedWarning, and a writer says that all is consistent: for what nobody changes by
      halves.

    Threads: safe to share. Who writes is a thread, and nobody else releases for it. Reads are counted for the handle:
    any of its threads may release them. fork(2): the child has the handle, and holds nothing. `close` lets go of all
    that was acquired through the handle, of a writer's lock as if it had died; after execve(2) without that, it stays
    the process's until it ends.

    >>> lock = RWLock.create("/ipckit-doc-rwlock", unlink_on_close=True)
    >>> with lock.reading(), lock.reading():
    ...     lock.acquire_write(timeout=0)
    False
    >>> with lock.writing() as got:
    ...     got.owner_died, lock.readers()
    (False, [])
    >>> lock.acquire_write()
    Acquired(owner_died=False)
    >>> lock.downgrade()  # now it reads, and no other writer was between
    >>> lock.release_read(), lock.close()
    (None, None)
    """

    __slots__ = ("_lane",)

    _KIND = lib.IPK_SYNC_RWLOCK
    _WHAT = "lock"
    _RELOCK = "this thread writes already: release_write() or downgrade() first"

    SIZE: ClassVar[int] = quick.ipk_sync_size(lib.IPK_SYNC_RWLOCK, _READERS)
    """Bytes that it takes within memory of yours with 64 readers, at a multiple of 64; for other numbers see `size`."""

    def __init__(self, place: Place, on_owner_death: OnOwnerDeath = "report") -> None:
        super().__init__(place, on_owner_death)
        self._lane = lane_of(place.view)

    @staticmethod
    def size(readers: int = _READERS) -> int:
        """Bytes that it takes within memory of yours, at a multiple of 64."""
        check_places(readers, "readers")
        size: int = quick.ipk_sync_size(lib.IPK_SYNC_RWLOCK, readers)
        return size

    @classmethod
    def create(
        cls,
        name: str | None = None,
        *,
        within: Any = None,
        offset: int = 0,
        readers: int = _READERS,
        on_owner_death: OnOwnerDeath = "report",
        mode: int = 0o600,
        unlink_on_close: bool = False,
    ) -> Self:
        """Create a lock that nobody has, exclusively.

        Args:
            name: "/" and at most 247 more bytes; the file is ``/dev/shm/ipckit.NAME``. None: anonymous, for children
                and for whoever gets its descriptor.
            within: memory of yours to put it into instead, zeroed: a `Mapping`, `Memfd` mapping or
                `posix.SharedMemory`. It stays mapped as long as the handle is open.
            offset: bytes from the beginning of *within*, a multiple of 64.
            readers: how many handles can read through it, 1 to 4096. A handle takes a place with its first read, and
                keeps it until it is closed or its process ends.
            on_owner_death: see above; of this handle, not of the lock.
            mode: permission bits of the file, exactly, whatever the umask. To acquire takes the right to write.
            unlink_on_close: `close` unlinks the name too, in the process that created it.

        Raises:
            AlreadyExistsError: the name is taken, or there is an object at that offset (EEXIST).
            LimitError: /dev/shm, or memory, is full (ENOSPC, ENOMEM).
        """
        check_policy(on_owner_death)
        check_places(readers, "readers")
        return cls(cls._make(name, within, offset, mode, unlink_on_close, count=readers), on_owner_death)

    def reading(self) -> Turn:
        """For a ``with`` block: read. The block gets what `acquire_read` returns, after waiting for it."""
        return Turn(self, ACQUIRED, False)

    def writing(self) -> Turn:
        """For a ``with`` block: write. The block gets what `acquire_write` returns, after waiting for it."""
        return Turn(self, ACQUIRED, True)

    def acquire_read(self, blocking: bool = True, timeout: float | None = None) -> Acquired | Literal[False]:  # noqa: FBT001, FBT002  # threading's
        """Read: wait until no writer is in the way.

        Args:
            blocking: False: only if no writer is there now, or none that lives.
            timeout: seconds; None waits for ever, 0 never waits.

        Returns:
            Something true that says whether a writer died amid a change that nobody has put right; False if it was not
            to be had in that time.

        Raises:
            DeadlockError: this thread writes (EDEADLK).
            LimitError: as many handles read through the lock as it was made for (ENOSPC).
            OwnerDiedError: a writer died, and `on_owner_death` says "raise"; we read (EOWNERDEAD).
            NotRecoverableError: a writer died, and nobody put right what it left (ENOTRECOVERABLE).
            ValueError: a timeout was given with ``blocking=False``.
        """
        if timeout is not None:
            check_acquire(blocking, timeout)
        if not (rc := self._lane.take_read()):
            return ACQUIRED
        # The clock is read only now: nothing has waited yet.
        return self._read_slowly(rc, Deadline.after(timeout) if blocking else PASSED)

    def try_acquire_read(self) -> Acquired | Literal[False]:
        """Read if no writer is there now, or none that lives: ``acquire_read(timeout=0)``."""
        rc = self._lane.take_read()
        return self._read_slowly(rc, PASSED) if rc else ACQUIRED

    def release_read(self) -> None:
        """Read no more.

        Raises:
            NotOwnerError: nothing is read through this handle; a RuntimeError.
        """
        if rc := self._lane.give_read():
            raise self._refused(rc, "release_read")

    def acquire_write(self, blocking: bool = True, timeout: float | None = None) -> Acquired | Literal[False]:  # noqa: FBT001, FBT002  # threading's
        """Write: wait until nobody else writes, and all who read have left.

        Args:
            blocking: False: only if nobody is there now, or nobody that lives.
            timeout: seconds; None waits for ever, 0 never waits.

        Returns:
            Something true that says whether the last writer died amid a change; False if it was not to be had in that
            time.

        Raises:
            DeadlockError: this thread writes (EDEADLK).
            OwnerDiedError: the last writer died, and `on_owner_death` says "raise"; we write (EOWNERDEAD).
            NotRecoverableError: a writer died, and nobody put right what it left (ENOTRECOVERABLE).
            ValueError: a timeout was given with ``blocking=False``.
        """
        if timeout is not None:
            check_acquire(blocking, timeout)
        if not (rc := self._lane.take_write()):
            return ACQUIRED
        return self._write_slowly(rc, Deadline.after(timeout) if blocking else PASSED)

    def try_acquire_write(self) -> Acquired | Literal[False]:
        """Write if nobody is there now, or nobody that lives: ``acquire_write(timeout=0)``."""
        rc = self._lane.take_write()
        return self._write_slowly(rc, PASSED) if rc else ACQUIRED

    def release_write(self) -> None:
        """Write no more.

        Raises:
            NotOwnerError: this thread does not write; a RuntimeError.
        """
        if rc := self._lane.give_write():
            raise self._refused(rc, "release_write")

    def downgrade(self) -> None:
        """Read instead of writing, with no other writer between; `release_read` ends it.

        After an owner's death that was not marked as put right, it lets others go on being told of it.

        Raises:
            NotOwnerError: this thread does not write.
            LimitError: as many handles read through the lock as it was made for; we still write (ENOSPC).
        """
        if rc := quick.ipk_rwlock_downgrade(self._opened()):
            raise self._refused(rc, "downgrade")

    def mark_consistent(self) -> None:
        """Say that what the lock protects is right again, after the death of a writer.

        Raises:
            NotOwnerError: this thread does not write.
        """
        if rc := quick.ipk_rwlock_consistent(self._opened()):
            raise self._refused(rc, "mark_consistent")

    def readers(self) -> list[Holder]:
        """Who reads now; the dead too, until a writer has waited for them."""
        return holders_of(self._opened(), self._filename())

    def writer(self) -> Owner | None:
        """Who writes now, or waits for the last readers to leave; None if nobody does."""
        return self._owner()

    def _read_slowly(self, rc: int, deadline: Deadline) -> Acquired | Literal[False]:
        with self._in_use():
            if rc == -errno.EAGAIN:
                rc = self._wait_to_read(deadline)
            outcome = self._outcome(rc, "acquire_read")
            return self._told_reading() if outcome is None else outcome

    def _write_slowly(self, rc: int, deadline: Deadline) -> Acquired | Literal[False]:
        with self._in_use():
            if rc == -errno.EAGAIN:
                rc = self._wait_to_write(deadline)
            outcome = self._outcome(rc, "acquire_write")
            return self._told_writing() if outcome is None else outcome

    def _wait_to_read(self, deadline: Deadline) -> int:
        view, taken = self._view, ffi.new("uint32_t *")
        return self._waited(
            lambda: lib.ipk_rwlock_read_wait(view, deadline.at_ns, taken),
            lambda: taken[0] and quick.ipk_rwlock_read_release(view),
        )

    def _wait_to_write(self, deadline: Deadline) -> int:
        view = self._view
        return self._waited(
            lambda: lib.ipk_rwlock_write_wait(view, deadline.at_ns), lambda: quick.ipk_rwlock_write_undo(view)
        )

    def _enter_slowly(self, rc: int, writing: bool) -> Acquired:  # noqa: FBT001
        """Take it for a ``with`` block, after an attempt with that outcome; the caller has `_in_use`."""
        if rc == -errno.EAGAIN:
            rc = self._wait_to_write(FOREVER) if writing else self._wait_to_read(FOREVER)
            if not rc:  # nothing is called from where it is ours on, so that no signal handler can raise
                return ACQUIRED
        try:
            got = self._write_slowly(rc, FOREVER) if writing else self._read_slowly(rc, FOREVER)
        except OwnerDiedError:
            if writing:
                self.release_write()
            else:
                self.release_read()
            raise
        assert got
        return got

    def _told_reading(self) -> Acquired:
        try:
            return self._heir("acquire_read", "release_read()", lambda _: None)
        except OwnerDiedWarning:  # the user makes errors of warnings
            quick.ipk_rwlock_read_release(self._view)
            raise

    def _told_writing(self) -> Acquired:
        try:
            return self._heir("acquire_write", "mark_consistent(), release_write()", quick.ipk_rwlock_consistent)
        except OwnerDiedWarning:
            quick.ipk_rwlock_write_release(self._view)
            raise

    def _refused(self, rc: int, call: str) -> Exception:
        self._check_open()
        if rc == -errno.ENOSPC:
            return table_full("readers", call, self._filename())
        if rc == -errno.EPERM and call == "release_read":
            return NotOwnerError(f"cannot release_read {self!r}: nothing is read through this handle")
        return super()._refused(rc, call)

    def _release(self) -> None:
        quick.ipk_rwlock_abandon(self._view)
        self._lane = CLOSED
        super()._release()
