"""Sockets: socket(7). `unix` within a machine, `inet` across machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit._lazy import lazily

if TYPE_CHECKING:
    from ipckit.sockets import inet as inet
    from ipckit.sockets import unix as unix

_HOMES = {"inet": "ipckit.sockets.inet", "unix": "ipckit.sockets.unix"}

__all__ = ["inet", "unix"]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazily(__name__, _HOMES)
