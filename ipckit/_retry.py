"""What follows when the kernel says "would block": wait and try again, or ask again at growing intervals."""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING, TypeVar

from ipckit._wait import Deadline, wait_fd
from ipckit.errors import BrokenPeerError, ClosedError, IPCError, syscall_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit._handle import FdHandle, Handle

T = TypeVar("T")

_FIRST_PAUSE_NS = 1_000_000
_LONGEST_PAUSE_NS = 50_000_000  # also bounds how late a closed handle or a Ctrl-C in another thread is seen


def retry(
    handle: FdHandle,
    events: int,
    deadline: Deadline | None,
    attempt: Callable[[], T],
    syscall: str,
    *,
    truthful: bool = True,
) -> T:
    """Wait for *events* (poll(2) bits) and call *attempt*, until it does not raise BlockingIOError.

    Args:
        truthful: False where poll(2) can call the descriptor ready though *attempt* would have to wait; then the
            kernel is asked again at intervals that grow from 1 ms to 50 ms, which spares the processor.

    Raises:
        TimeoutExpired: the deadline has passed (ETIMEDOUT).
        ClosedError: *handle* was closed.
    """
    turn = 0
    while True:
        if not wait_fd(handle, handle._fd, events, deadline):
            raise expired(handle, syscall)
        try:
            return attempt()
        except BlockingIOError:
            pass
        if not truthful:
            if not pause(deadline, turn):
                raise expired(handle, syscall)
            turn += 1


def pause(deadline: Deadline | None, turn: int) -> bool:
    """Sleep 1 ms on the first *turn* (0), twice as long on each further one up to 50 ms; False once time is up."""
    length_ns = min(_FIRST_PAUSE_NS << min(turn, 8), _LONGEST_PAUSE_NS)
    if deadline is not None:
        length_ns = min(length_ns, deadline.remaining_ns())
        if length_ns == 0:
            return False
    time.sleep(length_ns / 1e9)
    return True


def patiently(attempt: Callable[[], int], seconds: float) -> int:
    """Call *attempt*, at growing intervals for so many *seconds*, as long as it returns ``-EAGAIN``.

    Returns:
        What it returned last.
    """
    rc = attempt()
    if rc == -errno.EAGAIN:
        deadline = Deadline.after(seconds)
        turn = 0
        while rc == -errno.EAGAIN and pause(deadline, turn):
            rc = attempt()
            turn += 1
    return rc


def failure(handle: Handle, error: OSError, syscall: str) -> IPCError:
    """The exception for *error* of *syscall* on *handle*'s descriptor; ClosedError if that is why it failed."""
    if handle._closed:
        return ClosedError(f"{type(handle).__name__} is closed")
    if error.errno == errno.ETIMEDOUT:  # the kernel gave a connection up; a wait of ours that gave up is `expired`
        lost = BrokenPeerError(errno.ETIMEDOUT, "The other side no longer answers", repr(handle))
        lost.syscall = syscall
        return lost
    return syscall_error(error.errno or errno.EIO, syscall, repr(handle))


def expired(handle: Handle, syscall: str) -> IPCError:
    """The exception for a wait of *syscall* on *handle* that gave up."""
    return syscall_error(errno.ETIMEDOUT, syscall, repr(handle))
