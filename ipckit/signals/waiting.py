"""To wait for signals in place of handling them: sigwaitinfo(2), sigtimedwait(2)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ipckit._native import lib
from ipckit._native_quick import lib as quick
from ipckit._signums import mask_of, names_of, signums_of
from ipckit._wait import FOREVER, Deadline
from ipckit.errors import check, syscall_error
from ipckit.signals.information import info_of, new_info
from ipckit.signals.masking import check_blocked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipckit.signals.information import SignalInfo

__all__ = ["sigtimedwait", "sigwait"]

_ASK_AGAIN = (-errno.EAGAIN, -errno.EINTR)


def sigtimedwait(signums: Iterable[int], timeout: float | None = None) -> SignalInfo | None:
    """Wait until one of *signums* is pending for this thread or its process, and take it: man 2 sigtimedwait.

    Standard signals come before real-time ones, lower numbers before higher ones, older ones before newer ones of the
    same number. The signals must be blocked, by `blocked`, in **all** threads, or one that does not block them gets
    them; of the calling thread this is checked. Several threads may wait for the same signals: each signal goes to one
    of them.

    Handlers of other signals run meanwhile, and the wait goes on; Ctrl-C ends it in the main thread. In another thread
    nothing does but a signal that it waits for (`signal.pthread_kill`); a `SignalFd` can be closed.

    Args:
        timeout: seconds; None waits for ever, 0 only looks.

    Returns:
        The signal, or None if the time is up.

    Raises:
        ValueError: one of them is not blocked, can't be waited for, or there are none.
    """
    return _wait(mask_of(signums), timeout)


def sigwait(signums: Iterable[int], timeout: float | None = None) -> SignalInfo:
    """Wait until one of *signums* is pending, and take it: sigwaitinfo(2); `sigtimedwait` that does not return None.

    Raises:
        TimeoutExpired: none came (ETIMEDOUT).
    """
    mask = mask_of(signums)
    info = _wait(mask, timeout)
    if info is None:
        raise syscall_error(errno.ETIMEDOUT, "sigtimedwait", names_of(signums_of(mask)))
    return info


def _wait(mask: int, timeout: float | None) -> SignalInfo | None:
    deadline = FOREVER if timeout is None else Deadline.after(timeout)
    if not mask:
        raise ValueError("signums must name at least one signal, or there is nothing to wait for")
    check_blocked(mask, "signums")
    info = new_info()
    result = quick.ipk_signals_take(mask, info)
    while result <= 0:
        if result not in _ASK_AGAIN:
            check(result, "sigtimedwait")
        if deadline.expired:
            return None
        result = lib.ipk_signals_wait(mask, info, deadline.slice_end_ns())
    return info_of(info)
