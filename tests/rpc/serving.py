"""Services for the tests of servers, and clients that know no library: bytes alone."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ipckit.errors import GarbageArgumentsError
from ipckit.rpc import NO_REPLY, Procedure, Server, Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.rpc import Call

PROGRAM = 0x20000099
SECONDS = 20
LAST = 0x80000000
MODES = ("threads", "asyncio")
KINDS = ("unix", "tcp", "udp")

ECHO = Procedure(1, "echo", (bytes,), bytes)
ADD = Procedure(2, "add", (int, int), int)
WAIT = Procedure(3, "wait", (), int)
LET_GO = Procedure(4, "let_go")
WHO = Procedure(5, "who", (), str)
FAIL = Procedure(6, "fail")
REFUSE = Procedure(7, "refuse")
COUNT = Procedure(8, "count", (), int)
QUIET = Procedure(9, "quiet")
LARGE = Procedure(10, "large", (int,), bytes)
WRONG = Procedure(11, "wrong", (), int)


class Threaded(Service):
    """What a server of mode "threads" serves in these tests."""

    PROGRAM, VERSION, NAME = PROGRAM, 3, "TEST"
    PROCEDURES = (ECHO, ADD, WAIT, LET_GO, WHO, FAIL, REFUSE, COUNT, QUIET, LARGE, WRONG)

    def __init__(self) -> None:
        self.counted = 0
        self._counting = threading.Lock()
        self.waiting = threading.Event()
        self.gate = threading.Event()

    def echo(self, data: bytes) -> bytes:
        return data

    def add(self, one: int, other: int) -> int:
        return one + other

    def wait(self) -> Any:
        self.waiting.set()
        assert self.gate.wait(SECONDS)
        return 7

    def let_go(self) -> None:
        self.gate.set()

    def who(self, *, call: Call) -> str:
        peer: Any = call.peer
        seen = peer.credentials.pid if peer.credentials else peer.address[0]
        return f"{call.program:x} {call.version} {call.procedure} {call.xid} {seen} {call.credential!r}"

    def fail(self) -> Any:
        raise LookupError("as it was told")

    def refuse(self) -> None:
        raise GarbageArgumentsError

    def count(self) -> int:
        with self._counting:
            self.counted += 1
            return self.counted

    def quiet(self) -> Any:
        with self._counting:
            self.counted += 1
        return NO_REPLY

    def large(self, size: int) -> bytes:
        return bytes(size)

    def wrong(self) -> Any:
        return "no number"


class Awaiting(Threaded):
    """The same for mode "asyncio": what waits is a coroutine."""

    async def wait(self) -> int:
        self.waiting.set()
        while not self.gate.is_set():  # noqa: ASYNC110 others set it, in threads
            await asyncio.sleep(0.001)
        return 7

    async def fail(self) -> Any:
        await asyncio.sleep(0)
        raise LookupError("as it was told")


class Running:
    """A server, what it serves, and what it reported."""

    def __init__(self, mode: str, **how: Any) -> None:
        self.service = Awaiting() if mode == "asyncio" else Threaded()
        self.errors: list[BaseException] = []
        how.setdefault("on_error", lambda error, _peer: self.errors.append(error))
        self.server = Server(self.service, mode=mode, **how)
        self.tcp = self.server.listen_tcp("127.0.0.1")[:2]
        self.udp = self.server.listen_udp("127.0.0.1")[:2]
        self.unix = self.server.listen_unix()

    def connect(self, kind: str) -> socket.socket:
        """A plain socket, connected."""
        if kind == "unix":
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(SECONDS)
            sock.connect(self.unix)
            return sock
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
        sock.settimeout(SECONDS)
        sock.connect(self.tcp if kind == "tcp" else self.udp)
        return sock


@contextmanager
def running(mode: str = "threads", **how: Any) -> Iterator[Running]:
    it = Running(mode, **how)
    with it.server:
        try:
            yield it
        finally:
            it.service.gate.set()


def words(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def call(
    xid: int,
    procedure: int,
    arguments: bytes = b"",
    *,
    version: int = 3,
    program: int = PROGRAM,
    auth: bytes = bytes(16),
) -> bytes:
    return words(xid, 0, 2, program, version, procedure) + auth + arguments


def record(message: bytes) -> bytes:
    return words(len(message) | LAST) + message


def success(xid: int, result: bytes = b"") -> bytes:
    return words(xid, 1, 0, 0, 0, 0) + result


def receive(sock: socket.socket) -> bytes:
    """The next reply, without its mark."""
    if sock.type == socket.SOCK_DGRAM:
        return sock.recv(65536)
    (mark,) = struct.unpack(">I", exactly(sock, 4))
    assert mark & LAST
    return exactly(sock, mark & (LAST - 1))


def exactly(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            raise EOFError(f"{len(data)} of {size} bytes")
        data += chunk
    return bytes(data)


def send(sock: socket.socket, message: bytes) -> None:
    sock.sendall(message if sock.type == socket.SOCK_DGRAM else record(message))


def is_ended(sock: socket.socket) -> bool:
    """Whether the server ends the connection, orderly or not."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True
