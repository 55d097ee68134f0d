"""Unix sequenced-packet sockets: unix(7)."""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING

from ipckit._queued import queued
from ipckit.errors import EndOfStreamError
from ipckit.sockets._ancillary import AncillarySocket
from ipckit.sockets._base import Connection
from ipckit.sockets._listener import Listener, listen
from ipckit.sockets._message import MessageSocket
from ipckit.sockets._unix import connect, new_unix_socket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

    from ipckit.sockets._address import Address


class SeqPacket(MessageSocket, AncillarySocket, Connection):
    """One end of a connection that carries messages both ways, in order, none lost, none merged, none split.

    A message is somewhat smaller than SO_SNDBUF. Threads, and processes after fork(2), may share the connection:
    each message goes to one receiver. No SIGPIPE: sending to a side that is gone is BrokenPeerError. `receive` takes
    messages alone: descriptors that come with one the kernel closes; `receive_fds` takes both.

    The kernel answers an empty message and the end of the connection alike, with 0 bytes. As long as the other side
    is there, or something follows, it is an empty message; else it is taken for the end: an empty message is safe,
    but not as the last one before the other side closes or shuts down.

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
        sock = new_unix_socket(cls._kind)
        connect(sock, address, timeout)
        return cls(sock)

    @classmethod
    def listen(
        cls, address: Address | None, *, backlog: int = 128, mode: int = 0o600, unlink_on_close: bool = True
    ) -> Listener[Self]:
        """Listen at *address*; everything as in `Stream.listen`."""
        return listen(cls, address, backlog, mode, unlink_on_close=unlink_on_close)

    def __iter__(self) -> Iterator[bytes]:
        """The messages, until the connection ends."""
        while True:
            try:
                message = self.receive()
            except EndOfStreamError:
                return
            yield message

    def _empty(self) -> bytes:
        poller = select.poll()
        poller.register(self.fileno(), select.POLLRDHUP)
        if poller.poll(0) and not queued(self):
            raise EndOfStreamError(f"{self!r}: the other side has closed its end")
        return b""
