"""Drop-ins for modules of the standard library: change the import, keep the program.

These classes have the constructors, parameter names and habits of what they stand in for, and not those of the rest
of this package. A module is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit._lazy import lazily

if TYPE_CHECKING:
    from ipckit.compat import multiprocessing as multiprocessing
    from ipckit.compat import shared_memory as shared_memory
    from ipckit.compat import threading as threading

_HOMES = {
    "multiprocessing": "ipckit.compat.multiprocessing",
    "shared_memory": "ipckit.compat.shared_memory",
    "threading": "ipckit.compat.threading",
}

__all__ = ["multiprocessing", "shared_memory", "threading"]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazily(__name__, _HOMES)
