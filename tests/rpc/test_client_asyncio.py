"""The asyncio client: the same calls, against the same servers."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import errors
from ipckit.rpc import AsyncClient, AuthStat, Procedure
from ipckit.sockets import inet, unix
from tests.rpc import scripted
from tests.rpc.calling import LOOPBACK, PROGRAM, VERSION, hear_nobody, kept_port, listen
from tests.rpc.scripted import LAST, words
from tests.rpc.test_client import Token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from ipckit.testing import Child, Spawn

both = pytest.mark.parametrize("kind", ["unix", "tcp"])


@asynccontextmanager
async def served(
    spawn: Spawn, kind: str, *, connections: int = 1, **how: Any
) -> AsyncIterator[tuple[AsyncClient, Child]]:
    with listen(kind) as listener:
        child = spawn(scripted.serve_accepted, listener, connections)
        async with await connect(kind, listener, **how) as client:
            yield client, child


async def connect(kind: str, listener: Any, **how: Any) -> AsyncClient:
    how = {"timeout": 20, **how}
    if kind == "unix":
        return await AsyncClient.connect_unix(listener.getsockname(), PROGRAM, VERSION, **how)
    return await AsyncClient.connect_tcp(*listener.address, PROGRAM, VERSION, **how)


async def reached(child: Child, name: str) -> None:
    await asyncio.get_running_loop().run_in_executor(None, child.wait_reached, name)


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


@pytest.mark.slow
@both
def test_calls_of_every_size_and_every_status(spawn: Spawn, kind: str) -> None:
    async def main() -> None:
        async with served(spawn, kind) as (client, _):
            assert await client.call_raw(scripted.NULL) == b""
            for size in (1, 1024, 16385, 300_000, 5_000_000):
                data = os.urandom(size)
                assert await client.call_raw(scripted.ECHO, data, timeout=20) == data
            assert (
                await client.call_raw(scripted.DRIBBLE, b"some more than a few bytes") == b"some more than a few bytes"
            )
            assert await client.call_raw(scripted.TWICE, b"again") == b"again"
            with pytest.raises(errors.ProgramMismatchError) as caught:
                await client.call_raw(scripted.VERBATIM, words(1, 0, 0, 0, 2, 4, 6))
            assert (caught.value.low, caught.value.high) == (4, 6)
            assert await client.call(Procedure(scripted.ECHO, "echo", (int, str), int), -7, "text") == -7
            assert (client.program, client.version) == (PROGRAM, VERSION)
            assert repr(client).startswith("<AsyncClient program 0x20000099 version 3 fd=")
        assert repr(client) == "<AsyncClient closed>"
        assert client.closed

    run(main())


def test_replies_overtake_time_runs_out_tasks_are_cancelled(spawn: Spawn) -> None:
    async def main() -> None:
        async with served(spawn, "unix") as (client, child):
            waiting = []
            for index in range(6):
                waiting.append(asyncio.create_task(client.call_raw(scripted.HOLD, words(index))))
                await reached(child, f"held {index + 1}")
            waiting[0].cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting[0]
            with pytest.raises(errors.TimeoutExpired) as caught:
                await client.call_raw(scripted.HOLD, timeout=0.01)
            assert caught.value.errno == errno.ETIMEDOUT
            with pytest.raises(errors.TimeoutExpired):
                await client.call_raw(scripted.HOLD, timeout=0)
            assert await client.call_raw(scripted.ECHO, b"meanwhile") == b"meanwhile"
            assert await client.call_raw(scripted.LET_GO) == b""
            assert await asyncio.gather(*waiting[1:]) == [words(index) for index in range(1, 6)]
            assert await client.call_raw(scripted.COUNT) == words(11)

    run(main())


@pytest.mark.slow
@both
def test_large_calls_and_batches_meet_without_a_standstill(spawn: Spawn, kind: str) -> None:
    async def main() -> None:
        async with served(spawn, kind) as (client, _):
            data = [bytes([number]) * 3_000_000 for number in range(4)]
            assert await asyncio.gather(*(client.call_raw(scripted.ECHO, one, 40) for one in data)) == data
            for _ in range(100):
                await client.send_raw(scripted.ECHO, b"x" * 100_000, 20)
            await client.send(Procedure(scripted.ECHO, "echo", (int,), int), 1)
            assert await client.call_raw(scripted.COUNT, timeout=20) == words(106)

    run(main())


def test_what_there_was_no_time_to_give_out_is_not_sent(spawn: Spawn) -> None:
    async def main() -> None:
        with listen("unix") as listener:
            client = await connect("unix", listener)
            with listener.accept(timeout=20) as connection:
                child = spawn(scripted.sip, connection)
        async with client:
            await reached(child, "idle")
            for _ in range(3):  # the transport keeps what is left of the first; the others are not begun
                with pytest.raises(errors.TimeoutExpired):
                    await client.call_raw(scripted.ECHO, b"x" * 1_000_000, 0.01)
            child.resume("read")
            assert await client.call_raw(scripted.COUNT, timeout=20) == words(2)
        await asyncio.get_running_loop().run_in_executor(None, child.join)

    run(main())


BREAKS: dict[str, tuple[int, bytes, type[Exception]]] = {
    "closed": (scripted.CLOSE, b"", errors.BrokenPeerError),
    "cut": (scripted.CUT, b"12345678", errors.BrokenPeerError),
    "a record of 2 GiB": (scripted.RAW, words(LAST - 1), errors.MessageTooLargeError),
}


@pytest.mark.parametrize(("procedure", "data", "expected"), BREAKS.values(), ids=BREAKS)
def test_all_who_wait_learn_that_the_connection_broke(
    spawn: Spawn, procedure: int, data: bytes, expected: type[Exception]
) -> None:
    async def main() -> None:
        async with served(spawn, "tcp") as (client, child):
            waiting = asyncio.create_task(client.call_raw(scripted.HOLD))
            await reached(child, "held 1")
            with pytest.raises(expected):
                await client.call_raw(procedure, data)
            with pytest.raises(expected):
                await waiting
            with pytest.raises(errors.BrokenPeerError):
                await client.call_raw(scripted.NULL)
            with pytest.raises(errors.BrokenPeerError):
                await client.send_raw(scripted.NULL)

    run(main())


@both
def test_a_broken_connection_is_made_anew(spawn: Spawn, kind: str) -> None:
    async def main() -> None:
        async with served(spawn, kind, connections=2, reconnect=True) as (client, child):
            with pytest.raises(errors.BrokenPeerError):
                await client.call_raw(scripted.CLOSE)
            assert await asyncio.gather(*(client.call_raw(scripted.ECHO, words(n)) for n in range(4))) == [
                words(n) for n in range(4)
            ]
            client.close()
            assert await asyncio.get_running_loop().run_in_executor(None, child.result) == 5

    run(main())


def test_who_waits_while_another_task_connects_has_its_own_timeout() -> None:
    async def main() -> None:
        with unix.Stream.listen(None, backlog=0) as listener, ExitStack() as stack:
            address = listener.getsockname()
            client = await AsyncClient.connect_unix(address, PROGRAM, VERSION, reconnect=True, timeout=20)
            listener.accept(timeout=20).close()
            await client._link.wait_closed()
            while True:  # until nobody more is let in
                other = stack.enter_context(socket.socket(socket.AF_UNIX))
                other.setblocking(False)
                if other.connect_ex(address):
                    break
            patient = asyncio.create_task(client.call_raw(0))
            await asyncio.sleep(0)
            with pytest.raises(errors.TimeoutExpired):
                await asyncio.wait_for(client.call_raw(0, timeout=0.05), 20)
            assert not patient.done()
            listener.close()
            with pytest.raises(errors.BrokenPeerError):
                await patient
            client.close()

    run(main())


def test_close_ends_those_who_wait(spawn: Spawn) -> None:
    async def main() -> None:
        async with served(spawn, "unix") as (client, child):
            waiting = asyncio.create_task(client.call_raw(scripted.HOLD))
            await reached(child, "held 1")
            client.close()
            client.close()
            for call in (waiting, client.call_raw(0), client.send_raw(0)):
                with pytest.raises(errors.ClosedError, match="AsyncClient is closed"):
                    await call
            with pytest.raises(errors.ClosedError):
                client.fileno()

    run(main())


def test_nobody_listens() -> None:
    async def main() -> None:
        with kept_port() as port, pytest.raises(errors.BrokenPeerError):
            await AsyncClient.connect_tcp(*port.getsockname(), PROGRAM, VERSION, timeout=20)
        with pytest.raises(errors.NotFoundError):
            await AsyncClient.connect_unix("/nowhere/rpc.sock", PROGRAM, VERSION)

    run(main())


def test_a_flavor_of_ones_own_refreshes(spawn: Spawn) -> None:
    async def main() -> None:
        async with served(spawn, "unix", credential=Token()) as (client, _):
            with pytest.raises(errors.AuthenticationError, match="REJECTEDCRED"):
                await client.call_raw(scripted.VERBATIM, words(1, 1, 1, AuthStat.REJECTEDCRED))
            assert await client.call_raw(scripted.CREDENTIAL) == words(0x20000001, 4, 1)

    run(main())


def test_udp_sends_again_with_the_same_xid(spawn: Spawn) -> None:
    async def main() -> None:
        with inet.Datagram.bind(LOOPBACK) as sock:
            child, address = spawn(scripted.serve_datagrams, sock), sock.address[:2]
            async with await AsyncClient.connect_udp(*address, PROGRAM, VERSION, retry_interval=0.01) as client:
                assert await client.call_raw(scripted.HOLD, b"at last", 20) == b"at last"
                with pytest.raises(errors.TimeoutExpired):
                    await client.call_raw(scripted.NEVER, b"", 0.005)
                await client.send_raw(scripted.NEVER)
            async with await AsyncClient.connect_udp(*address, PROGRAM, VERSION, retry_interval=30) as client:
                got = await asyncio.gather(*(client.call_raw(scripted.ECHO, words(n), 20) for n in range(10)))
                assert got == [words(n) for n in range(10)]
                with pytest.raises(errors.ProcedureUnavailableError):
                    await client.call_raw(scripted.VERBATIM, words(1, 0, 0, 0, 3), 20)
                await client.send_raw(scripted.CLOSE)
                seen = await asyncio.get_running_loop().run_in_executor(None, child.result)
                hear_nobody(sock)
                with pytest.raises(errors.BrokenPeerError):
                    await client.call_raw(0, b"", 20)
        copies = len(seen) - 2 - 10 - 1
        assert copies >= 3
        assert [procedure for _, procedure in seen[: copies + 2]] == [scripted.HOLD] * copies + [scripted.NEVER] * 2
        assert len({xid for xid, _ in seen[:copies]}) == 1

    run(main())
