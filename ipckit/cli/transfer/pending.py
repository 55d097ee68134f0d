"""Signals that wait until it is certain whether something was taken: a lock, a token."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from ipckit._wait import Deadline
from ipckit.cli.transfer.postponed import SLICE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from typing_extensions import Self


class Pending:
    """For a ``with`` block: signals that come meanwhile are blocked, and have their effect behind it.

    Attributes:
        signums: those that are blocked; not what is ignored, as `nohup` and a shell's `&` have it.
        before: the mask that was in force.
    """

    def __init__(self, signums: Iterable[int]) -> None:
        self.signums = {signum for signum in signums if signal.getsignal(signum) != signal.SIG_IGN}
        self.before: set[int] = set()

    def __enter__(self) -> Self:
        self.before = set(signal.pthread_sigmask(signal.SIG_BLOCK, self.signums))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self.before)

    def acquire(self, take: Callable[[float], Any], timeout: float | None) -> bool:
        """Take something, waiting for it; False if there was none in that time, or a signal that ends us came first.

        Args:
            take: waits so many seconds at most, and returns whether it has it.
            timeout: seconds for all of it; None waits for ever.
        """
        deadline = Deadline.after(timeout)
        # The end of a child is no reason to give up: a shell that became this command may have left it some.
        ending = self.signums - {signal.SIGCHLD}
        while True:
            left = deadline.left()
            if take(SLICE if left is None else min(SLICE, left)):
                return True
            if deadline.expired or not ending.isdisjoint(signal.sigpending()):
                return False

    def forget(self) -> None:
        """Let the signals that came have no effect: what they were to prevent is done."""
        while signal.sigtimedwait(self.signums, 0) is not None:
            pass
