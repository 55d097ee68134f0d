"""The signals that a thread lets wait: pthread_sigmask(3)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ipckit._native_quick import lib as quick
from ipckit._signums import mask_of, names_of, signums_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

__all__ = ["blocked"]


class blocked:  # noqa: N801 - used like a function
    """Block signals in the calling thread for a ``with`` block: they stay pending until they are taken or unblocked.

    It is the first thing to do for `sigwait`, `sigtimedwait` and `SignalFd`, and it is per thread. A signal that was
    sent to the *process* goes to any thread that does not block it, handler or default action included. So enter it in
    the main thread **before other threads are started**: they, and forked children, begin with the mask of their
    maker. The mask outlives exec(3), too: programs that `subprocess` starts inside the block have the signals blocked,
    unlike those of `ipckit.PidFd.spawn`.

    On leaving, those that were not blocked before are unblocked, and what is pending is done at once: a handler runs,
    and if it raises, it does so out of the ``with`` block; where there is none, **the default action of most signals
    ends the process**. Take what is left before, or have a `handler` outside.

    One object is for one block at a time, entered and left by the same thread.

    >>> import signal
    >>> from ipckit.signals import sigtimedwait
    >>> with blocked({signal.SIGTERM}):
    ...     signal.raise_signal(signal.SIGTERM)
    ...     sigtimedwait({signal.SIGTERM}, timeout=1).name
    'SIGTERM'
    """

    __slots__ = ("_added", "_mask", "_thread")

    def __init__(self, signums: Iterable[int]) -> None:
        self._mask = mask_of(signums)
        self._added: int | None = None
        self._thread = 0

    def __enter__(self) -> None:
        if self._added is not None:
            raise ValueError("this `blocked` is entered already; make another one for a nested block")
        self._thread = threading.get_ident()
        self._added = quick.ipk_signals_block(self._mask)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread != threading.get_ident():
            raise ValueError("`blocked` must be left by the thread that entered it: a signal mask is the thread's own")
        added, self._added = self._added, None
        quick.ipk_signals_unblock(added or 0)

    def __repr__(self) -> str:
        return f"<blocked {names_of(signums_of(self._mask))}>"


def check_blocked(mask: int, name: str) -> None:
    """Refuse to wait for what the calling thread would not get.

    Raises:
        ValueError: signals of *mask* are not blocked.
    """
    missing = quick.ipk_signals_unblocked(mask)
    if missing:
        names = names_of(signums_of(missing))
        raise ValueError(
            f"{name}: this thread does not block {names}, so that a handler or the default action would get it and not "
            "this call; put `with ipckit.signals.blocked({...}):` around it, before other threads are started"
        )
