"""Unix sequenced-packet sockets: unix(7)."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING

from ipckit._retry import failure
from ipckit.errors import EndOfStreamError
from ipckit.sockets._base import connect, new_pair, new_socket
from ipckit.sockets._listener import Listener, listen
from ipckit.sockets._message import MessageSocket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

    from ipckit.sockets._address import Address


class SeqPacket(MessageSocket):
    """One end of a connection that carries messages both ways, in order, none lost, none merged, none split.

    Threads, and processes after fork(2), may share it: each message goes to one receiver. No SIGPIPE: sending to a
    side that is gone is BrokenPeerError.

    The kernel answers an empty message and the end of the connection alike, with 0 bytes. As long as the other side
    is there it is an empty message; once it has closed or shut down, it is taken for the end: an empty message is
    safe, but not as the last one.

    >>> one, other = SeqPacket.pair()
    >>> with one, other:
    ...     one.send(b"first")
    ...     one.send(b"second")
    ...     other.receive(timeout=1), other.receive(timeout=1)
    (b'first', b'second')
    """

    __slots__ = ()

    _kind = socket.SOCK_SEQPACKET

    @classmethod
    def connect(cls, address: Address, *, timeout: float | None = None) -> Self:
        """Connect to the listener at *address*; everything as in `Stream.connect`."""
        sock = new_socket(cls._kind)
        connect(sock, address, timeout)
        return cls(sock)

    @classmethod
    def listen(
        cls, address: Address | None, *, backlog: int = 128, mode: int = 0o600, unlink_on_close: bool = True
    ) -> Listener[Self]:
        """Listen at *address*; everything as in `Stream.listen`."""
        return listen(cls, address, backlog, mode, unlink_on_close=unlink_on_close)

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        """Two connected sockets: socketpair(2)."""
        one, other = new_pair(cls._kind)
        return cls(one), cls(other)

    def shutdown(self, how: int = socket.SHUT_WR) -> None:
        """Close one direction, or both, for all who share the connection; *how* as in `Stream.shutdown`."""
        self._check_open()
        try:
            self._view.shutdown(how)
        except OSError as error:
            raise failure(self, error, "shutdown") from None

    def __iter__(self) -> Iterator[bytes]:
        """The messages, until the connection ends."""
        while True:
            try:
                message = self.receive()
            except EndOfStreamError:
                return
            yield message

    def _odd(self, size: int, room: int) -> bytes:
        message = super()._odd(size, room)
        poller = select.poll()
        poller.register(self.fileno(), select.POLLRDHUP)
        if poller.poll(0):
            raise EndOfStreamError(f"{self!r}: the other side has closed its end")
        return message
