"""Calls to a server of ONC RPC from asyncio: the methods of `Client` as coroutines."""

from __future__ import annotations

import asyncio
import copy
from functools import partial
from typing import TYPE_CHECKING, Any

from ipckit._wait import Deadline
from ipckit.errors import ClosedError, RpcError
from ipckit.rpc._client.async_link import AsyncDatagramLink, AsyncLink, AsyncStreamLink
from ipckit.rpc._client.caller import Caller
from ipckit.rpc._client.connecting import interval_of
from ipckit.rpc._client.datagram_link import MOST_DATAGRAM
from ipckit.rpc._client.link import NotSent
from ipckit.rpc._wire.record import DEFAULT_MAX_MESSAGE_SIZE
from ipckit.sockets import inet, unix

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from typing_extensions import Self

    from ipckit.rpc.auth import Credential
    from ipckit.rpc.procedure import Procedure

__all__ = ["AsyncClient"]


class AsyncClient:
    """The calls of a program in one version from one event loop; otherwise as `Client`.

    Tasks share it: their calls are in flight at the same time. A call that is cancelled leaves the connection usable.
    It is for the loop in which it was made, and not for a forked child.

    >>> import asyncio
    >>> from ipckit import rpc
    >>> async def ask():
    ...     async with await rpc.AsyncClient.connect_unix("/nowhere/rpcbind.sock", 100000, 4) as client:
    ...         await client.call_raw(0)
    >>> try:
    ...     asyncio.run(ask())
    ... except FileNotFoundError as error:
    ...     print(error.strerror)
    No such file or directory
    """

    __slots__ = ("_caller", "_closed", "_connect", "_link", "_renewing")

    def __init__(
        self, caller: Caller, link: AsyncLink, connect: Callable[[float | None], Awaitable[AsyncLink]] | None
    ) -> None:
        self._caller = caller
        self._link = link
        self._connect = connect
        self._renewing: set[asyncio.Future[None]] | None = None  # those who wait for a task that connects, if one does
        self._closed = False

    @classmethod
    async def connect_tcp(
        cls,
        host: str,
        port: int,
        program: int,
        version: int,
        *,
        credential: Credential | None = None,
        max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
        reconnect: bool = False,
        timeout: float | None = None,
    ) -> Self:
        """As `Client.connect_tcp`."""
        caller = Caller(program, version, credential, max_message_size)

        async def connect(timeout: float | None) -> AsyncLink:
            dial = partial(inet.Stream.connect, (host, port), timeout=timeout)
            return await _stream(dial, f"{host}:{port}", max_message_size)

        return cls(caller, await connect(timeout), connect if reconnect else None)

    @classmethod
    async def connect_unix(
        cls,
        path: unix.Address,
        program: int,
        version: int,
        *,
        credential: Credential | None = None,
        max_message_size: int = DEFAULT_MAX_MESSAGE_SIZE,
        reconnect: bool = False,
        timeout: float | None = None,
    ) -> Self:
        """As `Client.connect_unix`."""
        caller = Caller(program, version, credential, max_message_size)

        async def connect(timeout: float | None) -> AsyncLink:
            dial = partial(unix.Stream.connect, path, timeout=timeout)
            return await _stream(dial, str(path), max_message_size)

        return cls(caller, await connect(timeout), connect if reconnect else None)

    @classmethod
    async def connect_udp(
        cls,
        host: str,
        port: int,
        program: int,
        version: int,
        *,
        credential: Credential | None = None,
        max_message_size: int = MOST_DATAGRAM,
        retry_interval: float = 0.5,
    ) -> Self:
        """As `Client.connect_udp`."""
        interval_ns = interval_of(retry_interval)
        caller = Caller(program, version, credential, min(max_message_size, MOST_DATAGRAM))

        async def connect(_: float | None) -> AsyncLink:
            return await _datagram(partial(inet.Datagram.connect, (host, port)), f"{host}:{port}", interval_ns)

        return cls(caller, await connect(None), None)

    @property
    def program(self) -> int:
        """The number of the program that is called."""
        return self._caller.program

    @property
    def version(self) -> int:
        """Its version."""
        return self._caller.version

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def fileno(self) -> int:
        """The socket's descriptor, ours to read from and to close; with `reconnect` it may become another one."""
        if self._closed:
            raise ClosedError("AsyncClient is closed")
        return self._link.fd

    def close(self) -> None:
        """End all calls with ClosedError and let the connection go. Closing again does nothing."""
        self._closed = True
        self._link.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        await self._link.wait_closed()

    def __repr__(self) -> str:
        return "<AsyncClient closed>" if self._closed else f"<AsyncClient {self._caller} fd={self._link.fd}>"

    async def call(self, procedure: Procedure, *arguments: Any, timeout: float | None = None) -> Any:
        """Call *procedure* and return its result; raises what `Client.call` raises."""
        reply, start = await self._exchange(procedure.number, procedure.arguments.encode(arguments), timeout)
        return procedure.result.decode_from(reply, start)[0]

    async def call_raw(self, number: int, data: bytes = b"", timeout: float | None = None) -> bytes:
        """As `Client.call_raw`."""
        reply, start = await self._exchange(number, data, timeout)
        return reply[start:]

    async def send(self, procedure: Procedure, *arguments: Any, timeout: float | None = None) -> None:
        """As `Client.send`; it has been given to the transport, which sends it as soon as there is room."""
        await self.send_raw(procedure.number, procedure.arguments.encode(arguments), timeout)

    async def send_raw(self, number: int, data: bytes = b"", timeout: float | None = None) -> None:
        """As `send`, with arguments that are encoded already."""
        deadline = None if timeout is None else Deadline.after(timeout)
        head = self._caller.head(self._caller.new_xid(), number, len(data))
        try:
            return await self._link.send(head, data, deadline)
        except NotSent as failed:
            link = await self._instead(failed, deadline)
        try:
            return await link.send(head, data, deadline)
        except NotSent as failed:
            raise copy.copy(failed.reason) from None

    async def _exchange(self, number: int, data: bytes, timeout: float | None) -> tuple[bytes, int]:
        deadline = None if timeout is None else Deadline.after(timeout)
        caller, tries = self._caller, 0
        while True:
            xid = caller.new_xid()
            head = caller.head(xid, number, len(data))
            reply = await self._reply(xid, head, data, deadline)
            try:
                return reply, caller.result_at(reply, number)
            except RpcError as error:
                tries += 1
                if tries > 1 or not caller.refreshes(error):
                    raise

    async def _reply(self, xid: int, head: bytes, data: bytes, deadline: Deadline | None) -> bytes:
        try:
            return await self._link.call(xid, head, data, deadline)
        except NotSent as failed:
            link = await self._instead(failed, deadline)
        try:
            return await link.call(xid, head, data, deadline)
        except NotSent as failed:
            raise copy.copy(failed.reason) from None

    async def _instead(self, failed: NotSent, deadline: Deadline | None) -> AsyncLink:
        """A new link, *failed* having found the present one broken."""
        if self._connect is None:
            raise copy.copy(failed.reason) from None
        while (waiting := self._renewing) is not None:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            waiting.add(turn)
            try:
                await self._link.until(turn, deadline)
            finally:
                waiting.discard(turn)
        if self._link.broken is not None and not self._closed:  # no other task was faster
            self._renewing = set()
            try:
                self._link = await self._connect(None if deadline is None else deadline.left())
            finally:
                waiting, self._renewing = self._renewing, None
                for turn in waiting:
                    if not turn.done():
                        turn.set_result(None)
            if self.closed:  # meanwhile
                self._link.close()
        return self._link


async def _dialled(dial: Callable[[], Any]) -> socket.socket:
    """What *dial* connects, for the loop; in a thread, for to look a name up cannot be had otherwise."""
    loop = asyncio.get_running_loop()
    dialling = loop.run_in_executor(None, dial)
    try:
        handle = await asyncio.shield(dialling)
    except asyncio.CancelledError:
        dialling.add_done_callback(_let_go)
        raise
    with handle:
        sock: socket.socket = handle.socket.dup()
    return sock


def _let_go(dialling: asyncio.Future[Any]) -> None:
    if not dialling.cancelled() and dialling.exception() is None:
        dialling.result().close()


async def _stream(dial: Callable[[], Any], subject: str, max_size: int) -> AsyncLink:
    sock = await _dialled(dial)
    loop = asyncio.get_running_loop()
    try:
        return (await loop.create_connection(lambda: AsyncStreamLink(subject, max_size), sock=sock))[1]
    except BaseException:
        sock.close()
        raise


async def _datagram(dial: Callable[[], Any], subject: str, interval_ns: int) -> AsyncLink:
    sock = await _dialled(dial)
    loop = asyncio.get_running_loop()
    try:
        return (await loop.create_datagram_endpoint(lambda: AsyncDatagramLink(subject, interval_ns), sock=sock))[1]
    except BaseException:
        sock.close()
        raise
