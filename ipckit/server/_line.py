"""One connection as the modes see it: the next message if all of it is there, a reply as far as there is room."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from ipckit._framing import IncomingFrame, byte_view, pack_header, too_large
from ipckit.errors import EndOfStreamError, IPCError, PeerDiedError
from ipckit.sockets.unix import SeqPacket

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Ended(Exception):
    """The other side has closed, between two messages: the ordinary end of a conversation.

    A class of its own, for EndOfStreamError may also come out of a handler that reads from elsewhere.
    """


class Port:
    """What a mode waits on: a connection, or a FIFO or queue."""

    __slots__ = ("__weakref__", "cut", "fd", "handle", "idle", "progress")

    def __init__(self, handle: Any, fd: int) -> None:
        self.handle = handle
        self.fd = fd
        """-1 for what cannot be polled: there `take` itself waits, for a short while."""
        self.cut = False
        """Whether the server has given it up: what goes wrong from now on is no news."""
        self.idle = True
        """Whether no message is being handled and no reply is on its way."""
        self.progress = 0
        """Grows with each whole message and each whole reply."""

    def close(self) -> None:
        """Let go of it."""
        self.handle.close()

    def hang_up(self) -> None:
        """End both directions, while another thread may be inside; that one closes."""


class Line(Port):
    """A connection, of which nothing here ever waits. What it holds in memory is one message in and one reply out."""

    __slots__ = ("_limit",)

    def __init__(self, connection: Any, limit: int) -> None:
        super().__init__(connection, connection.fileno())
        self._limit = limit

    def take(self) -> bytes | None:
        """The next message; None if not all of it is there, or if it is another peer's turn.

        Raises:
            Ended: the other side has closed.
            PeerDiedError: it did so in the middle of a message.
            MessageTooLargeError: the message would exceed the limit.
        """
        raise NotImplementedError

    def give(self, reply: Buffer) -> bool:
        """Send *reply*; False if a part of it has to wait for room, for which `go_on` asks."""
        raise NotImplementedError

    def go_on(self) -> bool:
        """Send more of the reply; whether all of it is out."""
        raise NotImplementedError

    def hang_up(self) -> None:
        """End both directions, while another thread may be inside; that one closes."""
        try:
            self.handle.shutdown(socket.SHUT_RDWR)
        except (IPCError, OSError):
            pass  # the other side was faster


class StreamLine(Line):
    """A connection of bytes: each message is preceded by its length."""

    __slots__ = ("_frame", "_rest")

    def __init__(self, connection: Any, limit: int) -> None:
        super().__init__(connection, limit)
        self._frame = IncomingFrame()
        self._rest = memoryview(b"")

    def take(self) -> bytes | None:
        frame, read = self._frame, self.handle.try_read
        for _ in range(2):  # the header, and what one more read brings; a long message lets others come between
            chunk = read(frame.wanted(self._limit))
            if chunk is None:
                return None
            if not chunk:
                if frame.begun:
                    raise PeerDiedError(f"the stream ended after {frame!r}: the writer died, or closed in between")
                raise Ended
            frame.unfed.append(chunk)
            message = frame.feed()
            if message is not None:
                return message
        return None

    def give(self, reply: Buffer) -> bool:
        data = reply if type(reply) is bytes else byte_view(reply)
        size = len(data)
        if size > self._limit:
            raise too_large(size, self._limit, "send")
        framed = pack_header(size) + data
        written = self.handle.try_write(framed)
        if written == len(framed):
            return True
        self._rest = memoryview(framed)[written:]
        return False

    def go_on(self) -> bool:
        written = self.handle.try_write(self._rest)
        self._rest = self._rest[written:]
        return not self._rest


class PacketLine(Line):
    """A connection of messages."""

    __slots__ = ("_rest",)

    def __init__(self, connection: Any, limit: int) -> None:
        super().__init__(connection, limit)
        connection.max_message_size = limit
        self._rest = b""

    def take(self) -> bytes | None:
        try:
            message: bytes | None = self.handle.try_receive()
        except EndOfStreamError:
            raise Ended from None
        return message

    def give(self, reply: Buffer) -> bool:
        data = reply if type(reply) is bytes else bytes(byte_view(reply))
        if len(data) > self._limit:
            raise too_large(len(data), self._limit, "send")
        self._rest = data
        return self.go_on()

    def go_on(self) -> bool:
        if not self.handle.try_send(self._rest):
            return False
        self._rest = b""
        return True


def line_of(connection: Any, limit: int) -> Line:
    """*connection* as a line whose messages have at most *limit* bytes, either way."""
    kind = PacketLine if isinstance(connection, SeqPacket) else StreamLine
    return kind(connection, limit)
