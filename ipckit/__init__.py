"""Inter-process communication on Linux, in one grammar.

The everyday names, grouped as the kernel's facilities are:

* byte streams: `Pipe`, `Fifo`; sockets: `sockets`
* messages, semaphores and shared memory: `posix`
* events: `EventFd`
* structures in shared memory: `SpscRing`

Nothing is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit._lazy import lazily

if TYPE_CHECKING:
    from ipckit import errors as errors
    from ipckit import features as features
    from ipckit import posix as posix
    from ipckit import sockets as sockets
    from ipckit.eventfd import EventFd as EventFd
    from ipckit.fifo import Fifo as Fifo
    from ipckit.pipe import Pipe as Pipe
    from ipckit.ring.spsc import SpscRing as SpscRing

__version__ = "0.1.0"

_HOMES = {
    "EventFd": "ipckit.eventfd",
    "Fifo": "ipckit.fifo",
    "Pipe": "ipckit.pipe",
    "SpscRing": "ipckit.ring.spsc",
    "errors": "ipckit.errors",
    "features": "ipckit.features",
    "posix": "ipckit.posix",
    "sockets": "ipckit.sockets",
}

__all__ = ["EventFd", "Fifo", "Pipe", "SpscRing", "errors", "features", "posix", "sockets"]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazily(__name__, _HOMES)
