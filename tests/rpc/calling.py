"""Clients with a scripted server in a child, for the tests of both kinds of client."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ipckit.rpc import Client
from ipckit.sockets import inet, unix
from tests.rpc import scripted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Child, Spawn

PROGRAM, VERSION = 0x20000099, 3
LOOPBACK = ("127.0.0.1", 0)


def listen(kind: str) -> unix.Listener[unix.Stream] | inet.Listener[inet.Stream]:
    return unix.Stream.listen(None) if kind == "unix" else inet.Stream.listen(LOOPBACK)


def connect(kind: str, listener: Any, **how: Any) -> Client:
    how = {"timeout": 20, **how}
    if kind == "unix":
        return Client.connect_unix(listener.getsockname(), PROGRAM, VERSION, **how)
    return Client.connect_tcp(*listener.address, PROGRAM, VERSION, **how)


@contextmanager
def served(spawn: Spawn, kind: str, *, connections: int = 1, **how: Any) -> Iterator[tuple[Client, Child]]:
    """A client and the child that serves it."""
    with listen(kind) as listener:
        child = spawn(scripted.serve_accepted, listener, connections)
        with connect(kind, listener, **how) as client:
            yield client, child


def kept_port() -> socket.socket:
    """A socket that has a TCP port; listeners may come there and go, and nobody else gets it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(LOOPBACK)
    return sock


def hear_nobody(sock: inet.Datagram) -> None:
    """From here on nobody is at its port, as for the network, and nobody else gets it: connect(2)."""
    sock.socket.connect(("127.0.0.1", 9))
