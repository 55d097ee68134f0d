"""Sockets: socket(7)."""

from __future__ import annotations

from ipckit.sockets import unix as unix

__all__ = ["unix"]
