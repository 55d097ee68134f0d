"""One thread at a time through an operation that takes several system calls."""

from __future__ import annotations

import errno
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

from ipckit._wait import SLICE_NS, Deadline
from ipckit.errors import syscall_error

if TYPE_CHECKING:
    from ipckit._handle import Handle

_turns: weakref.WeakSet[Turn] = weakref.WeakSet()


class Turn:
    """A lock that a timeout bounds, that the handle's `close` ends, and that a forked child finds free.

    The hot paths spell `take` and `give_back` out, for a call costs as much as the lock.
    """

    __slots__ = ("__weakref__", "inside", "lock")

    def __init__(self) -> None:
        # Reentrant, so that a signal handler which comes back on top of its own thread is told so, and does not hang.
        self.lock = threading.RLock()
        self.inside = False
        _turns.add(self)

    def take(self, handle: Handle, deadline: Deadline | None, verb: str) -> threading.RLock:
        """Wait for the turn; return what `give_back` needs.

        Raises:
            TimeoutExpired: another thread kept the turn (ETIMEDOUT).
            BusyError: this very thread has it, as when a signal handler interrupts an operation to begin another.
            ClosedError: *handle* was closed meanwhile.
        """
        lock = self.lock
        try:
            if not lock.acquire(False) or self.inside:
                self.contend(lock, handle, deadline, verb)
        except BaseException:
            self.let_go(lock)
            raise
        self.inside = True
        return lock

    def give_back(self, lock: threading.RLock) -> None:
        """Let the next thread in.

        A signal handler may raise where this begins. Whoever would then keep the turn spells it out.
        """
        self.inside = False
        lock.release()

    def contend(self, lock: Any, handle: Handle, deadline: Deadline | None, verb: str) -> None:
        """Wait where another thread has *lock*; raise BusyError where this one has it twice."""
        if not lock._is_owned():
            wait_for(lock, handle, deadline, verb)
        if self.inside:
            refuse(lock, handle, verb)

    def let_go(self, lock: Any) -> None:
        """Have *lock* not stay with this thread where an exception of a signal handler came as it had just taken it."""
        while not self.inside and lock._is_owned():
            lock.release()


def wait_for(lock: threading.RLock, handle: Handle, deadline: Deadline | None, verb: str) -> None:
    """Take *lock* from another thread."""
    while not lock.acquire(timeout=_slice(deadline)):
        handle._check_open()
        if deadline is not None and deadline.expired:
            raise syscall_error(errno.ETIMEDOUT, verb, repr(handle), remedy="another thread is inside it")


def refuse(lock: threading.RLock, handle: Handle, verb: str) -> None:
    """Raise BusyError, *lock* having been taken twice."""
    lock.release()
    remedy = "this thread is inside it already; do not call it from a signal handler"
    raise syscall_error(errno.EBUSY, verb, repr(handle), remedy=remedy)


def _slice(deadline: Deadline | None) -> float:
    left_ns = SLICE_NS if deadline is None else min(deadline.remaining_ns(), SLICE_NS)
    return left_ns / 1e9


def _free_all() -> None:
    # The threads that had a turn do not exist in a forked child. Whoever forked gives back the lock that it took.
    for turn in _turns:
        turn.lock = threading.RLock()
        turn.inside = False


os.register_at_fork(after_in_child=_free_all)
