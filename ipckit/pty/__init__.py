"""Pseudo-terminals: pty(7), pts(4), termios(3).

A pseudo-terminal has two sides. Programs have the terminal side as their keyboard and screen; whoever drives them
holds the master.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit._lazy import lazily

if TYPE_CHECKING:
    from ipckit.pty._settings import WindowSize as WindowSize
    from ipckit.pty.master import PtyMaster as PtyMaster
    from ipckit.pty.process import TerminalProcess as TerminalProcess
    from ipckit.pty.pseudoterminal import PseudoTerminal as PseudoTerminal
    from ipckit.pty.terminal import Terminal as Terminal

_HOMES = {
    "PseudoTerminal": "ipckit.pty.pseudoterminal",
    "PtyMaster": "ipckit.pty.master",
    "Terminal": "ipckit.pty.terminal",
    "TerminalProcess": "ipckit.pty.process",
    "WindowSize": "ipckit.pty._settings",
}

__all__ = ["PseudoTerminal", "PtyMaster", "Terminal", "TerminalProcess", "WindowSize"]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazily(__name__, _HOMES)
