"""Remote procedure calls: ipckit.rpc over each of its transports."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from ipckit.bench.row import Caller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.rpc import Client, Server

PROGRAM, VERSION = 0x20000001, 1
HOST = "127.0.0.1"


class _Rpc(Caller):
    """A client and a server as they are by default."""

    family = "rpc"
    _kind: ClassVar[str]

    def _listen(self, server: Server) -> str:
        """Have *server* listen; return where."""
        _, port = getattr(server, f"listen_{self._kind}")(HOST)
        return str(port)

    def _connect(self, where: str) -> Client:
        from ipckit.rpc import Client

        client: Client = getattr(Client, f"connect_{self._kind}")(HOST, int(where), PROGRAM, VERSION)
        return client

    @contextmanager
    def serving(self) -> Iterator[str]:
        server = _make_server()
        where = self._listen(server)
        with server:
            yield where

    @contextmanager
    def calling(self, where: str, data: bytes, /) -> Iterator[Callable[[], object]]:
        null, echo = _procedures()
        with self._connect(where) as client:
            yield partial(client.call, echo, data) if data else partial(client.call, null)


class RpcUnix(_Rpc):
    """A Unix stream socket with an abstract name."""

    name = "rpc unix"
    about = "ipckit.rpc.Client and Server over a Unix socket"

    def _listen(self, server: Server) -> str:
        return os.fsdecode(server.listen_unix())

    def _connect(self, where: str) -> Client:
        from ipckit.rpc import Client

        return Client.connect_unix(where, PROGRAM, VERSION)


class RpcTcp(_Rpc):
    """A connection to 127.0.0.1."""

    name = "rpc TCP"
    about = f"ipckit.rpc.Client and Server over TCP to {HOST}"
    _kind = "tcp"


class RpcUdp(_Rpc):
    """Datagrams to 127.0.0.1."""

    name = "rpc UDP"
    about = f"ipckit.rpc.Client and Server over UDP to {HOST}"
    _kind = "udp"


def _procedures() -> tuple[Any, Any]:
    """The one that does nothing, which every program has, and an echo."""
    from ipckit.rpc import Procedure  # not at the top: the processes that measure other rows start without it

    return Procedure(0, "null"), Procedure(1, "echo", (bytes,), bytes)


def _make_server() -> Server:
    from ipckit.rpc import Server, Service

    class Echo(Service):
        PROGRAM, VERSION = PROGRAM, VERSION
        PROCEDURES = _procedures()[1:]

        def echo(self, data: bytes) -> bytes:
            return data

    return Server(Echo())
