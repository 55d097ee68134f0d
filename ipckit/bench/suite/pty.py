"""pty(7)."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

import os
import tty
from typing import TYPE_CHECKING, Any

from ipckit.bench.row import Channel
from ipckit.bench.suite.pipe import BarePipe
from ipckit.pty import PseudoTerminal

if TYPE_CHECKING:
    from collections.abc import Callable


class PseudoTerminalRow(Channel):
    """Whole messages, printed on a terminal in raw mode and read at its master."""

    name = "PseudoTerminal"
    about = "ipckit.PseudoTerminal in raw mode: send and receive of whole messages, each with its length before it"
    family = "pty"

    def __init__(self, _size: int, /) -> None:
        self.master, self.terminal = PseudoTerminal.create(raw=True)

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.terminal.send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.master.receive


class BarePseudoTerminal(BarePipe):
    """What the kernel and `os` alone take, when both sides know the length of every message."""

    name = "os.openpty (bare)"
    about = "os.write and os.read of a fixed size on a blocking pseudo-terminal in raw mode, no framing"
    family = "pty"

    def __init__(self, _size: int, /) -> None:
        self.fds = os.openpty()
        tty.setraw(self.fds[1])
