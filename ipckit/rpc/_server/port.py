"""One connection or datagram socket of a server, which any of its threads may serve next: epoll(7), EPOLLONESHOT."""

from __future__ import annotations

import errno
import threading
import time
from contextlib import suppress
from select import EPOLLIN, EPOLLONESHOT, EPOLLOUT
from typing import TYPE_CHECKING, Any, NamedTuple

from ipckit.errors import syscall_error
from ipckit.rpc._wire.spinning import Spin

if TYPE_CHECKING:
    from ipckit.errors import IPCError
    from ipckit.rpc._server.answer import Reply
    from ipckit.rpc._server.engine import Engine
    from ipckit.server.machinery import Peer

READ = int(EPOLLIN | EPOLLONESHOT)
WRITE = int(EPOLLOUT | EPOLLONESHOT)


class Job(NamedTuple):
    """A call that came, and where its reply goes."""

    message: bytes
    peer: Peer
    most: int
    """Bytes that the reply may have."""
    port: Port
    where: Any = None
    """What the port wants back with the reply."""


class Port:
    """A descriptor that epoll(7) tells of once; then nobody hears of it until it is armed again.

    Its state is changed under its lock, which is never held while a handler runs, and while it is held nothing waits:
    all calls on the descriptor are non-blocking.
    """

    __slots__ = ("armed", "closed", "engine", "fd", "handle", "in_flight", "lingering", "lock", "spin")

    def __init__(self, handle: Any, engine: Engine) -> None:
        self.handle = handle
        self.engine = engine
        self.fd: int = handle.fileno()
        self.lock = threading.Lock()
        self.armed = False
        self.closed = False
        self.in_flight = 0
        """Calls that were taken and whose replies were not yet given."""
        self.spin = Spin(engine.spinning)
        self.lingering = False
        """Whether the thread that gave the last reply must look for the next call: `linger`, then `ready`."""

    def ready(self) -> Job | None:
        """Do what can be done now; the next call where there is one. Arms the port again."""
        raise NotImplementedError

    def give(self, reply: Reply, where: Any) -> None:
        """Send the reply of a job, from any thread; once for each job, with None where there is no reply."""
        raise NotImplementedError

    def reject(self, text: str, where: Any) -> None:
        """Instead of `give`, where a job's message was no call, but *text*."""
        raise NotImplementedError

    def arm(self, events: int) -> None:
        """Have epoll tell once of *events*; the lock is held."""
        self.armed = True
        self.engine.epoll.modify(self.fd, events)

    def disarm(self) -> None:
        """Before the reply to the only call goes out: linger, if it pays; the lock is held."""
        if self.armed and not self.in_flight and self.engine.may_linger() and self.spin.pays():
            self.engine.epoll.modify(self.fd, EPOLLONESHOT)
            self.armed = False
            self.lingering = True

    def linger(self) -> None:
        """Spin until the next call is there, or it has been too long; the lock is not held."""
        self.spin.until_readable(self.fd)
        self.lingering = False

    def stop(self) -> None:
        """Take no more calls; close when the replies of those that were taken are out."""
        raise NotImplementedError

    def due_ns(self) -> int:
        """When the peer's time is up."""
        raise NotImplementedError

    def expire(self, now_ns: int) -> None:
        """Close it if the peer's time is up at *now_ns*."""

    def cut_off(self) -> bool:
        """Close it; whether calls were left, or a part of a reply."""
        with self.lock:
            busy = not self.closed and self.busy()
            self.close()
        return busy

    def busy(self) -> bool:
        """Whether calls are being made, or replies are on their way; the lock is held."""
        return self.in_flight > 0

    def close(self) -> None:
        """Let go of it; the lock is held."""
        if not self.closed:
            self.retire()
            self.release()

    def retire(self) -> None:
        """From here on nobody reads from it or writes to it; the lock is held. `release` is to follow."""
        self.closed = True
        with suppress(OSError, ValueError):  # never registered, or epoll was closed already
            self.engine.epoll.unregister(self.fd)

    def release(self) -> None:
        """Let go of what was retired; the other side learns of it now."""
        self.engine.forget(self)
        self.handle.close()


def now_ns() -> int:
    """The time by which peers are judged, in nanoseconds."""
    return time.monotonic_ns()


def too_slow(setting: str, patience_ns: int) -> IPCError:
    """The exception for a peer that used up the time of *setting*."""
    seconds = patience_ns / 1e9
    return syscall_error(errno.ETIMEDOUT, "epoll_wait", remedy=f"{setting} is {seconds:g} s; the connection was closed")
