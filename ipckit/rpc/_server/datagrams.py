"""A datagram socket of a server: each call and each reply is one datagram, and may be lost: RFC 5531, section 4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit._wait import NEVER_NS
from ipckit.rpc._server.duplicates import DuplicateCache, InProgress
from ipckit.rpc._server.port import READ, Job, Port
from ipckit.rpc._wire.record import MARK_SIZE
from ipckit.server.machinery import Peer

if TYPE_CHECKING:
    from ipckit.rpc._server.answer import Reply
    from ipckit.rpc._server.engine import Engine

MOST_DATAGRAM = 65507  # bytes, of UDP over IPv4
_ROOM = 65536


class Datagrams(Port):
    """A call that comes again while its reply is known is not made again: the reply is sent once more.

    While the call is still being made, its copies are dropped. A reply that finds no room is dropped as well; the
    client asks again.
    """

    __slots__ = ("_cache", "_most", "_stopping")

    def __init__(self, handle: Any, engine: Engine) -> None:
        super().__init__(handle, engine)
        handle.socket.setblocking(False)
        self._cache = DuplicateCache()
        self._most = min(MOST_DATAGRAM, engine.plan.max_message_size)
        self._stopping = False

    def ready(self) -> Job | None:
        with self.lock:
            self.armed = False
            if self.closed or self._stopping:
                return None
            try:
                message, address = self.handle.socket.recvfrom(_ROOM)
            except OSError:  # nothing there, or what became of an earlier reply
                message, address = b"", None
            if message:
                self.in_flight += 1
            if self.in_flight < self.engine.max_calls:
                self.arm(READ)
        if not message:
            return None
        if len(message) > self._most:
            self._finish(None, address)
            return None
        key = self._cache.key(message, address)
        reply = self._cache.begin(key)
        if reply is None:
            return Job(message, Peer(address), self._most, self, key)
        self._finish(reply or None, address)
        return None

    def give(self, reply: Reply, where: Any) -> None:
        self._cache.finish(where, reply)
        self._finish(reply, where[0])

    def reject(self, text: str, where: Any) -> None:  # noqa: ARG002 whoever sends nonsense is not answered
        self.give(None, where)

    def _finish(self, reply: Reply | InProgress, address: Any) -> None:
        with self.lock:
            self.in_flight -= 1
            if self.closed:
                return
            if not self._stopping:
                self.disarm()
            if isinstance(reply, (bytes, bytearray)):
                try:
                    self.handle.socket.sendto(memoryview(reply)[MARK_SIZE:], address)
                except OSError:
                    pass  # no room, or no way there: the client asks again
            if self._stopping:
                if not self.in_flight:
                    self.close()
            elif not (self.armed or self.lingering):
                self.arm(READ)

    def stop(self) -> None:
        with self.lock:
            self._stopping = True
            if not self.in_flight:
                self.close()

    def due_ns(self) -> int:
        return NEVER_NS
