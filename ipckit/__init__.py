"""Inter-process communication on Linux, in one grammar.

The everyday names, grouped as the kernel's facilities are:

* byte streams: `Pipe`, `Fifo`, `DuplexPipe`, `PseudoTerminal`; sockets: `sockets`
* messages, semaphores and shared memory: `posix`, `sysv`
* signals: `signals`
* descriptors that notify: `EventFd`, `TimerFd`, `PidFd`
* memory: `Mapping`, `Memfd`, `ProcessMemory`
* rings in shared memory: `SpscRing`, `MpmcRing`, `BroadcastRing`, `Latest`; on them `Queue`
* synchronisation in shared memory that survives the death of anyone: `sync`
* locks on files: `filelock`
* many peers: `server`; remote procedures: `rpc`

Beside them there are `inspect`, `testing` and `interrupt`, which ``from ipckit import *`` leaves out.

Nothing is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit._lazy import lazily

if TYPE_CHECKING:
    from ipckit import compat as compat
    from ipckit import errors as errors
    from ipckit import features as features
    from ipckit import filelock as filelock
    from ipckit import inspect as inspect
    from ipckit import interrupt as interrupt
    from ipckit import posix as posix
    from ipckit import ring as ring
    from ipckit import rpc as rpc
    from ipckit import server as server
    from ipckit import signals as signals
    from ipckit import sockets as sockets
    from ipckit import sync as sync
    from ipckit import sysv as sysv
    from ipckit import testing as testing
    from ipckit.duplex import DuplexPipe as DuplexPipe
    from ipckit.eventfd import EventFd as EventFd
    from ipckit.fifo import Fifo as Fifo
    from ipckit.mapping import Mapping as Mapping
    from ipckit.memfd import Memfd as Memfd
    from ipckit.pipe import Pipe as Pipe
    from ipckit.process import PidFd as PidFd
    from ipckit.pty import PseudoTerminal as PseudoTerminal
    from ipckit.remote import ProcessMemory as ProcessMemory
    from ipckit.ring.broadcast import BroadcastRing as BroadcastRing
    from ipckit.ring.latest import Latest as Latest
    from ipckit.ring.mpmc import MpmcRing as MpmcRing
    from ipckit.ring.queue import Queue as Queue
    from ipckit.ring.spsc import SpscRing as SpscRing
    from ipckit.timerfd import TimerFd as TimerFd

__version__ = "0.1.0"

_HOMES = {
    "BroadcastRing": "ipckit.ring.broadcast",
    "DuplexPipe": "ipckit.duplex",
    "EventFd": "ipckit.eventfd",
    "Fifo": "ipckit.fifo",
    "Latest": "ipckit.ring.latest",
    "Mapping": "ipckit.mapping",
    "Memfd": "ipckit.memfd",
    "MpmcRing": "ipckit.ring.mpmc",
    "PidFd": "ipckit.process",
    "Pipe": "ipckit.pipe",
    "ProcessMemory": "ipckit.remote",
    "PseudoTerminal": "ipckit.pty",
    "Queue": "ipckit.ring.queue",
    "SpscRing": "ipckit.ring.spsc",
    "TimerFd": "ipckit.timerfd",
    "compat": "ipckit.compat",
    "errors": "ipckit.errors",
    "features": "ipckit.features",
    "filelock": "ipckit.filelock",
    "inspect": "ipckit.inspect",
    "interrupt": "ipckit.interrupt",
    "posix": "ipckit.posix",
    "ring": "ipckit.ring",
    "rpc": "ipckit.rpc",
    "server": "ipckit.server",
    "signals": "ipckit.signals",
    "sockets": "ipckit.sockets",
    "sync": "ipckit.sync",
    "sysv": "ipckit.sysv",
    "testing": "ipckit.testing",
}

__all__ = [
    "BroadcastRing",
    "DuplexPipe",
    "EventFd",
    "Fifo",
    "Latest",
    "Mapping",
    "Memfd",
    "MpmcRing",
    "PidFd",
    "Pipe",
    "ProcessMemory",
    "PseudoTerminal",
    "Queue",
    "SpscRing",
    "TimerFd",
    "compat",
    "errors",
    "features",
    "filelock",
    "posix",
    "ring",
    "rpc",
    "server",
    "signals",
    "sockets",
    "sync",
    "sysv",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazily(__name__, _HOMES)
