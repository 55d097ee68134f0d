"""A function that a signal interrupts the program with: sigaction(2)."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

from ipckit._native import ffi
from ipckit._native_quick import lib as quick
from ipckit._signums import NEVER_BLOCKED, check_signum, signal_name
from ipckit.errors import check

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

__all__ = ["handler"]


class handler:  # noqa: N801 - used like a function
    """Have *function* called at the signal for a ``with`` block; then everything is again as it was before.

    What was before comes back whole: a Python function, one that C code installed (faulthandler's, a library's),
    whether system calls are restarted, and the mask.

    Python runs handlers in the **main thread** only, between two steps of whatever it is doing, whichever thread the
    kernel gave the signal to; while the main thread is inside a long computation in C, later. So a handler must not:

    * take a lock that the interrupted code may hold: `threading.Lock`, `queue.Queue`, `logging`, a lock of ours. The
      main thread would wait for itself, for ever;
    * use a handle that the interrupted code may be inside of: it gets `BusyError`, or splits a message;
    * print, or write to any buffered file: "reentrant call" is a RuntimeError;
    * wait, or run long: everything else stands still;
    * raise, where it is not meant to end the program: the exception comes up anywhere, between an acquire and its
      ``try``, or at the very end of a ``with`` block, which then leaves undone what it was for. Waits of ipckit end
      with it and stay usable;
    * fork, start threads, or import.

    It may set a flag, call `EventFd.write`, `posix.Semaphore.release`, or `queue.SimpleQueue.put`. (A handler in C is
    held to signal-safety(7), which is far stricter.) Where more is to be done, take the signal out of the way with
    `blocked`, and wait for it in a thread or with a `SignalFd`, where nothing is forbidden.

    *function* is called with the number and the interrupted frame; `signal.SIG_IGN` and `signal.SIG_DFL` will do, too.
    As in "standard signals are not queued", one call may stand for several signals.

    >>> import os
    >>> seen = []
    >>> with handler(signal.SIGUSR1, lambda signum, frame: seen.append(signum)):
    ...     signal.raise_signal(signal.SIGUSR1)
    >>> seen == [signal.SIGUSR1]
    True
    """

    __slots__ = ("_action", "_before", "_function", "_signum")

    def __init__(self, signum: int, function: Callable[[int, FrameType | None], Any] | int | None) -> None:
        self._signum = check_signum(signum)
        if self._signum in NEVER_BLOCKED:
            raise ValueError(f"signum: {signal_name(signum)} can be neither blocked nor caught nor waited for")
        if not callable(function) and function not in (signal.SIG_IGN, signal.SIG_DFL):
            raise TypeError(f"function must be callable, signal.SIG_IGN or signal.SIG_DFL, not {function!r}")
        self._function = function
        self._before: Any = None
        self._action: Any = None

    def __enter__(self) -> None:
        if self._action is not None:
            raise ValueError("this `handler` is entered already; make another one for a nested block")
        _check_thread()
        action = ffi.new("struct ipk_signals_action *")
        check(quick.ipk_signals_action_get(self._signum, action), "sigaction", signal_name(self._signum))
        self._before = signal.signal(self._signum, self._function)
        self._action = action

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _check_thread()
        # None: C code has installed it. Python gets a stand-in that does nothing; the kernel has the real one back.
        action, self._action = self._action, None
        before, self._before = self._before, None
        try:
            signal.signal(self._signum, _nothing if before is None else before)
        finally:
            check(quick.ipk_signals_action_put(self._signum, action), "sigaction", signal_name(self._signum))


def _check_thread() -> None:
    if threading.current_thread() is not threading.main_thread():
        raise ValueError(
            "handlers are set and put back by the main thread, which also runs them; in other threads wait for "
            "signals, with ipckit.signals.sigtimedwait or SignalFd"
        )


def _nothing(signum: int, frame: FrameType | None) -> None:
    """Stands for a handler that Python can't see."""
