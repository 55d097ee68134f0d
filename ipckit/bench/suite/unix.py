"""Unix domain sockets: unix(7), socketpair(2)."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipckit.bench.row import Channel
from ipckit.sockets.unix import Datagram, SeqPacket, Stream

if TYPE_CHECKING:
    from collections.abc import Callable

BUFFER = Path("/proc/sys/net/core/wmem_default")
OVERHEAD = 1024  # bytes of the send buffer that the kernel wants for itself, at most


class UnixStream(Channel):
    """A connected pair, used in one direction."""

    name = "unix.Stream"
    about = "ipckit.sockets.unix.Stream: whole messages, each with its length before it"
    family = "socket"

    def __init__(self, _size: int, /) -> None:
        self.reader, self.writer = Stream.pair()

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.writer.send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.reader.receive


class UnixDatagram(Channel):
    """The kernel keeps the messages apart; one must fit into the socket's buffer."""

    name = "unix.Datagram"
    about = "ipckit.sockets.unix.Datagram, a pair"
    family = "socket"
    _kind: type[Datagram | SeqPacket] = Datagram

    def __init__(self, _size: int, /) -> None:
        ends: tuple[Datagram | SeqPacket, Datagram | SeqPacket] = self._kind.pair()
        self.reader, self.writer = ends

    def refuses(self, size: int, /) -> str | None:
        limit = int(BUFFER.read_text())
        return f"message size limit {limit} B (sysctl net.core.wmem_default)" if size > limit - OVERHEAD else None

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.writer.send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.reader.receive


class UnixSeqPacket(UnixDatagram):
    """Messages over a connection."""

    name = "unix.SeqPacket"
    about = "ipckit.sockets.unix.SeqPacket, a pair"
    _kind = SeqPacket


class BareSocketPair(Channel):
    """What the kernel and `socket` alone take, when both sides know the length of every message."""

    name = "socketpair (bare)"
    about = "socket.sendall and recv of a fixed size on a Unix stream pair, no framing"
    family = "socket"

    def __init__(self, _size: int, /) -> None:
        self.reader, self.writer = socket.socketpair()

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.writer.sendall

    def receiver(self, size: int, /) -> Callable[[], Any]:
        recv, wait_all = self.reader.recv, socket.MSG_WAITALL
        return lambda: recv(size, wait_all)
