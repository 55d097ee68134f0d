"""`ipckit top` on a terminal: drawn in place, keys, another size of the window, ^Z."""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import time
from typing import TYPE_CHECKING

from ipckit._wait import Deadline
from ipckit.cli.objects.top_table import ORDERS, TABLE, head, ordered
from ipckit.cli.objects.unseen import footer
from ipckit.cli.terminal.keyboard import GONE, SIGNALLED, Keyboard
from ipckit.cli.terminal.live import Live
from ipckit.cli.terminal.screen import cut, has_colours, styled
from ipckit.signals import blocked

if TYPE_CHECKING:
    from types import TracebackType
    from typing import TextIO

    from ipckit.cli.objects.top_sampling import Row, Sampler

_ENDING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class _Screen(Live):
    """A live screen with a keyboard; whatever ends it, both are given back as they were."""

    def __init__(self, file: TextIO, keys: Keyboard) -> None:
        super().__init__(file)
        self._keys = keys

    def __exit__(self, kind: type[BaseException] | None, value: object, traceback: TracebackType | None) -> None:
        with blocked(_ENDING):  # a second Ctrl-C comes when the terminal is as it was
            self._keys.give_back()
            try:
                super().__exit__(kind, value, traceback)
            except OSError:  # the terminal is gone
                pass

    def _suspend(self) -> None:
        self._keys.give_back()
        super()._suspend()
        self._keys.take()


def draw(sampler: Sampler, arguments: argparse.Namespace) -> None:
    """Draw until q, the end of the terminal, or KeyboardInterrupt."""
    view = _View(sampler, arguments)
    with Keyboard() as keys, _Screen(sys.stdout, keys) as screen:
        due = time.monotonic_ns()
        for count in itertools.count():
            view.sample()
            screen.draw(view.lines(*screen.size))
            if count == arguments.count:
                return
            due = max(due + round(arguments.interval * 1e9), time.monotonic_ns())
            if not _watched(keys, screen, view, Deadline(due)):
                return
            due = min(due, time.monotonic_ns())  # a key may have come before


class _View:
    """What is on the screen, and how it is sorted."""

    def __init__(self, sampler: Sampler, arguments: argparse.Namespace) -> None:
        self._sampler = sampler
        self._arguments = arguments
        self._options = argparse.Namespace(**{**vars(arguments), "sort": None, "reverse": False})
        self.sort: str = arguments.sort
        self.reverse: bool = arguments.reverse
        self._rows: list[Row] = []
        self._elapsed: float | None = None
        self._clock = 0.0
        self._colours = has_colours(sys.stdout)

    def sample(self) -> None:
        """Look again."""
        self._rows, self._elapsed = self._sampler.sample()
        self._clock = time.time()

    def next_order(self) -> None:
        """Sort by the next column."""
        self.sort = ORDERS[(ORDERS.index(self.sort) + 1) % len(ORDERS)]

    def lines(self, columns: int, height: int) -> list[str]:
        """What fits into a window of that size."""
        below = [cut(sentence, columns, "end") for sentence in footer(self._sampler.look)]
        room = max(1, height - 3 - len(below))  # behind the head, the line about keys and the heads of the columns
        wanted = ordered(self._rows, self.sort, reverse=self.reverse)
        table = TABLE.lines(wanted[:room], self._options, width=columns, colours=self._colours)
        hidden = f"; {len(wanted) - room} more below" if len(wanted) > room else ""
        turned = ", reversed" if self.reverse else ""
        keys = f"by {self.sort}{turned}{hidden}; q ends, s sorts by another column, r reverses"
        top = [
            styled(cut(head(self._clock, self._elapsed, wanted), columns, "end"), "bold", colours=self._colours),
            styled(cut(keys, columns, "end"), "dim", colours=self._colours),
        ]
        return [*top, *table, *(styled(line, "dim", colours=self._colours) for line in below)]


def _watched(keys: Keyboard, screen: Live, view: _View, deadline: Deadline) -> bool:
    """Do what keys say, until the time is up or one wants another look; False is the end."""
    while key := keys.wait(deadline):
        if key == GONE or "q" in key or "Q" in key:
            return False
        if "s" in key:
            view.next_order()
        elif "r" in key:
            view.reverse = not view.reverse
        elif key != SIGNALLED:
            return True
        screen.draw(view.lines(*screen.size))
    return True
