"""Servers in an event loop: coroutine handlers, and a loop that is the program's own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import posix
from ipckit.errors import ClosedError, EndOfStreamError, IPCError
from ipckit.server import Peer, Server
from ipckit.sockets.unix import SeqPacket, Stream

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 20


def ask(client: Any, message: bytes) -> bytes:
    client.send(message)
    return client.receive(timeout=SECONDS)


class Meeting:
    """Nobody gets a reply before all have asked."""

    def __init__(self, count: int) -> None:
        self.missing = count
        self.complete = asyncio.Event()

    async def __call__(self, message: bytes, _peer: Peer) -> bytes | None:
        if message == b"raise":
            await asyncio.sleep(0)
            raise LookupError
        if message == b"cancel":
            raise asyncio.CancelledError
        if message == b"nothing":
            return None
        self.missing -= 1
        if not self.missing:
            self.complete.set()
        await self.complete.wait()
        return message


@pytest.mark.parametrize("kind", [Stream, SeqPacket])
def test_while_one_awaits_the_others_are_served(kind: Any, tmp_path: Path) -> None:
    reports: list[BaseException] = []
    server = Server(
        kind.listen(tmp_path / "s"), Meeting(3), mode="asyncio", on_error=lambda error, _: reports.append(error)
    )
    with server:
        clients = [kind.connect(tmp_path / "s") for _ in range(3)]
        for number, client in enumerate(clients):
            client.send(b"%d" % number)
            client.send(b"nothing")
            client.send(b"again")  # on one connection, one message after the other
        for number, client in enumerate(clients):
            assert client.receive(timeout=SECONDS) == b"%d" % number
            assert client.receive(timeout=SECONDS) == b"again"
        for client, message in zip(clients, (b"raise", b"cancel"), strict=False):
            client.send(message)
            with pytest.raises(EndOfStreamError):
                client.receive(timeout=SECONDS)
        assert ask(clients[2], b"x") == b"x"
        for client in clients:
            client.close()
    assert [type(error) for error in reports] == [LookupError, IPCError]


def test_a_server_among_other_tasks(tmp_path: Path) -> None:
    path = str(tmp_path / "s")

    async def program() -> list[bytes]:
        server = Server(Stream.listen(path), lambda message, _: message, mode="asyncio")
        serving = asyncio.create_task(server.serve())
        with Stream.connect(path) as client:
            replies = [await asyncio.to_thread(ask, client, b"%d" % number) for number in range(3)]
        server.stop()
        await serving
        with pytest.raises(ClosedError):
            await server.serve()
        return replies

    assert asyncio.run(program()) == [b"0", b"1", b"2"]


def test_a_cancelled_server_cuts_everything_off(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    cancelled: list[bytes] = []

    async def handler(message: bytes, peer: Peer) -> bytes:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(message)
            raise
        return message

    async def program(client: Stream, server: Server) -> None:
        serving = asyncio.create_task(server.serve())
        client.send(b"x")
        while server_tasks := len(asyncio.all_tasks()):
            if server_tasks == 3:  # this one, the server's, the handler's
                break
            await asyncio.sleep(0)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert client.try_read() == b""

    reports: list[BaseException] = []
    server = Server(Stream.listen(path), handler, mode="asyncio", on_error=lambda error, _: reports.append(error))
    with Stream.connect(path) as client:
        asyncio.run(program(client, server))
    assert cancelled == [b"x"]
    assert len(reports) == 1


def test_a_queue_awaits_one_message_after_the_other() -> None:
    order: list[bytes] = []

    async def handler(message: bytes, peer: Peer) -> None:
        order.append(message + b" begins")
        await asyncio.sleep(0)
        order.append(message + b" ends")
        if message == b"b":
            server.stop()

    queue = posix.MessageQueue.create(unlink_on_close=True)
    queue.send(b"a")
    queue.send(b"b")
    server = Server(queue, handler, mode="asyncio")
    server.serve_forever()
    assert order == [b"a begins", b"a ends", b"b begins", b"b ends"]


def test_serve_is_for_this_mode_only() -> None:
    with Stream.listen(None) as listener:
        server = Server(listener, lambda message, _: message, mode="selector")
        with pytest.raises(ValueError, match="call serve_forever"):
            asyncio.run(server.serve())
