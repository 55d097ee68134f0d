"""rpyc over a Unix socket and over TCP.

Its best mode: a connection that one thread serves without a pool, no Nagle's delay, and a reference to the remote
method that is fetched once; bytes are passed by value.
"""

# mypy: disable-error-code="import-untyped, import-not-found, misc, unused-ignore"

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any

import rpyc

from ipckit.bench.row import Caller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Echo(rpyc.Service):
    """What the server offers."""

    def exposed_null(self) -> None:
        """Do nothing."""

    def exposed_echo(self, data: bytes) -> bytes:
        """Give back *data*."""
        return data


class OverUnix(Caller):
    """A Unix stream socket with an abstract name."""

    name = "rpyc unix"
    about = "rpyc over a Unix socket: an exposed method, referred to once"
    family = "rpyc"

    def _listen(self) -> tuple[socket.socket, str]:
        """A listening socket, and where it is."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("")  # an abstract name that the kernel chooses
        listener.listen()
        return listener, os.fsdecode(listener.getsockname())

    def _connect(self, where: str) -> socket.socket:
        """A connected socket."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(where)
        return connection

    @contextmanager
    def serving(self) -> Iterator[str]:
        listener, where = self._listen()

        def serve() -> None:
            connection, _ = listener.accept()
            _joined(connection, Echo).serve_all()  # until the client hangs up

        thread = Thread(target=serve)
        thread.start()
        yield where
        thread.join()
        listener.close()

    @contextmanager
    def calling(self, where: str, data: bytes, /) -> Iterator[Callable[[], object]]:
        connection = _joined(self._connect(where))
        yield partial(connection.root.echo, data) if data else connection.root.null
        connection.close()


class OverTcp(OverUnix):
    """A connection to 127.0.0.1."""

    name = "rpyc TCP"
    about = "rpyc over TCP to 127.0.0.1: an exposed method, referred to once"

    def _listen(self) -> tuple[socket.socket, str]:
        listener = socket.create_server(("127.0.0.1", 0))
        return listener, str(listener.getsockname()[1])

    def _connect(self, where: str) -> socket.socket:
        return socket.create_connection(("127.0.0.1", int(where)))


def _joined(connection: socket.socket, *service: Any) -> Any:
    if connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return rpyc.connect_stream(rpyc.SocketStream(connection), *service)
