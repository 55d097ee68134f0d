"""A port mapper of one's own, for tests and for machines without rpcbind(8): RFC 1833, what clients use of it."""

from __future__ import annotations

from typing import Any

from ipckit.errors import AlreadyExistsError
from ipckit.rpc._portmap.protocol import PORT, PROGRAM
from ipckit.rpc._portmap.services import VERSIONS
from ipckit.rpc._portmap.table import PortMapper
from ipckit.rpc._portmap.uaddr import netid_and_address
from ipckit.rpc.server import Server
from ipckit.sockets import inet

__all__ = ["PortMapper", "serve"]


def serve(*, path: Any = None, host: str = "127.0.0.1", port: int = PORT, mapper: PortMapper | None = None) -> Server:
    """A server of a port mapper, which has registered itself; it serves when it is entered or told to.

    Args:
        path: of a Unix socket, such as `rpcbind.PATH`; None: none.
        host: for TCP and UDP.
        port: the same for both. 0 lets the kernel choose, for tests.
        mapper: what is registered; a new one by default.

    Raises:
        AlreadyExistsError: there is a port mapper already (EADDRINUSE).
        AccessError: ports below 1024 need a privilege (EACCES).
    """
    mapper = mapper or PortMapper()
    services = [version(mapper) for version in VERSIONS]
    server = Server(*services, listeners=_both(host, port), max_message_size=1 << 20, idle_timeout=300.0)
    try:
        if path is not None:
            server.listen_unix(path, mode=0o666)
    except BaseException:
        for listener in server.listeners:
            listener.close()
        raise
    for listener in server.listeners:
        named = netid_and_address(listener)
        if named is not None:
            for version in VERSIONS:
                mapper.set(PROGRAM, version.VERSION, *named)
    return server


def _both(host: str, port: int) -> tuple[inet.Listener[inet.Stream], inet.Datagram]:
    """What listens for TCP and for UDP, at the same port."""
    while True:
        listener = inet.Stream.listen((host, port))
        try:
            return listener, inet.Datagram.bind((host, listener.address[1]))
        except BaseException as error:
            listener.close()
            if port or not isinstance(error, AlreadyExistsError):
                raise
