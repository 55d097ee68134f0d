"""A screen that is drawn again and again, and given back as it was."""

from __future__ import annotations

import os
import shutil
import signal
import time
from typing import TYPE_CHECKING

from ipckit.cli.terminal.screen import is_terminal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType, TracebackType
    from typing import TextIO

    from typing_extensions import Self

# The other screen, no cursor, and no new line where one is too long.
_ENTER = "\033[?1049h\033[?25l\033[?7l\033[H\033[2J"
_LEAVE = "\033[?7h\033[?25h\033[?1049l"


def can_be_drawn(file: TextIO) -> bool:
    """Whether it is a terminal on which the cursor can be moved."""
    return is_terminal(file) and os.environ.get("TERM", "dumb") != "dumb"


class Live:
    """A terminal's other screen, until the end of `with`: what was there before comes back, also around ^Z.

    Args:
        file: a terminal that `can_be_drawn`.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._last: list[str] = []
        self._before: object = None
        self._busy = False
        self._told_to_stop = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGTSTP, self._stop)
        self._write(_ENTER)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, traceback: TracebackType | None) -> None:
        self._busy = True
        self._put(_LEAVE)
        signal.signal(signal.SIGTSTP, self._before)  # type: ignore[arg-type]  # what signal.signal returned
        if self._told_to_stop:
            os.kill(os.getpid(), signal.SIGTSTP)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows, now."""
        return shutil.get_terminal_size()

    def draw(self, lines: Iterable[str]) -> None:
        """Show these lines; what does not fit beside or below is left out."""
        rows = self.size[1]
        self._last = list(lines)
        shown = self._last[:rows]
        self._write("\033[H" + "\r\n".join(f"{line}\033[K" for line in shown) + "\033[J")

    def _write(self, text: str) -> None:
        self._busy = True
        try:
            self._put(text)
        finally:
            self._busy = False
        if self._told_to_stop:
            self._suspend()

    def _put(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()

    def _stop(self, _signum: int, _frame: FrameType | None) -> None:
        self._told_to_stop = True
        if not self._busy:  # a write that a signal interrupts goes on behind its handler; the file takes no other in it
            self._suspend()

    def _suspend(self) -> None:
        self._busy = True
        try:
            self._put(_LEAVE)
            self._told_to_stop = False
            os.kill(os.getpid(), signal.SIGSTOP)
            self._put(_ENTER)
        finally:
            self._busy = False
        self.draw(self._last)


def every(seconds: float) -> Iterable[float]:
    """The time, at once and then in each period, without drifting; a round that takes longer is followed at once."""
    due = time.monotonic()
    while True:
        yield time.time()
        due = max(due + seconds, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
