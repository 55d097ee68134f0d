"""Calls in flight over a socket of an asyncio event loop."""

from __future__ import annotations

import asyncio
import copy
import errno
import os
import socket
from typing import Any

from ipckit._wait import NEVER_NS, Deadline
from ipckit.errors import BrokenPeerError, ClosedError, IPCError, syscall_error
from ipckit.rpc._client.datagram_link import LONGEST_INTERVAL_NS
from ipckit.rpc._client.link import NotSent
from ipckit.rpc._wire.message import unpack_xid
from ipckit.rpc._wire.record import LAST, RecordReader, pack_mark

_COPIED = 16384  # bytes; up to here head and data are put together for one send(2)
_READ = 65536  # bytes


class AsyncLink(asyncio.BaseProtocol):
    """A socket and the calls that wait for their replies on it; for the one event loop in which it was made."""

    def __init__(self, subject: str) -> None:
        self.broken: IPCError | None = None  # why no reply will come any more
        self._subject = subject
        self._loop = asyncio.get_running_loop()
        self._pending: dict[int, asyncio.Future[bytes]] = {}
        self._transport: Any = None
        self._gone: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self.broken is None:
            number = error.errno if isinstance(error, OSError) and error.errno else errno.ECONNRESET
            remedy = None if error else "the server closed the connection"
            self.fail(syscall_error(number, "recv", self._subject, remedy=remedy))
        if not self._gone.done():
            self._gone.set_result(None)

    @property
    def fd(self) -> int:
        """The descriptor of the socket."""
        sock = self._transport.get_extra_info("socket")
        return -1 if sock is None else int(sock.fileno())

    def close(self) -> None:
        """End all calls with ClosedError, and let the socket go."""
        self.fail(ClosedError("AsyncClient is closed"))

    async def wait_closed(self) -> None:
        """Wait until the socket is closed, which takes a turn of the loop."""
        await asyncio.shield(self._gone)

    def fail(self, error: IPCError) -> None:
        """Have all calls in flight, and those to come, fail with *error*."""
        if self.broken is None:
            self.broken = error
        for future in self._pending.values():
            if not future.done():
                future.set_exception(copy.copy(error))
        self._transport.abort()

    async def call(self, xid: int, head: bytes, data: bytes, deadline: Deadline | None) -> bytes:
        """Send the call and wait for its reply.

        Raises:
            NotSent: the link is broken, and nothing was sent.
            TimeoutExpired, BrokenPeerError, ClosedError: there is no reply.
        """
        future = self._pending[xid] = self._loop.create_future()
        try:
            return await self._exchange(future, head, data, deadline)
        finally:
            del self._pending[xid]
            if not future.cancel() and not future.cancelled():
                future.exception()  # seen: who waited was cancelled

    async def send(self, head: bytes, data: bytes, deadline: Deadline | None) -> None:
        """Send a call that is not waited for; the kernel has it then."""
        await self.give_out(head, data, deadline)

    async def give_out(self, head: bytes, data: bytes, deadline: Deadline | None) -> None:
        """Give a message to the transport."""
        raise NotImplementedError

    async def _exchange(
        self, future: asyncio.Future[bytes], head: bytes, data: bytes, deadline: Deadline | None
    ) -> bytes:
        await self.give_out(head, data, deadline)
        return bytes(await self.until(future, deadline))

    async def until(self, future: asyncio.Future[Any], deadline: Deadline | None) -> Any:
        """The result of *future*.

        Raises:
            TimeoutExpired: it has none in time (ETIMEDOUT).
        """
        if deadline is None:
            return await future
        timer = self._loop.call_later(deadline.remaining_ns() / 1e9, self._expire, future)
        try:
            return await future
        finally:
            timer.cancel()

    def _expire(self, future: asyncio.Future[Any]) -> None:
        if not future.done():
            future.set_exception(syscall_error(errno.ETIMEDOUT, "recv", self._subject))

    def _usable(self) -> None:
        if self.broken is not None:
            error = copy.copy(self.broken)
            raise NotSent(error) if isinstance(error, BrokenPeerError) else error

    def _give(self, message: bytes) -> None:
        if len(message) >= 4:
            future = self._pending.get(unpack_xid(message)[0])
            if future is not None and not future.done():
                future.set_result(message)


class AsyncStreamLink(AsyncLink, asyncio.Protocol):
    """A connection and its calls."""

    def __init__(self, subject: str, max_size: int) -> None:
        super().__init__(subject)
        self._reader = RecordReader(max_size)
        self._without_room: set[asyncio.Future[None]] | None = None  # who waits to write; None: there is room

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transport.set_write_buffer_limits(0)

    def pause_writing(self) -> None:
        self._without_room = set()

    def resume_writing(self) -> None:
        waiting, self._without_room = self._without_room, None
        for future in waiting or ():
            if not future.done():
                future.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None and self.broken is None:
            self._read_out()
        super().connection_lost(error)
        self.resume_writing()

    def _read_out(self) -> None:
        """Give the replies that had come before it turned out that nothing can be sent any more."""
        try:
            self._transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)  # so there is an end
        except OSError:  # the peer has ended it
            pass
        try:
            while self.broken is None and (data := os.read(self.fd, _READ)):
                self.data_received(data)
        except OSError:
            pass

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        try:
            reader.feed(data)
        except IPCError as error:
            self._take()
            self.fail(error)
        else:
            self._take()

    def _take(self) -> None:
        for record in self._reader.records():
            self._give(record)

    def fail(self, error: IPCError) -> None:
        super().fail(error)
        if not isinstance(self.broken, (BrokenPeerError, ClosedError)):
            self.broken = syscall_error(errno.ECONNRESET, "recv", self._subject, remedy=str(error))

    async def send(self, head: bytes, data: bytes, deadline: Deadline | None) -> None:
        await super().send(head, data, deadline)
        await self._room(deadline)

    async def give_out(self, head: bytes, data: bytes, deadline: Deadline | None) -> None:
        self._usable()
        await self._room(deadline)
        self._usable()
        mark = pack_mark((len(head) + len(data)) | LAST)
        if len(data) <= _COPIED:
            self._transport.write(mark + head + data)
        else:
            self._transport.writelines([mark + head, data])
            # writelines of CPython 3.12.0 to 3.12.8, 3.13.0 and 3.13.1 never says that there is no room left
            # (CVE-2024-12254); to set the limits looks at what is left.
            self._transport.set_write_buffer_limits(0)

    async def _room(self, deadline: Deadline | None) -> None:
        """Wait until the kernel has all that was given to the transport."""
        while (waiting := self._without_room) is not None:
            room: asyncio.Future[None] = self._loop.create_future()
            waiting.add(room)
            try:
                await self.until(room, deadline)
            finally:
                waiting.discard(room)


class AsyncDatagramLink(AsyncLink, asyncio.DatagramProtocol):
    """A connected UDP socket and its calls.

    Args:
        interval_ns: after so long a call is sent for the second time; the times after that double, up to 8 s.
    """

    def __init__(self, subject: str, interval_ns: int) -> None:
        super().__init__(subject)
        self._interval_ns = interval_ns

    def datagram_received(self, data: bytes, _: Any) -> None:
        self._give(data)

    def error_received(self, error: Exception) -> None:
        number = (error.errno if isinstance(error, OSError) else None) or errno.EIO
        remedy = "nobody listens there" if number == errno.ECONNREFUSED else None
        lost = syscall_error(number, "recv", self._subject, remedy=remedy)
        for future in self._pending.values():
            if not future.done():
                future.set_exception(copy.copy(lost))

    async def give_out(self, head: bytes, data: bytes, _: Deadline | None) -> None:
        self._usable()
        self._transport.sendto(head + data)

    async def _exchange(
        self, future: asyncio.Future[bytes], head: bytes, data: bytes, deadline: Deadline | None
    ) -> bytes:
        end_ns = NEVER_NS if deadline is None else deadline.at_ns
        interval_ns = self._interval_ns
        while True:
            await self.give_out(head, data, deadline)
            until = Deadline.after(interval_ns / 1e9)
            if until.at_ns >= end_ns:
                return bytes(await self.until(future, deadline))
            done, _ = await asyncio.wait({future}, timeout=interval_ns / 1e9)
            if done:
                return future.result()
            interval_ns = max(interval_ns, min(2 * interval_ns, LONGEST_INTERVAL_NS))
