"""A written service and its written clients: every transport, methods of both kinds, the caller's call."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from ipckit.errors import (
    BrokenPeerError,
    ClosedError,
    GarbageArgumentsError,
    RemoteFailureError,
    TimeoutExpired,
    XdrError,
)
from ipckit.rpc import Server
from ipckit.rpc.idl import compile_source
from tests.rpc.idl_tools import imported

TEXT = """
enum way { UP, DOWN };
struct item { string name<8>; item *next; };
program TRY {
    version TRY_1 {
        void NULL(void) = 0;
        item *TURN(item *first, way which) = 1;
        string WHO(void) = 2;
        void FAIL(int) = 3;
        int WAIT(void) = 4;
    } = 1;
} = 0x20000077;
"""


@pytest.fixture(scope="module")
def written():
    with imported(compile_source(TEXT, "try.x").source) as module:
        yield module


def service_of(written: Any, *, coroutines: bool) -> Any:
    class Try(written.TryV1):
        def __init__(self) -> None:
            self.go = threading.Event()

        def turn(self, first, which):
            turned = None
            while first is not None:
                turned, first = written.Item(first.name, turned), first.next
            return turned if which == written.Way.DOWN else None

        def who(self, *, call):
            return f"{call.program:x} {call.version} {call.procedure}"

        def fail(self, number):
            if number:
                raise GarbageArgumentsError("not that number")
            raise RuntimeError("bad luck")

        def wait(self):
            self.go.wait(20)
            return 7

    class TryLater(Try):
        async def turn(self, first, which):
            await asyncio.sleep(0)
            return super().turn(first, which)

        async def who(self, *, call):
            return super().who(call=call)

        async def wait(self):
            await asyncio.to_thread(self.go.wait, 20)
            return 7

    return TryLater() if coroutines else Try()


@pytest.fixture(params=["threads", "asyncio"])
def serving(request, written):
    service = service_of(written, coroutines=request.param == "asyncio")
    told = []
    server = Server(service, mode=request.param, on_error=lambda *what: told.append(what))
    at = {"tcp": server.listen_tcp("127.0.0.1"), "unix": (server.listen_unix(),), "udp": server.listen_udp("127.0.0.1")}
    with server:
        yield service, at
    # The reply to a call that was given up may find that the client has gone.
    assert [str(error) for error, _ in told if not isinstance(error, BrokenPeerError)] == ["bad luck"]


@pytest.mark.parametrize("kind", ["tcp", "unix", "udp"])
def test_methods_call_methods(serving, written, kind):
    service, at = serving
    with getattr(written.TryV1Client, f"connect_{kind}")(*at[kind]) as client:
        assert client.null(timeout=20) is None
        chain = written.Item("a", written.Item("b", None))
        assert client.turn(chain, written.Way.DOWN, timeout=20) == written.Item("b", written.Item("a", None))
        assert client.turn(chain, written.Way.UP, timeout=20) is None
        assert client.who(timeout=20) == "20000077 1 2"
        with pytest.raises(RemoteFailureError):
            client.fail(0, timeout=20)
        with pytest.raises(GarbageArgumentsError):
            client.fail(1, timeout=20)
        with pytest.raises(XdrError, match="name"):
            client.turn(written.Item("too long a name", None), written.Way.UP, timeout=20)
        with pytest.raises(TimeoutExpired):
            client.wait(timeout=0)
        service.go.set()
        assert client.wait(timeout=20) == 7
    client.close()
    with pytest.raises(ClosedError):
        client.null(timeout=20)


@pytest.mark.parametrize("kind", ["tcp", "unix", "udp"])
def test_coroutines_call_methods(serving, written, kind):
    service, at = serving

    async def use() -> None:
        async with await getattr(written.TryV1AsyncClient, f"connect_{kind}")(*at[kind]) as client:
            waiting = asyncio.ensure_future(client.wait(timeout=20))
            assert await client.null(timeout=20) is None
            assert await client.turn(written.Item("a", None), written.Way.DOWN, timeout=20) == written.Item("a", None)
            assert await client.who(timeout=20) == "20000077 1 2"
            with pytest.raises(RemoteFailureError):
                await client.fail(0, timeout=20)
            assert not waiting.done()
            service.go.set()
            assert await waiting == 7
            assert repr(client).startswith("<TryV1AsyncClient <AsyncClient ")
            assert client.client.program == 0x20000077
        client.close()
        with pytest.raises(ClosedError):
            await client.null(timeout=20)

    asyncio.run(use())
