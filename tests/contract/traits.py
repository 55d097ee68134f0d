"""What several classes have in common: their methods, how these wait, and how a handle proves itself elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.errors import TimeoutExpired
from tests.contract.shapes import TOKEN, Made, Wait, drain, until_full

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.sockets.unix import Datagram

READING: dict[str, Callable[[Any], object]] = {
    "available": lambda h: h.available,
    "read": lambda h: h.read(4096),
    "readinto": lambda h: h.readinto(bytearray(4096)),
    "receive": lambda h: h.receive(),
    "try_read": lambda h: h.try_read(4096),
    "try_receive": lambda h: h.try_receive(),
    "__iter__": lambda h: next(iter(h)),
}
WRITING: dict[str, Callable[[Any], object]] = {
    "write": lambda h: h.write(TOKEN),
    "send": lambda h: h.send(TOKEN),
    "try_write": lambda h: h.try_write(TOKEN),
    "try_send": lambda h: h.try_send(TOKEN),
    "flush": lambda h: h.flush(),
}
MESSAGES: dict[str, Callable[[Any], object]] = {
    "send": lambda h: h.send(TOKEN),
    "try_send": lambda h: h.try_send(TOKEN),
    "receive": lambda h: h.receive(),
    "try_receive": lambda h: h.try_receive(),
}
PIPE_END: dict[str, Callable[[Any], object]] = {
    "fileno": lambda h: h.fileno(),
    "capacity": lambda h: h.capacity,
    "set_capacity": lambda h: h.set_capacity(4096),
    "blocking_descriptor": lambda h: h.blocking_descriptor(),
}
SOCKET: dict[str, Callable[[Any], object]] = {
    "fileno": lambda h: h.fileno(),
    "socket": lambda h: h.socket,
    "getsockname": lambda h: h.getsockname(),
    "getpeername": lambda h: h.getpeername(),
    "gettimeout": lambda h: h.gettimeout(),
    "settimeout": lambda h: h.settimeout(1),
    "setblocking": lambda h: h.setblocking(True),
    "peer_credentials": lambda h: h.peer_credentials,
}
PASSES_FDS: dict[str, Callable[[Any], object]] = {
    "send_fds": lambda h: h.send_fds(TOKEN, [0]),
    "receive_fds": lambda h: h.receive_fds(),
}


def reading_waits(*, more: tuple[Wait, ...] = ()) -> tuple[Wait, ...]:
    def feed(made: Made) -> None:
        made[1].send(TOKEN)

    return (
        Wait("read", lambda made, timeout: made[0].read(4096, timeout), complete=feed),
        Wait("readinto", lambda made, timeout: made[0].readinto(bytearray(4096), timeout), complete=feed),
        Wait("receive", lambda made, timeout: made[0].receive(timeout), complete=feed),
        *more,
    )


def writing_waits(*, more: tuple[Wait, ...] = ()) -> tuple[Wait, ...]:
    return (
        Wait("write", lambda made, timeout: made[0].write(TOKEN, timeout), fill_stream, drain_stream),
        Wait("send", lambda made, timeout: made[0].send(TOKEN, timeout), fill_stream, drain_stream),
        *more,
    )


def fill_stream(made: Made) -> None:
    until_full(lambda: made[0].try_write(bytes(4096)))


def drain_stream(made: Made) -> None:
    drain(lambda: made[1].try_read(1 << 20))


def fd_waits(block: Callable[[Made], None], complete: Callable[[Made], None]) -> tuple[Wait, ...]:
    return (
        Wait(
            "receive_fds",
            lambda made, timeout: made[0].receive_fds(64, 0, timeout),
            complete=lambda made: made[1].send_fds(TOKEN, []),
        ),
        Wait("send_fds", lambda made, timeout: made[0].send_fds(TOKEN, [], timeout), block, complete),
    )


def message_waits() -> tuple[Wait, ...]:
    def fill(made: Made) -> None:
        until_full(lambda: made[0].try_send(TOKEN))

    def empty(made: Made) -> None:
        drain(made[1].try_receive)

    return (
        Wait("send", lambda made, timeout: made[0].send(TOKEN, timeout), fill, empty),
        Wait("receive", lambda made, timeout: made[0].receive(timeout), complete=lambda made: made[1].send(TOKEN)),
        *fd_waits(fill, empty),
    )


READS_THERE = {
    "before": lambda made: made[1].send(TOKEN),
    "there": lambda h: h.receive(timeout=10),
    "here": lambda made, result: result == TOKEN,  # noqa: ARG005
}
SENDS_THERE = {
    "there": lambda h: h.send(TOKEN, timeout=10),
    "here": lambda made, result: made[1].receive(timeout=10) == TOKEN,  # noqa: ARG005
}


def fill_queue(sender: Datagram, address: str | bytes) -> None:
    try:
        while True:
            sender.send_to(TOKEN, address, timeout=0)
    except TimeoutExpired:
        pass
