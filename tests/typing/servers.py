"""A user's program under ``mypy --strict``: servers. It is checked, and never run."""

from __future__ import annotations

import signal
from typing import Any

from typing_extensions import assert_type

from ipckit import Fifo, posix
from ipckit.server import MODES, Peer, Server
from ipckit.sockets.unix import Credentials, Stream


def handler(message: bytes, peer: Peer) -> bytes | None:
    assert_type(peer.credentials, Credentials | None)
    assert_type(peer.priority, int | None)
    assert_type(peer.state, dict[str, Any])
    return message or None


async def coroutine(message: bytes, peer: Peer) -> bytearray:
    return bytearray(message)


def text(message: bytes, peer: Peer) -> str:
    return message.decode()


def told(error: BaseException, peer: Peer | None) -> None:
    print(error, peer)


assert_type(MODES, tuple[str, str, str, str])
server = Server(Stream.listen(None), handler, mode="selector", max_connections=3, idle_timeout=1.5, on_error=told)
with server as entered, server.stop_on_signals(signal.SIGTERM, grace=None):
    assert_type(entered, Server)
    server.stop(grace=1)
Server(Fifo.create(), coroutine, mode="asyncio", workers=None).serve_forever()
Server(posix.MessageQueue.create(), lambda message, _: memoryview(message))
Server(Stream.listen(None), text)  # type: ignore[arg-type]
Server(Stream.listen(None), handler, "threads")  # type: ignore[call-arg]
Server(Stream.listen(None), handler, on_error=print, max_connections="3")  # type: ignore[arg-type]


async def main() -> None:
    await server.serve()
