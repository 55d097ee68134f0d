"""Signals that end a command, but not between the taking of a message and the writing of it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from typing_extensions import Self

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SLICE = 0.05  # seconds: a wait looks so often whether it is to end


class Postponed:
    """For a ``with`` block: Ctrl-C, SIGTERM and SIGHUP raise nothing inside; the first is raised behind it.

    The block looks at `wanted` before it takes something, and waits in slices, so that it does look. A second signal
    ends it at once: whoever sends it does not want to wait any longer.
    """

    def __init__(self) -> None:
        self._signum = 0
        self._before: dict[int, Any] = {}

    @property
    def wanted(self) -> bool:
        """Whether the block is to end."""
        return self._signum != 0

    def __enter__(self) -> Self:
        for signum in _ENDING:
            before = signal.getsignal(signum)
            if callable(before):  # not what `nohup` or a shell's `&` ignores
                self._before[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for signum, before in self._before.items():
            signal.signal(signum, before)
        if self._signum and (error is None or isinstance(error, Exception)):
            self._before[self._signum](self._signum, None)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self._signum:
            self._before[signum](signum, frame)
        self._signum = signum
