"""The locks and queues of `multiprocessing`, which survive the death of anyone; all else is the standard library's own.

Those of a context are ours as well, but for its SimpleQueue, and so is the lock of a Value or an Array.

Processes share what they inherit by fork(2), or get as an argument of a Process, whatever its start method. There is
no resource tracker. Whoever is killed costs the others some 50 ms, and an OwnerDiedWarning where it had a lock.
"""

# ruff: noqa: PLC0414  # to a type checker, the alias says that others may have the name from here

from __future__ import annotations

import multiprocessing as _standard
import os
from threading import current_thread, get_native_id, main_thread
from typing import TYPE_CHECKING, TypeVar

from ipckit._wait import PASSED
from ipckit.compat._queues import Joinable, SimpleQueue
from ipckit.compat._rest import rest_of
from ipckit.compat._semlock import Counted, Owned
from ipckit.compat._signalling import Conditional, Flag, Meeting
from ipckit.compat._synchronize import deadline_of
from ipckit.errors import NotOwnerError
from ipckit.ring.queue import Queue

if TYPE_CHECKING:
    from multiprocessing import AuthenticationError as AuthenticationError
    from multiprocessing import BufferTooShort as BufferTooShort
    from multiprocessing import Manager as Manager
    from multiprocessing import Pipe as Pipe
    from multiprocessing import Pool as Pool
    from multiprocessing import Process as Process
    from multiprocessing import ProcessError as ProcessError
    from multiprocessing import RawArray as RawArray
    from multiprocessing import RawValue as RawValue
    from multiprocessing import TimeoutError as TimeoutError  # noqa: A004
    from multiprocessing import active_children as active_children
    from multiprocessing import allow_connection_pickling as allow_connection_pickling
    from multiprocessing import cpu_count as cpu_count
    from multiprocessing import current_process as current_process
    from multiprocessing import freeze_support as freeze_support
    from multiprocessing import get_all_start_methods as get_all_start_methods
    from multiprocessing import get_logger as get_logger
    from multiprocessing import get_start_method as get_start_method
    from multiprocessing import log_to_stderr as log_to_stderr
    from multiprocessing import parent_process as parent_process
    from multiprocessing import set_executable as set_executable
    from multiprocessing import set_forkserver_preload as set_forkserver_preload
    from multiprocessing import set_start_method as set_start_method

    from ipckit.compat._contexts import Array as Array
    from ipckit.compat._contexts import Value as Value
    from ipckit.compat._contexts import get_context as get_context
else:
    __getattr__, __dir__ = rest_of(
        _standard, __name__, ours={"Array", "Value", "get_context"}, home="ipckit.compat._contexts"
    )

__all__ = [
    "Barrier",
    "BoundedSemaphore",
    "Condition",
    "Event",
    "JoinableQueue",
    "Lock",
    "Queue",
    "RLock",
    "Semaphore",
    "SimpleQueue",
]

if not TYPE_CHECKING:  # for ``import *``
    __all__ += [name for name in _standard.__all__ if name not in __all__]


T = TypeVar("T")


class _NotTakenError(NotOwnerError, ValueError):
    """What multiprocessing calls a ValueError, and threading a RuntimeError."""


class _NotHeldError(NotOwnerError, AssertionError):
    """What multiprocessing calls an AssertionError, and threading a RuntimeError."""


class _Lockable(Owned):
    __slots__ = ()

    _UNSHARED = RuntimeError

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:  # noqa: FBT001, FBT002
        """Take it, waiting for it.

        Args:
            block: False: take it if it is to be had now, whatever the *timeout*.
            timeout: seconds; None waits for ever, 0 or less not at all.

        Returns:
            False if it was not to be had in that time.
        """
        handle = self._handle
        if rc := handle._lane.take():
            return bool(handle._acquire_slowly(rc, deadline_of(timeout) if block else PASSED))
        return True

    def _who(self) -> tuple[str, int | str]:
        """Who has it, and how often."""
        owner = self._handle.owner()
        if owner is None:
            return "None", 0
        if owner.pid != os.getpid():
            return "SomeOtherProcess", "nonzero"
        if owner.thread != get_native_id():
            return "SomeOtherThread", "nonzero"
        name = _standard.current_process().name
        thread = current_thread()
        return (name if thread is main_thread() else f"{name}|{thread.name}"), owner.depth


class Lock(_Lockable):
    """As `multiprocessing.Lock`, but that a killed owner does not lose it for ever.

    As there, **any thread of any process may release it**, and who has it and acquires it again waits. But the process
    that took it answers for it: if that one is killed, ends, or collects its Lock object while nobody has released it,
    the next one gets it, with an OwnerDiedWarning, for what the lock protects may be half-changed.

    Threads: safe to share. fork(2): the child shares it; a lock that its parent holds stays the parent's.

    >>> lock = Lock()
    >>> with lock:
    ...     print(lock, lock.acquire(block=False))
    <Lock(owner=MainProcess)> False
    """

    __slots__ = ()

    _RECURSIVE = False

    def _refused(self) -> Exception:
        self._handle._opened()
        return _NotTakenError("semaphore or lock released too many times")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(owner={self._who()[0]})>"


class RLock(_Lockable):
    """As `multiprocessing.RLock`: its owner, a thread, may acquire it again, and nobody else releases it.

    If the owner's process is killed or ends, the next one gets it, with an OwnerDiedWarning. Threads: safe to share.
    fork(2): the child shares it, and owns nothing.

    >>> lock = RLock()
    >>> with lock, lock:
    ...     print(lock)
    <RLock(MainProcess, 2)>
    """

    __slots__ = ()

    _RECURSIVE = True

    def _refused(self) -> Exception:
        self._handle._opened()
        return _NotHeldError("attempt to release recursive lock not owned by thread")

    def __repr__(self) -> str:
        name, depth = self._who()
        return f"<{type(self).__name__}({name}, {depth})>"


class Semaphore(Counted):
    """As `multiprocessing.Semaphore`.

    Anybody may release, so nobody owns a permit: **a process that is killed with one never gives it back**.
    `ipckit.sync.TrackedSemaphore` takes it back. Threads: safe to share. fork(2): the child shares it.

    >>> semaphore = Semaphore(2)
    >>> with semaphore:
    ...     semaphore.get_value()
    1
    """

    __slots__ = ()

    _UNSHARED = RuntimeError

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:  # noqa: FBT001, FBT002
        """Take a permit, waiting for one.

        Args:
            block: False: take one if there is one now, whatever the *timeout*.
            timeout: seconds; None waits for ever, 0 or less not at all.

        Returns:
            False if there was no permit in that time.
        """
        handle = self._handle
        if rc := handle._lane.take():
            return handle._acquire_slowly(rc, deadline_of(timeout) if block else PASSED)
        return True

    def release(self) -> None:
        """Give a permit."""
        self._handle.release()

    def get_value(self) -> int:
        """The permits there are now."""
        return self._handle.value

    def locked(self) -> bool:
        """Whether there is none now."""
        return self._handle.value == 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(value={self._handle.value})>"


class BoundedSemaphore(Semaphore):
    """As `multiprocessing.BoundedSemaphore`: to release more than were acquired is a ValueError.

    >>> print(BoundedSemaphore(1))
    <BoundedSemaphore(value=1, maxvalue=1)>
    """

    __slots__ = ()

    _BOUNDED = True

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(value={self._handle.value}, maxvalue={self._initial})>"


class Condition(Conditional):
    """As `multiprocessing.Condition`, on a Lock or RLock of this module or an RLock of its own.

    Waiters and notifiers may be killed anywhere: no notification is lost with them, and nobody hangs. If the owner of
    the lock is, then whoever gets it next has an OwnerDiedWarning. At most 256 wait at a time. A wake-up for no reason
    is rare and possible: wait in a loop, or with `wait_for`. Threads: safe to share. fork(2): the child shares it, and
    waits for nothing.

    >>> condition = Condition()
    >>> with condition:
    ...     condition.notify()
    ...     condition.wait(timeout=0.01)
    False
    """

    __slots__ = ()

    _LOCK = RLock
    _UNHELD = _NotHeldError
    _UNSHARED = RuntimeError


class Event(Flag):
    """As `multiprocessing.Event`, but that a killed waiter does not hang `set`. Nobody's death can spoil it. Lock-free.

    >>> event = Event()
    >>> event.set()
    >>> event.wait(timeout=1)
    True
    """

    __slots__ = ()

    _UNSHARED = RuntimeError

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} at {id(self):#x} {self._state()}>"


class Barrier(Meeting):
    """As `multiprocessing.Barrier`.

    It **breaks for all** also if a process is killed that waits, or that took part in the last round and has not come
    again; not if such a process ends by itself. Threads: safe to share; a party is a thread. fork(2): the child shares
    it, and has taken part in nothing.

    >>> Barrier(parties=1).wait()
    0
    """

    __slots__ = ()

    _UNSHARED = RuntimeError


class JoinableQueue(Joinable[T]):
    """As `multiprocessing.JoinableQueue`: a `Queue` that knows how many of its items are still being worked at.

    Whoever gets an item says `task_done` afterwards; if it is killed before, `join` waits in vain, as it does there.

    >>> queue = JoinableQueue()
    >>> queue.put("work")
    >>> queue.get()
    'work'
    >>> queue.task_done()
    >>> queue.join()
    >>> queue.close()
    """

    def _locks(self) -> tuple[Condition, Semaphore]:
        return Condition(), Semaphore(0)
