"""The locks of `threading`, for processes as well; every other name is the standard library's own.

Processes share what they inherit by fork(2), or get as an argument of a multiprocessing.Process. Whoever is killed
costs the others some 50 ms, and an OwnerDiedWarning where it had a lock.
"""

# ruff: noqa: PLC0414  # to a type checker, the alias says that others may have the name from here

from __future__ import annotations

import threading as _standard
from typing import TYPE_CHECKING

from ipckit._wait import FOREVER, PASSED, Deadline
from ipckit.compat._rest import rest_of
from ipckit.compat._signalling import Conditional, Flag, Meeting
from ipckit.compat._synchronize import Counting, Lockable, deadline_of
from ipckit.errors import NotOwnerError

if TYPE_CHECKING:
    from threading import TIMEOUT_MAX as TIMEOUT_MAX
    from threading import BrokenBarrierError as BrokenBarrierError
    from threading import ExceptHookArgs as ExceptHookArgs
    from threading import Thread as Thread
    from threading import ThreadError as ThreadError
    from threading import Timer as Timer
    from threading import active_count as active_count
    from threading import current_thread as current_thread
    from threading import enumerate as enumerate  # noqa: A004
    from threading import excepthook as excepthook
    from threading import get_ident as get_ident
    from threading import get_native_id as get_native_id
    from threading import getprofile as getprofile
    from threading import gettrace as gettrace
    from threading import local as local
    from threading import main_thread as main_thread
    from threading import setprofile as setprofile
    from threading import settrace as settrace
    from threading import stack_size as stack_size
else:
    __getattr__, __dir__ = rest_of(_standard, __name__)

__all__ = ["Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"]

if not TYPE_CHECKING:  # for ``import *``
    __all__ += [name for name in _standard.__all__ if name not in __all__]


class _Lockable(Lockable):
    __slots__ = ()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002
        """Take it, waiting for it.

        Args:
            blocking: False: take it if it is to be had now.
            timeout: seconds; -1 waits for ever.

        Returns:
            False if it was not to be had in that time.
        """
        deadline = FOREVER if blocking and timeout == -1 else _lock_deadline(blocking, timeout)
        handle = self._handle
        if rc := handle._lane.take():
            return bool(handle._acquire_slowly(rc, deadline))
        return True


class Lock(_Lockable):
    """As `threading.Lock`, for processes as well.

    As there, it has no owner who would have to be the one to give it back: **any thread of any process may release
    it**, and who has it and acquires it again waits. But the process that took it answers for it: if that one is
    killed, ends, or collects its Lock object while nobody has released it, the next one gets it, with an
    OwnerDiedWarning, for what the lock protects may be half-changed.

    Threads: safe to share. fork(2): the child shares it; a lock that its parent holds stays the parent's.

    >>> lock = Lock()
    >>> with lock:
    ...     lock.locked(), lock.acquire(timeout=0.01)
    (True, False)
    """

    __slots__ = ()

    _RECURSIVE = False

    def __repr__(self) -> str:
        return f"<{'locked' if self.locked() else 'unlocked'} {_place(self)}>"


class RLock(_Lockable):
    """As `threading.RLock`, for processes as well.

    Its owner, a thread, may acquire it again, and nobody else releases it. If its process is killed or ends, the next
    one gets it, with an OwnerDiedWarning. Threads: safe to share. fork(2): the child shares it, and owns nothing.

    >>> lock = RLock()
    >>> with lock, lock:
    ...     lock.acquire(blocking=False)
    True
    >>> lock.release()
    """

    __slots__ = ()

    _RECURSIVE = True

    def __repr__(self) -> str:
        owner = self._handle.owner()
        thread, depth = (owner.thread, owner.depth) if owner else (0, 0)
        return f"<{'locked' if owner else 'unlocked'} {_place(self, f'owner={thread} count={depth} ')}>"

    def _refused(self) -> Exception:
        self._handle._opened()
        return NotOwnerError("cannot release un-acquired lock")

    # What threading.Condition asks of such a lock.

    def _recursion_count(self) -> int:
        owner = self._handle.owner() if self._is_owned() else None
        return owner.depth if owner else 0

    def _release_save(self) -> int:
        depth = self._recursion_count()
        if not depth:
            raise self._refused()
        for _ in range(depth):
            self.release()
        return depth

    def _acquire_restore(self, depth: int) -> None:
        for _ in range(depth):
            self.acquire()


class Semaphore(Counting):
    """As `threading.Semaphore`, for processes as well.

    Anybody may release, so nobody owns a permit: **a process that is killed with one never gives it back**.
    `ipckit.sync.TrackedSemaphore` takes it back. Threads: safe to share. fork(2): the child shares it.

    >>> semaphore = Semaphore(2)
    >>> with semaphore, semaphore:
    ...     semaphore.acquire(blocking=False)
    False
    """

    __slots__ = ()

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:  # noqa: FBT001, FBT002
        """Take a permit, waiting for one.

        Args:
            blocking: False: take one if there is one now.
            timeout: seconds; None waits for ever, 0 or less not at all.

        Returns:
            False if there was no permit in that time.
        """
        if not blocking and timeout is not None:
            raise ValueError("can't specify timeout for non-blocking acquire")
        handle = self._handle
        if rc := handle._lane.take():
            return handle._acquire_slowly(rc, deadline_of(timeout) if blocking else PASSED)
        return True

    def release(self, n: int = 1) -> None:
        """Give *n* permits."""
        if n < 1:
            raise ValueError("n must be one or more")
        self._handle.release(n)

    def _state(self) -> str:
        return f"value={self._handle.value}"


class BoundedSemaphore(Semaphore):
    """As `threading.BoundedSemaphore`, for processes as well: to release more than were acquired is a ValueError.

    >>> BoundedSemaphore(1).release()
    Traceback (most recent call last):
    ValueError: semaphore released too often: it is bounded, and has 1 of its permits already
    """

    __slots__ = ()

    _BOUNDED = True

    def _state(self) -> str:
        return f"value={self._handle.value}/{self._initial}"


class Condition(Conditional):
    """As `threading.Condition`, for processes as well; on a Lock or RLock of this module or an RLock of its own.

    Waiters and notifiers may be killed anywhere: no notification is lost with them. If the owner of the lock is, then
    whoever gets it next has an OwnerDiedWarning. At most 256 wait at a time. A wake-up for no reason is rare and
    possible: wait in a loop, or with `wait_for`. Threads: safe to share. fork(2): the child shares it, and waits for
    nothing.

    >>> condition = Condition()
    >>> with condition:
    ...     condition.notify()
    ...     condition.wait(timeout=0.01)
    False
    """

    __slots__ = ()

    _LOCK = RLock


class Event(Flag):
    """As `threading.Event`, for processes as well. Nobody's death can hang or spoil it. Lock-free.

    >>> event = Event()
    >>> event.set()
    >>> event.wait(timeout=1)
    True
    """

    __slots__ = ()


class Barrier(Meeting):
    """As `threading.Barrier`, for processes as well.

    It **breaks for all** also if a process is killed that waits, or that took part in the last round and has not come
    again; not if such a process ends by itself. Threads: safe to share; a party is a thread. fork(2): the child shares
    it, and has taken part in nothing.

    >>> Barrier(parties=1).wait()
    0
    """

    __slots__ = ()


def _lock_deadline(blocking: bool, timeout: float) -> Deadline:  # noqa: FBT001
    if not blocking:
        if timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        return PASSED
    if timeout < 0:
        raise ValueError("timeout value must be a non-negative number")
    if timeout > _standard.TIMEOUT_MAX:
        raise OverflowError("timeout value is too large")
    return Deadline.after(float(timeout))


def _place(lock: object, owner: str = "") -> str:
    cls = type(lock)
    return f"{cls.__module__}.{cls.__qualname__} object {owner}at {id(lock):#x}"
