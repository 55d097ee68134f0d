"""Synchronisation in shared memory that survives the death of anyone: futex(2).

Each object lies in a segment of its own, or at an offset of memory of yours, many to a mapping. Whether an owner
lives, the kernel tells; so a process that is killed at any point costs the others some 50 ms, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit._lazy import lazily

if TYPE_CHECKING:
    from ipckit.sync.mutex import Mutex as Mutex

_HOMES = {
    "Mutex": "ipckit.sync.mutex",
}

__all__ = ["Mutex"]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazily(__name__, _HOMES)
