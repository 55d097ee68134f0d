"""How far a long look is, on stderr, where that is a terminal."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ipckit.cli.terminal.screen import is_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PATIENCE = 0.5
"""Seconds before anything is shown."""
_PERIOD = 0.1
"""Seconds between two lines."""


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """What to call with (done, all), such as the `progress` of a `Look`; the line is gone at the end."""
    file = sys.stderr
    if not is_terminal(file):
        yield None
        return
    due = time.monotonic() + _PATIENCE
    shown = False

    def show(done: int, of: int) -> None:
        nonlocal due, shown
        now = time.monotonic()
        if now >= due:
            due, shown = now + _PERIOD, True
            file.write(f"\r{what}: {done} of {of}\033[K")
            file.flush()

    try:
        yield show
    finally:
        if shown:
            file.write("\r\033[K")
            file.flush()
