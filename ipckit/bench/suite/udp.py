"""udp(7) over the loopback device."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.bench.quantity import ROUNDTRIP, WAKEUP
from ipckit.bench.row import Channel
from ipckit.sockets.inet import Datagram

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST = 65507  # bytes: what a packet of 64 KiB holds behind the headers of IPv4 and UDP


class InetDatagram(Channel):
    """Nothing holds the sender up, and what finds the receiver's buffer full is lost: no throughput to speak of."""

    name = "inet.Datagram"
    about = "ipckit.sockets.inet.Datagram over 127.0.0.1, one message on its way at a time"
    family = "socket"
    measures = (ROUNDTRIP, WAKEUP)

    def __init__(self, _size: int, /) -> None:
        self.reader = Datagram.bind(("127.0.0.1", 0))
        self.writer = Datagram.connect(self.reader.address)

    def refuses(self, size: int, /) -> str | None:
        return f"message size limit {LARGEST} B (UDP over IPv4)" if size > LARGEST else None

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.writer.send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.reader.receive
