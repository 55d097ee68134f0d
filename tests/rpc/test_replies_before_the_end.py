"""Replies that came before the connection broke reach their calls, though another call was the first to notice."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from queue import SimpleQueue
from typing import Any

import pytest

from ipckit.rpc._client.async_link import AsyncStreamLink
from ipckit.rpc._client.link import NotSent
from ipckit.rpc._client.stream_link import StreamLink
from ipckit.sockets import inet, unix
from ipckit.testing import wait_blocked
from tests.rpc.scripted import record, success, words

SIZE = 1000
ASIDE, READS, LATE = 1, 2, 3  # xids: of a call whose thread does not read yet, of one that does, of one too late


def pair(kind: str) -> tuple[Any, Any]:
    if kind == "unix":
        return unix.Stream.pair()
    with inet.Stream.listen(("127.0.0.1", 0)) as listener:
        return inet.Stream.connect(listener.address), listener.accept(timeout=20)


def send_until_refused(link: StreamLink) -> None:
    """TCP takes one message more, for it learns by that one that nobody is there."""
    while True:
        link.send(words(LATE), b"", None)


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_call_of_another_thread_gets_its_own(kind: str) -> None:
    ours, theirs = pair(kind)
    link = StreamLink(ours, SIZE)
    box = link._pending[ASIDE] = SimpleQueue()
    theirs.write(record(success(ASIDE, b"aside")))
    theirs.close()
    with pytest.raises(NotSent):
        send_until_refused(link)
    assert box.get_nowait() == success(ASIDE, b"aside")
    assert link.broken is not None
    link.close()


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_so_does_one_that_reads_for_all(kind: str) -> None:
    ours, theirs = pair(kind)
    link = StreamLink(ours, SIZE)
    box = link._pending[ASIDE] = SimpleQueue()
    got: SimpleQueue[bytes] = SimpleQueue()
    reader = threading.Thread(target=lambda: got.put(link.call(READS, words(READS), b"", None)))
    reader.start()
    assert theirs.read(8)
    wait_blocked(os.getpid(), "recvfrom", tid=reader.native_id)
    theirs.write(record(success(ASIDE, b"aside")) + record(success(READS, b"reads")))
    theirs.close()
    with pytest.raises(NotSent):
        send_until_refused(link)
    reader.join()
    assert got.get_nowait() == success(READS, b"reads")
    assert box.get_nowait() == success(ASIDE, b"aside")
    link.close()


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_who_reads_for_all_has_the_time_that_it_takes(kind: str) -> None:
    ours, theirs = pair(kind)
    link = StreamLink(ours, SIZE)
    box = link._pending[ASIDE] = SimpleQueue()
    got: SimpleQueue[bytes] = SimpleQueue()
    refused = threading.Event()
    recv = link._recv

    def recv_and_be_held_up(*how: int) -> bytes:
        data: bytes = recv(*how)
        assert refused.wait(20)
        return data

    link._recv = recv_and_be_held_up
    reader = threading.Thread(target=lambda: got.put(link.call(READS, words(READS), b"", None)))
    reader.start()
    assert theirs.read(8)
    theirs.write(record(success(ASIDE, b"aside")) + record(success(READS, b"reads")))
    theirs.close()
    with pytest.raises(NotSent):
        send_until_refused(link)
    assert link.broken is not None
    assert box.empty()
    refused.set()
    reader.join()
    assert got.get_nowait() == success(READS, b"reads")
    assert box.get_nowait() == success(ASIDE, b"aside")
    link.close()


def test_a_task_gets_its_own() -> None:
    async def main() -> bytes:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        _, link = await loop.create_connection(lambda: AsyncStreamLink("pair", SIZE), sock=ours)
        call = loop.create_task(link.call(ASIDE, words(ASIDE), b"", None))
        await loop.sock_recv(theirs, 8)
        theirs.send(record(success(ASIDE, b"aside")))
        theirs.close()
        with pytest.raises(NotSent):
            while True:  # the first one is refused by the kernel, before the loop has read
                await link.give_out(words(LATE), b"", None)
                await asyncio.sleep(0)
        return await call

    assert asyncio.run(main()) == success(ASIDE, b"aside")
