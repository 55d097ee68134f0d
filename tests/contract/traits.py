"""What several classes have in common: their methods, how these wait, and how a handle proves itself elsewhere."""

from __future__ import annotations

import os
from dataclasses import replace
from socket import IPPROTO_TCP, TCP_INFO
from struct import unpack_from
from typing import TYPE_CHECKING, Any

from ipckit.errors import TimeoutExpired
from ipckit.pipe import Pipe
from ipckit.sockets import inet
from tests.contract.shapes import TOKEN, Made, Wait, drain, until_full

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.sockets.unix import Datagram

MOST_BUFFERED = 4095  # bytes that wait at the reading side of a terminal

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
    "sendfile": lambda h: h.sendfile(0),
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
}
UNIX: dict[str, Callable[[Any], object]] = {
    **SOCKET,
    "peer_credentials": lambda h: h.peer_credentials,
    "peer_pidfd": lambda h: h.peer_pidfd(),
}
INET: dict[str, Callable[[Any], object]] = {**SOCKET, "address": lambda h: h.address}
STREAM: dict[str, Callable[[Any], object]] = {
    **READING,
    **WRITING,
    "peek": lambda h: h.peek(),
    "shutdown": lambda h: h.shutdown(),
}
PACKETS: dict[str, Callable[[Any], object]] = {
    **MESSAGES,
    "peek": lambda h: h.peek(),
    "peek_size": lambda h: h.peek_size(),
}
ACCEPTING: dict[str, Callable[[Any], object]] = {
    "accept": lambda h: h.accept(),
    "try_accept": lambda h: h.try_accept(),
    "__iter__": lambda h: next(iter(h)),
}
PIPE_READING: dict[str, Callable[[Any], object]] = {
    **PIPE_END,
    **READING,
    "splice_to": lambda h: h.splice_to(1),
    "tee_to": lambda h: h.tee_to(1),
}
PIPE_WRITING: dict[str, Callable[[Any], object]] = {
    **PIPE_END,
    **WRITING,
    "unread": lambda h: h.unread,
    "splice_from": lambda h: h.splice_from(0),
    "vmsplice": lambda h: h.vmsplice([TOKEN]),
}
PTY_SIDE: dict[str, Callable[[Any], object]] = {
    **READING,
    **WRITING,
    "fileno": lambda h: h.fileno(),
    "window_size": lambda h: h.window_size,
    "set_window_size": lambda h: h.set_window_size(1, 2),
    "echo": lambda h: h.echo,
    "canonical": lambda h: h.canonical,
    "set_raw": lambda h: h.set_raw(),
    "set_cooked": lambda h: h.set_cooked(),
    "attributes": lambda h: h.attributes(),
    "set_attributes": lambda h: h.set_attributes([0, 0, 0, 0, 0, 0, [b""] * 32]),
    "foreground": lambda h: h.foreground,
}
PTY_MASTER: dict[str, Callable[[Any], object]] = {
    **PTY_SIDE,
    "open_terminal": lambda h: h.open_terminal(),
    "read_until": lambda h: h.read_until(TOKEN),
}
ANCILLARY: dict[str, Callable[[Any], object]] = {
    "send_fds": lambda h: h.send_fds(TOKEN, [0]),
    "receive_fds": lambda h: h.receive_fds(),
    "send_with_credentials": lambda h: h.send_with_credentials(TOKEN),
    "receive_with_credentials": lambda h: h.receive_with_credentials(),
    "pass_credentials": lambda h: h.pass_credentials,
    "pass_rights": lambda h: h.pass_rights,
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
        Wait("sendfile", send_file, fill_stream, drain_stream),
        *more,
    )


def send_file(made: Made, timeout: float | None) -> int:
    with open(__file__, "rb") as file:
        return made[0].sendfile(file, len(TOKEN), timeout=timeout)


def splicing_out_waits() -> tuple[Wait, ...]:
    def feed(made: Made) -> None:
        made[1].write(TOKEN)

    return (Wait("splice_to", splice_away, complete=feed), Wait("tee_to", tee_away, complete=feed))


def splice_away(made: Made, timeout: float | None) -> int:
    with open(os.devnull, "wb") as null:
        return made[0].splice_to(null, len(TOKEN), timeout)


def tee_away(made: Made, timeout: float | None) -> int:
    reader, writer = Pipe.create(packet=made[0].packet)
    with reader, writer:
        return made[0].tee_to(writer, len(TOKEN), timeout)


def splicing_in_wait() -> Wait:
    return Wait("splice_from", splice_in, fill_stream, drain_stream)


def splice_in(made: Made, timeout: float | None) -> int:
    reader, writer = Pipe.create(packet=made[0].packet)
    with reader, writer:
        writer.write(TOKEN)
        return made[0].splice_from(reader, len(TOKEN), timeout)


def vmsplice_wait() -> Wait:
    return Wait("vmsplice", lambda made, timeout: made[0].vmsplice([TOKEN], timeout), fill_stream, drain_stream)


def fill_stream(made: Made) -> None:
    until_full(lambda: made[0].try_write(bytes(4096)))
    # What TCP has on its way makes room once it has arrived, until the other side says that it takes no more.
    while isinstance(made[0], inet.Stream) and not (is_stuck(made[0]) and not made[0].try_write(bytes(4096))):
        os.sched_yield()


def is_stuck(stream: inet.Stream) -> bool:
    """Whether nothing is on its way, and the other side's window is shut: struct tcp_info of linux/tcp.h."""
    info = stream.socket.getsockopt(IPPROTO_TCP, TCP_INFO, 232)
    unacknowledged, window = (unpack_from("I", info, offset)[0] for offset in (24, 228))
    return unacknowledged == window == 0


def drain_stream(made: Made) -> None:
    drain(lambda: made[1].try_read(1 << 20))


def pty_waits(*, more: tuple[Wait, ...] = ()) -> tuple[Wait, ...]:
    def mark(made: Made) -> None:
        made[1].write(TOKEN)

    until = Wait("read_until", lambda made, timeout: made[0].read_until(TOKEN, timeout), complete=mark)
    return (*reading_waits(), *pty_writing_waits(), until, *more)


def pty_writing_waits() -> tuple[Wait, ...]:
    return tuple(replace(wait, block=fill_terminal) for wait in writing_waits())


def fill_terminal(made: Made) -> None:
    """The kernel moves what was written by a task of its own, which makes room until both its buffers are full."""
    while made[1].available < MOST_BUFFERED:
        fill_stream(made)
    try:
        made[0].write(bytes(1 << 20), 0.005)
    except TimeoutExpired:
        pass


def receive_with_credentials(made: Made, timeout: float | None) -> object:
    made[0].pass_credentials = True
    return made[0].receive_with_credentials(64, timeout)


def ancillary_waits(block: Callable[[Made], None], complete: Callable[[Made], None]) -> tuple[Wait, ...]:
    def feed(made: Made) -> None:
        made[1].send_fds(TOKEN, [])

    return (
        Wait("receive_fds", lambda made, timeout: made[0].receive_fds(64, 0, timeout), complete=feed),
        Wait("send_fds", lambda made, timeout: made[0].send_fds(TOKEN, [], timeout), block, complete),
        Wait("receive_with_credentials", receive_with_credentials, complete=feed),
        Wait(
            "send_with_credentials",
            lambda made, timeout: made[0].send_with_credentials(TOKEN, None, timeout),
            block,
            complete,
        ),
    )


def stream_waits(*, more: tuple[Wait, ...] = ()) -> tuple[Wait, ...]:
    def feed(made: Made) -> None:
        made[1].send(TOKEN)

    peek = Wait("peek", lambda made, timeout: made[0].peek(64, timeout), complete=feed)
    return (*reading_waits(), *writing_waits(), peek, *more)


def receiving_waits() -> tuple[Wait, ...]:
    def feed(made: Made) -> None:
        made[1].send(TOKEN)

    return (
        Wait("receive", lambda made, timeout: made[0].receive(timeout), complete=feed),
        Wait("peek", lambda made, timeout: made[0].peek(64, timeout), complete=feed),
        Wait("peek_size", lambda made, timeout: made[0].peek_size(timeout), complete=feed),
    )


def receiving_from_wait() -> Wait:
    return Wait(
        "receive_from",
        lambda made, timeout: made[0].receive_from(timeout),
        complete=lambda made: made[1].send(TOKEN),
    )


def message_waits() -> tuple[Wait, ...]:
    def fill(made: Made) -> None:
        until_full(lambda: made[0].try_send(TOKEN))

    def empty(made: Made) -> None:
        drain(made[1].try_receive)

    return (
        Wait("send", lambda made, timeout: made[0].send(TOKEN, timeout), fill, empty),
        *receiving_waits(),
        *ancillary_waits(fill, empty),
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
