"""tcp(7) over the loopback device."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from ipckit.bench.row import Channel
from ipckit.sockets.inet import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPBACK = ("127.0.0.1", 0)


class InetStream(Channel):
    """A connection to 127.0.0.1; without Nagle's delay, as it is by default."""

    name = "inet.Stream"
    about = "ipckit.sockets.inet.Stream over 127.0.0.1: whole messages, each with its length before it"
    family = "socket"

    def __init__(self, _size: int, /) -> None:
        with Stream.listen(LOOPBACK) as listener:
            self.writer = Stream.connect(listener.address)
            self.reader = listener.accept()

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.writer.send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.reader.receive


class BareTcp(Channel):
    """A connection to 127.0.0.1, without Nagle's delay."""

    name = "TCP (bare)"
    about = "socket.sendall and recv of a fixed size over 127.0.0.1, TCP_NODELAY, no framing"
    family = "socket"

    def __init__(self, _size: int, /) -> None:
        with socket.create_server(LOOPBACK) as listener:
            self.writer = socket.create_connection(listener.getsockname())
            self.reader, _ = listener.accept()
        for end in (self.writer, self.reader):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.writer.sendall

    def receiver(self, size: int, /) -> Callable[[], Any]:
        recv, wait_all = self.reader.recv, socket.MSG_WAITALL
        return lambda: recv(size, wait_all)
