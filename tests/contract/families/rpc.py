"""Clients of remote procedure calls."""

from __future__ import annotations

import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ipckit.errors import IPCError, TimeoutExpired
from ipckit.rpc import Client, Procedure
from ipckit.sockets import inet, unix
from tests.contract.shapes import TOKEN, Made, Subject, Wait, keep, until_full

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM, VERSION = 0x20000099, 1
SEND = Procedure(1, "send", (bytes,))
NULL = Procedure(0, "null")


class Answering:
    """The server's side: answers every call with nothing, until the client is closed."""

    def __init__(self, made: Made) -> None:
        serve = self._datagrams if isinstance(made[1], inet.Datagram) else self._stream
        self._thread = threading.Thread(target=serve, args=(made[1],))
        self._stopped = False
        self._thread.start()

    def close(self) -> None:
        """To be called once the client is closed."""
        self._stopped = True
        self._thread.join()

    def _stream(self, connection: unix.Stream) -> None:
        data = b""
        with suppress(IPCError):  # the client is closed
            while not self._stopped:
                try:
                    data += connection.read(1 << 16, 0.05)
                except TimeoutExpired:
                    continue
                while len(data) >= 8 and len(data) >= (size := 4 + (int.from_bytes(data[:4], "big") & 0x7FFFFFFF)):
                    connection.write(struct.pack(">I", 24 | 1 << 31) + reply(data[4:8]))
                    data = data[size:]

    def _datagrams(self, sock: inet.Datagram) -> None:
        with suppress(IPCError):
            while not self._stopped:
                try:
                    message, address = sock.receive_from(0.05)
                except TimeoutExpired:
                    continue
                sock.send_to(reply(message[:4]), address)


def reply(xid: bytes) -> bytes:
    return xid + struct.pack(">5I", 1, 0, 0, 0, 0)


def over_a_unix_socket() -> Made:
    listener = unix.Stream.listen(None)
    client = Client.connect_unix(listener.getsockname(), PROGRAM, VERSION, timeout=10)
    return [client, listener.accept(timeout=10), listener]


def over_udp() -> Made:
    server = inet.Datagram.bind(("127.0.0.1", 0))
    return [Client.connect_udp(*server.address[:2], PROGRAM, VERSION, retry_interval=30), server]


def fill(made: Made) -> None:
    def send() -> bool:
        try:
            made[0].send_raw(1, bytes(4096), 0)
        except TimeoutExpired:
            return False
        return True

    until_full(send)


def answer(made: Made) -> None:
    keep(made, Answering(made))


def sent_there(read: Callable[[Made], bytes]) -> dict[str, Any]:
    return {"there": lambda h: h.send_raw(1, TOKEN), "here": lambda made, _: read(made).endswith(TOKEN)}


def read_from_the_newest(made: Made) -> bytes:
    """What came over the connection that a child made of its own."""
    if (connection := made[2].try_accept()) is None:
        connection = made[1]
    else:
        keep(made, connection)
    data: bytes = connection.read(4096, timeout=10)
    return data


CALLS: dict[str, Callable[[Any], object]] = {
    "fileno": lambda h: h.fileno(),
    "call": lambda h: h.call(NULL),
    "call_raw": lambda h: h.call_raw(0),
    "send": lambda h: h.send(NULL),
    "set_spin": lambda h: h.set_spin(0),
    "send_raw": lambda h: h.send_raw(0),
}
READING = ("recvfrom", "poll")
CALLING = (
    Wait("call", lambda made, timeout: made[0].call(NULL, timeout=timeout), complete=answer, syscalls=READING),
    Wait("call_raw", lambda made, timeout: made[0].call_raw(0, b"", timeout), complete=answer, syscalls=READING),
)
SENDING = (
    Wait("send", lambda made, timeout: made[0].send(SEND, bytes(4096), timeout=timeout), fill, answer),
    Wait("send_raw", lambda made, timeout: made[0].send_raw(1, bytes(4096), timeout), fill, answer),
)

AT_ONCE = {
    "test_bad_timeout_is_refused_before_anything_is_done": "a server takes time: no call completes with timeout=0"
}

SUBJECTS: tuple[Subject, ...] = (
    Subject(
        "rpc.Client",
        Client,
        make=over_a_unix_socket,
        calls=CALLS,
        waits=CALLING + SENDING,
        constants=frozenset({"program", "version"}),
        addressed=True,
        exempt=AT_ONCE,
        **sent_there(read_from_the_newest),
    ),
    Subject(
        "rpc.Client-udp",
        Client,
        make=over_udp,
        calls=CALLS,
        waits=CALLING,
        constants=frozenset({"program", "version"}),
        addressed=True,
        exempt=AT_ONCE,
        **sent_there(lambda made: made[1].receive(timeout=10)),
    ),
)
