"""What the tests of Internet sockets share: the loopback's addresses, and a TCP connection over it."""

from __future__ import annotations

import socket
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ipckit.sockets.inet import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

Address = tuple[str, int]


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


HERE = ("127.0.0.1", 0)
UNKNOWN = "nobody." * 37 + "invalid"  # of more than 255 bytes: no server is asked, which may not answer
HOSTS = ["127.0.0.1", pytest.param("::1", marks=pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on loopback"))]
ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on loopback")
Pair = tuple[Stream, Stream]


@contextmanager
def nobody() -> Iterator[Address]:
    """An address where nobody listens, and nobody will: the port is taken."""
    with socket.socket() as keeper:
        keeper.bind(HERE)
        yield keeper.getsockname()


@contextmanager
def no_receiver() -> Iterator[Address]:
    """The same of UDP: who has the port hears nobody but itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as keeper:
        keeper.bind(HERE)
        keeper.connect(keeper.getsockname())
        yield keeper.getsockname()


def connected(host: str = "127.0.0.1") -> Pair:
    with Stream.listen((host, 0)) as listener:
        client = Stream.connect(listener.address, timeout=10)
        return client, listener.accept(timeout=10)


def reset(stream: Stream) -> None:
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()
