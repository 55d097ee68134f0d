"""A connection with a client: records both ways, many calls in flight, replies in the order in which they are ready."""

from __future__ import annotations

import errno
import socket
from collections import deque
from select import POLLIN, POLLOUT, poll
from typing import TYPE_CHECKING, Any

from ipckit._wait import NEVER_NS
from ipckit.errors import IPCError, PeerDiedError, RpcProtocolError, syscall_error
from ipckit.rpc._server.doorkeeper import GROUPS, peer_groups
from ipckit.rpc._server.port import READ, WRITE, Job, Port, now_ns, too_slow
from ipckit.rpc._wire.record import RecordReader
from ipckit.server.machinery import Peer

if TYPE_CHECKING:
    from ipckit.rpc._server.answer import Reply
    from ipckit.rpc._server.engine import Engine

_CHUNK = 65536
_LARGE_CHUNK = 1 << 20  # of a record that is known to be as large; others get their turn between two of them


class Connection(Port):
    """What it holds in memory: the record that is arriving, calls up to a limit, and their replies.

    While a reply finds no room, and while as many calls are in flight as may be, nothing more is read.
    """

    __slots__ = ("_ended", "_out", "_pending", "_reader", "_recv", "_send", "_since_ns", "_stopping", "peer")

    def __init__(self, handle: Any, engine: Engine) -> None:
        super().__init__(handle, engine)
        sock = handle.socket
        sock.setblocking(False)
        self._recv = sock.recv
        self._send = sock.send
        self.peer = Peer.of(handle)
        if sock.family == socket.AF_UNIX:
            self.peer.state[GROUPS] = peer_groups(sock)
        self._reader = RecordReader(engine.plan.max_message_size)
        self._pending: deque[bytes] = deque()
        self._out: deque[memoryview] = deque()
        self._ended = False
        self._stopping = False
        self._since_ns = now_ns()

    def ready(self) -> Job | None:
        with self.lock:
            self.armed = False
            if self.closed:
                return None
            try:
                message = self._take()
                if message is not None:
                    self.in_flight += 1
                self._go_on()
            except (IPCError, OSError) as error:
                self.retire()
                failure: BaseException = error
            else:
                if message is None:
                    return None
                return Job(message, self.peer, self.engine.plan.max_message_size, self)
        self._fail(failure)
        return None

    def give(self, reply: Reply, where: Any = None) -> None:  # noqa: ARG002 a connection leads to one peer
        """Send a reply, as far as there is room; the rest follows when there is more."""
        with self.lock:
            self.in_flight -= 1
            if self.closed:
                return
            try:
                if not self._stopping:
                    self.disarm()
                if reply is not None:
                    self._write(reply)
            except OSError as error:
                self.retire()
                failure = error
            else:
                if self.engine.idle_ns is not None or not self.armed:
                    self._since_ns = now_ns()
                if not (self.armed or self.lingering) or self._ended or self._stopping:
                    self._go_on()
                return
        self._fail(failure)

    def _take(self) -> bytes | None:
        """The next call if it is there and may be made."""
        if self._out and not self._flush():
            return None
        if self.in_flight >= self.engine.max_calls:
            return None
        if self._pending:
            return self._pending.popleft()
        return None if self._ended or self._stopping else self._read()

    def _read(self) -> bytes | None:
        reader = self._reader
        wanted = reader.wanted
        try:
            data = self._recv(_CHUNK if wanted <= _CHUNK else min(wanted, _LARGE_CHUNK))
        except BlockingIOError:
            return None
        record = reader.alone(data)
        if record is not None:
            if self.engine.idle_ns is not None:
                self._since_ns = now_ns()
            return record
        if not data:
            if reader.begun:
                raise PeerDiedError(f"the stream ended within {reader!r}: the client died, or closed in between")
            self._ended = True
            return None
        was_begun = reader.begun
        reader.feed(data)
        records = reader.records()
        self._pending += records
        if (records or not was_begun) and (reader.begun or self.engine.idle_ns is not None):
            self._since_ns = now_ns()
        return self._pending.popleft() if records else None

    def _write(self, reply: bytes | bytearray) -> None:
        if self._out:
            self._out.append(memoryview(reply))
            return
        try:
            written = self._send(reply)
        except BlockingIOError:
            written = 0
        if written < len(reply):
            self._out.append(memoryview(reply)[written:])
            self._since_ns = now_ns()
            self.arm(WRITE)

    def _flush(self) -> bool:
        """Send what waits; whether all of it is out."""
        out = self._out
        while out:
            try:
                written = self._send(out[0])
            except BlockingIOError:
                return False
            if written < len(out[0]):
                out[0] = out[0][written:]
                return False
            out.popleft()
            self._since_ns = now_ns()
        return True

    def _go_on(self) -> None:
        """Wait for what comes next, or close if nothing will; the lock is held."""
        if self._out:
            if not self.armed:
                self.arm(WRITE)
        elif self._pending:
            if self.in_flight < self.engine.max_calls:
                self.arm(WRITE)  # there is room: so the next thread is told at once
        elif self._ended or self._stopping:
            if not self.in_flight:
                self.close()
        elif self.in_flight < self.engine.max_calls:
            self.arm(READ)

    def _fail(self, error: BaseException) -> None:
        """Tell what ended the connection, which is retired, and let go of it; the lock is not held meanwhile."""
        if not isinstance(error, IPCError):
            error = syscall_error(getattr(error, "errno", None) or errno.EIO, "send or recv")
        self.engine.plan.report(error, self.peer)
        self.release()

    def reject(self, text: str, where: Any = None) -> None:  # noqa: ARG002
        with self.lock:
            self.in_flight -= 1
            if self.closed:
                return
            self.retire()
        self._fail(RpcProtocolError(f"the client sent {text}"))

    def stop(self) -> None:
        with self.lock:
            if self.closed:
                return
            self._stopping = True
            if not self.busy():
                self.close()

    def busy(self) -> bool:
        return bool(self.in_flight or self._pending or self._out)

    def due_ns(self) -> int:
        with self.lock:
            setting_ns = None if self.closed else self._patience()[1]
            return NEVER_NS if setting_ns is None else self._since_ns + setting_ns

    def expire(self, now_ns: int) -> None:
        with self.lock:
            if self.closed:
                return
            setting, patience_ns = self._patience()
            if patience_ns is None or self._since_ns + patience_ns > now_ns or self._is_ready():
                return
            self.retire()
        self._fail(too_slow(setting, patience_ns))

    def _is_ready(self) -> bool:
        """Whether the peer waits for us, who were busy, or stopped."""
        look = poll()
        look.register(self.fd, POLLOUT if self._out else POLLIN)
        return bool(look.poll(0))

    def _patience(self) -> tuple[str, int | None]:
        """The setting by which the peer is judged at present, and its nanoseconds."""
        if self._out or (self._reader.begun and not self._pending and self.in_flight < self.engine.max_calls):
            return "message_timeout", self.engine.message_ns
        if self.in_flight or self._pending:
            return "", None
        return "idle_timeout", self.engine.idle_ns
