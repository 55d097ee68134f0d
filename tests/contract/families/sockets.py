"""Sockets, Unix and Internet."""

from __future__ import annotations

from socket import AF_INET, SO_RCVBUF, SO_SNDBUF, SOCK_DGRAM, SOL_SOCKET, socket
from typing import Any

from ipckit.sockets import inet
from ipckit.sockets.unix import Datagram, Listener, SeqPacket, Stream
from tests.contract.shapes import SLEEP, TOKEN, Made, Subject, Wait, drain, keep
from tests.contract.traits import (
    ACCEPTING,
    ANCILLARY,
    INET,
    PACKETS,
    SENDS_THERE,
    STREAM,
    UNIX,
    ancillary_waits,
    drain_stream,
    fill_queue,
    fill_stream,
    message_waits,
    receiving_from_wait,
    receiving_waits,
    stream_waits,
)

LOOPBACK = ("127.0.0.1", 0)


def connected() -> Made:
    with inet.Stream.listen(LOOPBACK) as listening:
        # Small ones are soon full; and the kernel enlarges none that was set.
        listening.socket.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
        client = inet.Stream.connect(listening.address, timeout=10)
        client.socket.setsockopt(SOL_SOCKET, SO_SNDBUF, 4096)
        return [client, listening.accept(timeout=10)]


def udp_pair() -> Made:
    one, other = (socket(AF_INET, SOCK_DGRAM) for _ in range(2))
    for sock in (one, other):
        sock.bind(LOOPBACK)
    one.connect(other.getsockname())
    other.connect(one.getsockname())
    return [inet.Datagram.from_socket(one), inet.Datagram.from_socket(other)]


def accept_and_greet(listener: Listener[Stream] | inet.Listener[inet.Stream]) -> None:
    with listener.accept(timeout=10) as connection:
        connection.send(TOKEN, timeout=10)


def datagrams() -> Made:
    return [*Datagram.pair(), Datagram.bind(None)]


def listener() -> Made:
    listening = Stream.listen(None)
    return [listening]


def accepts_there(cls: type[Stream | inet.Stream]) -> dict[str, Any]:
    return {
        "before": lambda made: keep(made, cls.connect(made[0].getsockname(), timeout=10)),
        "there": accept_and_greet,
        "here": lambda made, result: made[1].receive(timeout=10) == TOKEN,  # noqa: ARG005
    }


def accepting_waits(cls: type[Stream | inet.Stream]) -> tuple[Wait, ...]:
    return (
        Wait(
            "accept",
            lambda made, timeout: made[0].accept(timeout),
            complete=lambda made: keep(made, cls.connect(made[0].getsockname(), timeout=10)),
        ),
    )


SUBJECTS: tuple[Subject, ...] = (
    Subject(
        "Stream",
        Stream,
        make=lambda: list(Stream.pair()),
        calls={**UNIX, **STREAM, **ANCILLARY},
        waits=stream_waits(more=ancillary_waits(fill_stream, drain_stream)),
        never_waits=frozenset({"flush"}),
        constants=frozenset({"max_message_size"}),
        **SENDS_THERE,
    ),
    Subject(
        "Listener",
        Listener,
        make=listener,
        calls={**UNIX, **ACCEPTING},
        waits=accepting_waits(Stream),
        **accepts_there(Stream),
    ),
    Subject(
        "inet.Stream",
        inet.Stream,
        make=connected,
        calls={
            **INET,
            **STREAM,
            "no_delay": lambda h: h.no_delay,
            "keep_alive": lambda h: h.keep_alive,
        },
        waits=stream_waits(),
        never_waits=frozenset({"flush"}),
        constants=frozenset({"max_message_size"}),
        **SENDS_THERE,
    ),
    Subject(
        "inet.Listener",
        inet.Listener,
        make=lambda: [inet.Stream.listen(LOOPBACK)],
        calls={**INET, **ACCEPTING},
        waits=accepting_waits(inet.Stream),
        **accepts_there(inet.Stream),
    ),
    Subject(
        "inet.Datagram",
        inet.Datagram,
        make=udp_pair,
        calls={
            **INET,
            **PACKETS,
            "send_to": lambda h: h.send_to(TOKEN, ("127.0.0.1", 9)),
            "receive_from": lambda h: h.receive_from(),
        },
        waits=(*receiving_waits(), receiving_from_wait()),
        never_waits=frozenset({"send", "send_to"}),  # what the loopback has no room for it drops
        constants=frozenset({"max_message_size"}),
        **SENDS_THERE,
    ),
    Subject(
        "Datagram",
        Datagram,
        make=datagrams,
        calls={
            **UNIX,
            **PACKETS,
            **ANCILLARY,
            "send_to": lambda h: h.send_to(TOKEN, "\0ipckit-contract"),
            "receive_from": lambda h: h.receive_from(),
        },
        waits=(
            *message_waits(),
            receiving_from_wait(),
            Wait(
                "send_to",
                lambda made, timeout: made[0].send_to(TOKEN, made[2].getsockname(), timeout),
                lambda made: fill_queue(made[0], made[2].getsockname()),
                lambda made: drain(made[2].try_receive),
                ("poll", *SLEEP),
            ),
        ),
        constants=frozenset({"max_message_size"}),
        **SENDS_THERE,
    ),
    Subject(
        "SeqPacket",
        SeqPacket,
        make=lambda: list(SeqPacket.pair()),
        calls={
            **UNIX,
            **PACKETS,
            **ANCILLARY,
            "shutdown": lambda h: h.shutdown(),
            "__iter__": lambda h: next(iter(h)),
        },
        waits=message_waits(),
        constants=frozenset({"max_message_size"}),
        **SENDS_THERE,
    ),
)
