"""The real-time signal that ends waits for which the kernel has no timeout: timer_create(2), signal(7).

System V calls and file locks sleep until they are done or a signal handler runs. So a timer of the waiting thread
sends it a signal, SIGRTMAX - 3 unless you choose another one; its handler does nothing. It is installed at the first
wait that blocks, and only if the signal has no handler of yours. Programs that never wait like this never meet it.
"""

from __future__ import annotations

import errno
import os
import signal
from typing import TYPE_CHECKING

from ipckit._arguments import check_int
from ipckit.errors import LimitError, check, syscall_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit._handle import Handle
    from ipckit._wait import Deadline

__all__ = ["signal_number", "use_signal"]


def signal_number() -> int:
    """The signal that is used."""
    from ipckit._native import lib

    return lib.ipk_interrupt_signal()


def use_signal(signum: int) -> None:
    """Use another signal from the next wait on, in all threads, and install its handler.

    The handler of the signal that was used before stays: timers of other threads may still send it.

    Args:
        signum: signal.SIGRTMIN to signal.SIGRTMAX.

    Raises:
        BusyError: the program has a handler for *signum* (EBUSY).
    """
    from ipckit._native import lib

    check_int(signum, "signum", signal.SIGRTMIN, signal.SIGRTMAX, "a real-time signal")
    result = lib.ipk_interrupt_use(signum)
    if result == -errno.EBUSY:
        raise _taken(signum)
    check(result, "sigaction", str(signum))


def until(handle: Handle, deadline: Deadline, call: Callable[[int], int]) -> int:
    """Make *call* until it is done, fails, or the deadline has passed; it was tried without waiting before.

    Args:
        handle: whose resource *call* uses; it stays until the wait has ended.
        call: blocks until the moment that it is given (ns, CLOCK_MONOTONIC) at most: a function of the C core that
            ends itself by `ipk_interrupt_arm`.

    Returns:
        What *call* returned: a result, or ``-errno``; ``-ETIMEDOUT`` once the deadline has passed.

    Raises:
        ClosedError: *handle* was closed.
        BusyError: the program has a handler for our signal (EBUSY).
        LimitError: the kernel gives no timer (EAGAIN).
    """
    result = -errno.EINTR
    with handle._in_use():
        while True:
            if result not in (-errno.ETIMEDOUT, -errno.EINTR):
                break
            if deadline.expired:
                return -errno.ETIMEDOUT
            result = call(deadline.slice_end_ns())
            if result >= 0:
                return result
            handle._check_open()
    if result == -errno.EBUSY:
        raise _taken(signal_number())
    if result == -errno.ENOBUFS:
        raise _no_timer()
    return result


def _taken(signum: int) -> Exception:
    remedy = "the program has a handler of its own for it; choose another signal with ipckit.interrupt.use_signal"
    return syscall_error(errno.EBUSY, "sigaction", f"signal {signum}", remedy=remedy)


def _no_timer() -> Exception:
    text = f"{os.strerror(errno.EAGAIN)} (raise RLIMIT_SIGPENDING: ulimit -i)"
    error = LimitError(errno.EAGAIN, text)
    error.syscall = "timer_create"
    return error
