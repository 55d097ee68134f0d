"""Deadlines and interruptible waits, written once for every class: poll(2), clock_gettime(2).

All waiting is cut into slices of at most 50 ms. After each slice control is back in the interpreter, so that a
pending Ctrl-C is raised in the main thread whichever thread the kernel gave the signal to, a handle that another
thread closed ends the wait, and a peer that died without a wake-up is noticed. The slice decides when to ask,
never what the answer is. (A wait that a signal handler interrupted goes on with what is left of the time: PEP 475.)
"""

from __future__ import annotations

import errno
import math
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipckit._handle import Handle

SLICE_NS = 50_000_000
_SLICE_MS = SLICE_NS // 1_000_000
NEVER_NS = (1 << 63) - 1  # INT64_MAX: the C core's "for ever"


class Deadline:
    """A moment on CLOCK_MONOTONIC, in nanoseconds; immutable, safe to share between threads."""

    __slots__ = ("at_ns",)

    def __init__(self, at_ns: int) -> None:
        self.at_ns = at_ns

    @classmethod
    def after(cls, timeout: float | None) -> Deadline:
        """The moment *timeout* seconds from now; None is never, 0 has passed already.

        Raises:
            ValueError: *timeout* is negative or NaN.
            TypeError: it is no number, or a bool (``timeout=True`` is a misplaced ``blocking=True``).
        """
        if timeout is None:
            return FOREVER
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
            raise TypeError(f"timeout must be seconds as a float, or None to wait for ever, not {timeout!r}")
        if not timeout >= 0:  # also refuses NaN
            raise ValueError(f"timeout must be 0 or more seconds, or None to wait for ever, not {timeout!r}")
        if timeout == 0:
            return PASSED
        now = time.monotonic_ns()
        if timeout > (NEVER_NS - now) / 1e9:
            return FOREVER
        return cls(now + math.ceil(timeout * 1e9))

    def remaining_ns(self) -> int:
        """Nanoseconds until the deadline, 0 where it has passed."""
        return max(0, self.at_ns - time.monotonic_ns())

    def left(self) -> float | None:
        """What is left, as a timeout for a further call: seconds, None for ever."""
        return None if self is FOREVER else self.remaining_ns() / 1e9

    @property
    def expired(self) -> bool:
        """Whether the moment has passed."""
        return self.at_ns <= time.monotonic_ns()

    def slice_end_ns(self) -> int:
        """The end of the next slice of waiting: in 50 ms, or the deadline where that comes first."""
        return min(self.at_ns, time.monotonic_ns() + SLICE_NS)

    def slice_ms(self) -> int:
        """Milliseconds of the next slice of waiting; rounded up, for to wake early would mean to wait once more."""
        return -(-min(self.remaining_ns(), SLICE_NS) // 1_000_000)


FOREVER = Deadline(NEVER_NS)
PASSED = Deadline(0)


def wait_fd(handle: Handle, fd: int, events: int, deadline: Deadline | None) -> bool:
    """Wait until *fd* is ready for *events* (poll(2) bits), hung up, or in error.

    The caller tries its operation before and after: readiness is a hint, another process may be faster.

    Args:
        handle: the owner of *fd*; it stays open until the wait has ended.
        deadline: None waits for ever.

    Returns:
        False if the deadline has passed.

    Raises:
        ClosedError: *handle* was closed, before the wait or during it.
    """
    from ipckit._native import lib  # whoever never waits never loads it

    # As `with handle._in_use()` does, spelt out, for this is on the way of every wait. Nothing is called between what
    # is done and what undoes it, so that no signal handler can raise there. `pop` is one step; to delete the last is
    # not on a free-threaded Python, where another thread may leave in between.
    users = handle._users
    users += (handle._here,)
    try:
        over = False
        while True:
            handle._check_open()
            if over:
                return False
            ready = lib.ipk_stream_wait(fd, events, _SLICE_MS if deadline is None else deadline.slice_ms())
            if ready > 0:
                return True
            if ready < 0 and ready != -errno.EINTR:
                raise OSError(-ready, os.strerror(-ready))
            over = ready == 0 and deadline is not None and deadline.expired
    finally:
        try:
            users.pop()
        finally:
            if handle._closed:
                handle._release_unless_used()
