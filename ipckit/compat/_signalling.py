"""What the drop-ins for Condition, Event and Barrier have in common."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

from ipckit.compat._placed import PlacedBarrier, PlacedCondition, PlacedEvent
from ipckit.compat._synchronize import Lockable, Shared, deadline_of
from ipckit.errors import NotOwnerError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Result = TypeVar("Result")

_ALL = (1 << 32) - 1


class Conditional(Shared):
    """Condition."""

    __slots__ = ("_lock", "acquire", "release")

    acquire: Callable[..., bool]
    release: Callable[[], None]

    _handle: PlacedCondition
    _lock: Lockable
    _LOCK: ClassVar[type[Lockable]]
    """What it makes for itself."""
    _UNHELD: ClassVar[type[Exception]] = NotOwnerError

    def __init__(self, lock: Lockable | None = None) -> None:
        """Make one.

        Args:
            lock: a Lock or RLock of this package; None makes an RLock.

        Raises:
            TypeError: another lock, of which other processes would know nothing.
        """
        if lock is None:
            lock = self._LOCK()
        if not isinstance(lock, Lockable):
            raise TypeError(f"lock must be a Lock or RLock of ipckit.compat, which processes share, not {lock!r}")
        self._adopt(PlacedCondition.placed(lock._handle), lock)

    def _adopt(self, handle: PlacedCondition, lock: Lockable | None = None) -> None:
        assert lock is not None
        self._handle = handle
        self._lock = lock
        self.acquire = lock.acquire  # type: ignore[attr-defined]
        self.release = lock.release

    def _parts(self) -> tuple[Any, ...]:
        return self._handle, self._lock

    def locked(self) -> bool:
        """Whether somebody has its lock now."""
        return self._lock.locked()

    def __enter__(self) -> bool:
        return self._lock.__enter__()

    def __exit__(self, *error: object) -> None:
        self._lock.__exit__()

    def wait(self, timeout: float | None = None) -> bool:
        """Give the lock back, however often it was acquired; wait to be notified; take it again.

        Args:
            timeout: seconds; None waits for ever. 0 or less does not wait, and keeps the lock.

        Returns:
            Whether it was notified in that time.
        """
        deadline = deadline_of(timeout)
        try:
            return bool(self._handle._sleep(deadline))
        except NotOwnerError:
            raise self._UNHELD("cannot wait on un-acquired lock") from None

    def wait_for(self, predicate: Callable[[], Result], timeout: float | None = None) -> Result:
        """Wait until *predicate*, called with the lock held, is true, or the time is up; return what it said last."""
        deadline = deadline_of(timeout)
        while not (result := predicate()) and not deadline.expired:
            try:
                self._handle._sleep(deadline)
            except NotOwnerError:
                raise self._UNHELD("cannot wait on un-acquired lock") from None
        return result

    def notify(self, n: int = 1) -> None:
        """Wake the *n* that have waited longest, or fewer if fewer wait."""
        try:
            self._handle.notify(min(max(n, 0), _ALL))
        except NotOwnerError:
            raise self._UNHELD("cannot notify on un-acquired lock") from None

    def notify_all(self) -> None:
        """Wake all who wait."""
        self.notify(_ALL)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}({self._lock!r}, {self._handle.n_waiting})>"


class Flag(Shared):
    """Event."""

    __slots__ = ()

    _handle: PlacedEvent

    def __init__(self) -> None:
        self._adopt(PlacedEvent.placed())

    def is_set(self) -> bool:
        """Whether it is set now."""
        return self._handle.is_set()

    def set(self) -> None:
        """Set it, and wake all who wait."""
        self._handle.set()

    def clear(self) -> None:
        """Make it not set."""
        self._handle.clear()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set.

        Args:
            timeout: seconds; None waits for ever, 0 or less not at all.

        Returns:
            False if it was not set in that time.
        """
        return self._handle.wait(timeout if timeout is None or timeout > 0 else 0.0)

    def _state(self) -> str:
        return "set" if self.is_set() else "unset"


class Meeting(Shared):
    """Barrier."""

    __slots__ = ("_attends", "_timeout")

    _handle: PlacedBarrier

    def __init__(self, parties: int, action: Callable[[], object] | None = None, timeout: float | None = None) -> None:
        """Make one that nobody waits at.

        Args:
            parties: how many wait for one another, 1 to 4096.
            action: called by the last of them, in its process, before any passes.
            timeout: of `wait`, where that is given none: seconds; None waits for ever.
        """
        self._adopt(PlacedBarrier.placed(parties, action), timeout)

    def _adopt(self, handle: PlacedBarrier, timeout: float | None = None) -> None:
        self._handle = handle
        self._timeout = timeout
        self._attends = 0  # the process that has taken part

    def _parts(self) -> tuple[Any, ...]:
        return self._handle, self._timeout

    @property
    def parties(self) -> int:
        """How many wait for one another."""
        return self._handle.parties

    @property
    def n_waiting(self) -> int:
        """How many wait at this moment."""
        return self._handle.n_waiting

    @property
    def broken(self) -> bool:
        """Whether nobody passes until `reset`."""
        return self._handle.broken

    def wait(self, timeout: float | None = None) -> int:
        """Wait until all parties have come.

        Args:
            timeout: seconds, after which the barrier is broken for all; None: as the constructor said.

        Returns:
            How many had come before: 0 to `parties` - 1, another number for each.

        Raises:
            BrokenBarrierError: the barrier is broken, was reset, or our time is up.
        """
        if self._attends != os.getpid():
            self._attend()
        if timeout is None:
            timeout = self._timeout
        return self._handle.wait(timeout if timeout is None or timeout > 0 else 0.0)

    def reset(self) -> None:
        """Make the barrier whole and empty; whoever waits gets BrokenBarrierError."""
        self._handle.reset()

    def abort(self) -> None:
        """Break the barrier: whoever waits, and whoever comes, gets BrokenBarrierError until `reset`."""
        self._handle.abort()

    def _attend(self) -> None:
        """A process that ends of its own accord is not missed, as it would be if it were killed."""
        from multiprocessing.util import Finalize  # children of multiprocessing end without atexit

        handle = self._handle
        Finalize(self, _forget, (handle,), exitpriority=0)
        self._attends = os.getpid()

    def _state(self) -> str:
        return "broken" if self.broken else f"waiters={self.n_waiting}/{self.parties}"


def _forget(handle: PlacedBarrier) -> None:
    if not handle.closed:
        handle.forget()
