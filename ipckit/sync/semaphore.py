"""Counting semaphores in shared memory: native/include/ipckit/semaphore.h, tracked_semaphore.h."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, overload

from ipckit._arguments import check_acquire, check_int
from ipckit._compiled import methods_in_c
from ipckit._native import lib
from ipckit._native_quick import lib as quick
from ipckit._wait import FOREVER, PASSED, Deadline
from ipckit.errors import LayoutError, NotOwnerError
from ipckit.sync._holders import Holder, check_places, holders_of, table_full
from ipckit.sync._mutex_lane import CLOSED
from ipckit.sync._object import Place, SyncHandle, failure
from ipckit.sync._permit_lane import lane_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

_VALUE_MAX: int = lib.IPK_SEMAPHORE_VALUE_MAX
_HOLDERS = 64


class _Core(NamedTuple):
    """The calls of the core for one kind of semaphore."""

    give: Callable[[Any, int], int]
    value: Callable[[Any], int]


@methods_in_c
class Semaphore(SyncHandle):
    """A counter of permits that never falls below 0: `acquire` takes one or waits for one, `release` gives some.

    Used like `threading.Semaphore`, or with ``bounded=True`` like `threading.BoundedSemaphore`, between unrelated
    processes. ``with semaphore:`` acquires and releases.

    A permit has no owner: anyone may release, and **a process that dies with a permit never gives it back**. Where
    that matters, create it with ``tracked=True``: a `TrackedSemaphore` knows who has its permits, and takes them back
    from the dead. Of a waiter that is killed nothing is left. Who waits longest is not promised to be served first.
    Waiting spins for about as long as a wake-up takes, and then sleeps in futex(2).

    Ordering: what was done before a `release` is seen after the `acquire` that got its permit. `release(n)` gives all n
    at once, or none. Threads: safe to share. fork(2): the child has the same semaphore. `close` gives nothing back.

    >>> semaphore = Semaphore.create("/ipckit-doc-sync-semaphore", value=1, bounded=True, unlink_on_close=True)
    >>> with semaphore:
    ...     semaphore.acquire(timeout=0.01)
    False
    >>> semaphore.value
    1
    >>> semaphore.release()
    Traceback (most recent call last):
    ValueError: semaphore released too often: it is bounded, and has 1 of its permits already
    >>> semaphore.close()
    """

    __slots__ = ("_lane",)

    _KIND = lib.IPK_SYNC_SEMAPHORE
    _WHAT = "semaphore"
    _TRACKED: ClassVar[bool] = False
    _CORE: ClassVar[_Core] = _Core(quick.ipk_semaphore_release, quick.ipk_semaphore_value)

    SIZE: ClassVar[int] = lib.IPK_SEMAPHORE_SIZE
    """Bytes that a semaphore takes within memory of yours, at a multiple of 64; a `TrackedSemaphore` takes more."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._lane = lane_of(place.view, tracked=self._TRACKED)

    @overload
    @classmethod
    def create(
        cls,
        name: str | None = None,
        *,
        within: Any = None,
        offset: int = 0,
        value: int = 1,
        bounded: bool = False,
        tracked: Literal[True],
        holders: int = _HOLDERS,
        mode: int = 0o600,
        unlink_on_close: bool = False,
    ) -> TrackedSemaphore: ...

    @overload
    @classmethod
    def create(
        cls,
        name: str | None = None,
        *,
        within: Any = None,
        offset: int = 0,
        value: int = 1,
        bounded: bool = False,
        tracked: bool = False,
        holders: int = _HOLDERS,
        mode: int = 0o600,
        unlink_on_close: bool = False,
    ) -> Self: ...

    @classmethod
    def create(
        cls,
        name: str | None = None,
        *,
        within: Any = None,
        offset: int = 0,
        value: int = 1,
        bounded: bool = False,
        tracked: bool = False,
        holders: int = _HOLDERS,
        mode: int = 0o600,
        unlink_on_close: bool = False,
    ) -> Semaphore:
        """Create a semaphore, exclusively.

        Args:
            name: "/" and at most 247 more bytes; the file is ``/dev/shm/ipckit.NAME``. None: anonymous, for children
                and for whoever gets its descriptor.
            within: memory of yours to put it into instead, zeroed: a `Mapping`, `Memfd` mapping or
                `posix.SharedMemory`. It stays mapped as long as the handle is open.
            offset: bytes from the beginning of *within*, a multiple of 64.
            value: permits at first, 0 to 2147483647; of a tracked one, all that there ever are, from 1.
            bounded: whether to give more than there were at first is a ValueError.
            tracked: make a `TrackedSemaphore`.
            holders: of a tracked one, how many handles can have permits at the same time, 1 to 4096.
            mode: permission bits of the file, exactly, whatever the umask.
            unlink_on_close: `close` unlinks the name too, in the process that created it.

        Raises:
            AlreadyExistsError: the name is taken, or there is an object at that offset (EEXIST).
            LimitError: /dev/shm, or memory, is full (ENOSPC, ENOMEM).
        """
        where = (name, within, offset, mode, unlink_on_close)
        if tracked or cls._TRACKED:
            kind = cls if issubclass(cls, TrackedSemaphore) else TrackedSemaphore
            check_int(value, "value", 1, _VALUE_MAX, "permits")
            check_places(holders, "holders")
            fill = lambda place: quick.ipk_tracked_semaphore_format(place, value)  # noqa: E731
            return kind(kind._make(*where, count=holders, fill=fill))
        check_int(value, "value", 0, _VALUE_MAX, "permits")
        options = lib.IPK_SEMAPHORE_BOUNDED if bounded else 0
        limit = value if bounded else _VALUE_MAX
        fill = lambda place: quick.ipk_semaphore_format(place, value, limit)  # noqa: E731
        return cls(cls._make(*where, options=options, fill=fill))

    @classmethod
    def open(cls, name: str | None = None, *, within: Any = None, offset: int = 0) -> Self:
        """Open the semaphore of that name, or at that offset of memory of yours; a tracked one is a TrackedSemaphore.

        Raises:
            NotFoundError: there is none (ENOENT).
            AccessError: its mode forbids it (EACCES).
            LayoutError: there is something else, or another layout version.
        """
        try:
            return cls(cls._find(name, within, offset))
        except LayoutError as error:
            if issubclass(cls, TrackedSemaphore):
                raise
            try:
                return TrackedSemaphore(TrackedSemaphore._find(name, within, offset))  # type: ignore[return-value]
            except LayoutError:
                raise error from None

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:  # noqa: FBT001, FBT002  # threading's
        """Take a permit, waiting for one.

        Args:
            blocking: False: take one if there is one now.
            timeout: seconds; None waits for ever, 0 never waits.

        Returns:
            False if there was no permit in that time.

        Raises:
            LimitError: tracked only: as many handles have permits as it was made for (ENOSPC).
            ValueError: a timeout was given with ``blocking=False``.
        """
        if timeout is not None:
            check_acquire(blocking, timeout)
        if not (rc := self._lane.take()):
            return True
        # The clock is read only now: nothing has waited yet.
        return self._acquire_slowly(rc, Deadline.after(timeout) if blocking else PASSED)

    def try_acquire(self) -> bool:
        """Take a permit if there is one now: ``acquire(timeout=0)``. Returns whether there was."""
        rc = self._lane.take()
        return self._acquire_slowly(rc, PASSED) if rc else True

    def release(self, n: int = 1) -> None:
        """Give *n* permits at once, each of which wakes a waiter.

        Raises:
            ValueError: it is bounded, and there would be more than at first; none is given.
            SyscallError: there would be more than 2147483647 (EOVERFLOW); none is given.
            NotOwnerError: it is tracked, and fewer were taken through this handle; none is given.
        """
        if n == 1:
            rc = self._lane.give()
        else:
            check_int(n, "n", 1, _VALUE_MAX, "permits")
            rc = self._CORE.give(self._opened(), n)
        if rc:
            raise self._refused(rc, "release")

    @property
    def value(self) -> int:
        """The permits there are now; of a tracked one, without those of the dead that nobody has missed yet."""
        return self._CORE.value(self._opened())

    def __enter__(self) -> Self:
        if rc := self._lane.take():
            self._acquire_slowly(rc, FOREVER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if rc := self._lane.give():
            raise self._refused(rc, "release")

    def _acquire_slowly(self, rc: int, deadline: Deadline) -> bool:
        if rc == -errno.EAGAIN:
            rc = self._lane.wait(deadline.at_ns)
        return self._taken_or_not(rc)

    def _taken_or_not(self, rc: int) -> bool:
        """What `acquire` returns or raises for what the core returned."""
        if rc and rc != -errno.ETIMEDOUT:
            raise self._refused(rc, "acquire")
        return not rc

    def _refused(self, rc: int, call: str) -> Exception:
        self._check_open()
        if rc == -errno.EPERM:
            return NotOwnerError(f"cannot {call} {self!r}: so many permits were not taken through this handle")
        if rc == -errno.ENOSPC:
            return table_full("holders", call, self._filename())
        if rc == -errno.EOVERFLOW and quick.ipk_semaphore_bounded(self._view):
            return ValueError(
                f"semaphore released too often: it is bounded, and has {self.value} of its permits already"
            )
        return failure(rc, call, self._filename())

    def _release(self) -> None:
        lane, self._lane = self._lane, CLOSED
        lane.close()
        super()._release()


class TrackedSemaphore(Semaphore):
    """A semaphore that knows who has its permits, and takes them back from the dead.

    As `Semaphore`, but: only the handle through which a permit was taken gives it back (NotOwnerError); there are
    never more permits than at first; `holders` tells who has them. **The permits of a process that was killed come
    back** when somebody has waited for some 50 ms; those of a stopped one stay taken. How many permits there are is not
    stored but counted, so a kill at any point loses none and doubles none.

    Threads: safe to share; permits are the handle's, whichever thread took them. fork(2): the child has the handle and
    none of its permits. `close` gives back what the handle has; after execve(2) without that, it stays taken until the
    process ends.

    >>> semaphore = Semaphore.create("/ipckit-doc-tracked", value=2, tracked=True, unlink_on_close=True)
    >>> with semaphore:
    ...     [holder.held for holder in semaphore.holders()], semaphore.value
    ([1], 1)
    >>> semaphore.close()
    """

    __slots__ = ()

    _KIND = lib.IPK_SYNC_TRACKED_SEMAPHORE
    _TRACKED = True
    _CORE = _Core(quick.ipk_tracked_semaphore_release, quick.ipk_tracked_semaphore_value)

    SIZE = quick.ipk_sync_size(lib.IPK_SYNC_TRACKED_SEMAPHORE, _HOLDERS)
    """Bytes that it takes with 64 holders; for other numbers see `size`."""

    @staticmethod
    def size(holders: int = _HOLDERS) -> int:
        """Bytes that it takes within memory of yours, at a multiple of 64."""
        check_places(holders, "holders")
        size: int = quick.ipk_sync_size(lib.IPK_SYNC_TRACKED_SEMAPHORE, holders)
        return size

    def holders(self) -> list[Holder]:
        """Who has how many permits now; the dead too, until their permits are taken back."""
        return holders_of(self._opened(), self._filename())

    def _release(self) -> None:
        view = self._view
        super()._release()  # nobody takes one through it any more
        quick.ipk_tracked_semaphore_abandon(view)
