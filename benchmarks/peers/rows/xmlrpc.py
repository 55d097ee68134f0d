"""xmlrpc of the standard library.

Its best mode: HTTP/1.1, so that one connection serves for all calls, a server without threads, and no log. Bytes go
as base64, which is what XML has.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any
from xmlrpc.client import ServerProxy
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

from ipckit.bench.row import Caller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class OverHttp(Caller):
    """A connection to 127.0.0.1."""

    name = "xmlrpc"
    about = "xmlrpc over HTTP/1.1 and TCP to 127.0.0.1, one connection"
    family = "xmlrpc"

    @contextmanager
    def serving(self) -> Iterator[str]:
        with SimpleXMLRPCServer(
            ("127.0.0.1", 0), _Lasting, logRequests=False, allow_none=True, use_builtin_types=True
        ) as server:
            server.register_function(_null, "null")
            server.register_function(_echo, "echo")
            thread = Thread(target=server.handle_request)  # a connection, with all requests that come over it
            thread.start()
            yield f"http://127.0.0.1:{server.server_address[1]}"
            thread.join()

    @contextmanager
    def calling(self, where: str, data: bytes, /) -> Iterator[Callable[[], object]]:
        with ServerProxy(where, allow_none=True, use_builtin_types=True) as proxy:
            yield partial(proxy.echo, data) if data else proxy.null


class _Lasting(SimpleXMLRPCRequestHandler):
    protocol_version = "HTTP/1.1"


def _null() -> None:
    """Do nothing."""


def _echo(data: Any) -> Any:
    return data
