"""Synchronisation objects of ipckit by name: which class an object is of, is found by looking."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ipckit.errors import LayoutError

_HOMES = {
    "mutex": "Mutex",
    "rwlock": "RWLock",
    "semaphore": "Semaphore",
    "event": "Event",
    "latch": "Latch",
}


def opened(name: str, *words: str) -> Any:
    """The object of that name, if it is of one of the classes that *words* name.

    Raises:
        NotFoundError: there is none (ENOENT).
        ValueError: it is something else.
    """
    for word in words:
        home: Any = getattr(import_module(f"ipckit.sync.{word}"), _HOMES[word])
        try:
            return home.open(name)
        except LayoutError:
            pass
    raise ValueError(f"sync:{name} is none of: {', '.join(_HOMES[word] for word in words)}")
