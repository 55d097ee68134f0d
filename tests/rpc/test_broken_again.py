"""A connection that breaks is replaced by one that is broken as well before anything could be sent over it."""

from __future__ import annotations

import asyncio
import socket

import pytest

from ipckit.errors import BrokenPeerError
from ipckit.rpc import AsyncClient, Client
from ipckit.rpc._client.async_link import AsyncLink, AsyncStreamLink
from ipckit.rpc._client.caller import Caller
from ipckit.rpc._client.line import Line
from ipckit.rpc._client.stream_link import StreamLink
from ipckit.sockets import unix
from tests.rpc.calling import PROGRAM, VERSION

SIZE = 1000
CALLER = Caller(PROGRAM, VERSION, None, SIZE)


def broken(_: object) -> StreamLink:
    ours, theirs = unix.Stream.pair()
    theirs.close()
    return StreamLink(ours, SIZE)


async def broken_for_tasks(_: float | None) -> AsyncLink:
    ours, theirs = socket.socketpair()
    theirs.close()
    loop = asyncio.get_running_loop()
    _, link = await loop.create_connection(lambda: AsyncStreamLink("pair", SIZE), sock=ours)
    while link.broken is None:  # noqa: ASYNC110 the loop tells it, and nobody else
        await asyncio.sleep(0)
    return link


def test_the_caller_is_told_what_befell_the_second() -> None:
    with Client(CALLER, Line(broken(None), broken, reconnects=True)) as client:
        for call in (client.call_raw, client.send_raw):
            for _ in range(2):
                with pytest.raises(BrokenPeerError):
                    call(0, b"", 20)


def test_so_are_tasks() -> None:
    async def main() -> None:
        async with AsyncClient(CALLER, await broken_for_tasks(None), broken_for_tasks) as client:
            for call in (client.call_raw, client.send_raw):
                for _ in range(2):
                    with pytest.raises(BrokenPeerError):
                        await call(0, b"", 20)

    asyncio.run(main())
