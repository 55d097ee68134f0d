"""Every handle class: it gets all the tests of the contract suite by an entry here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ipckit.eventfd import MAXIMUM, EventFd
from ipckit.fifo import Fifo
from ipckit.pipe import PacketReader, PacketWriter, Pipe, PipeReader, PipeWriter
from ipckit.posix.mqueue import MessageQueue
from ipckit.posix.semaphore import Semaphore
from ipckit.posix.shm import SharedMemory
from ipckit.ring.spsc import SpscRing
from ipckit.sockets.unix import Datagram, Listener, SeqPacket, Stream
from tests.contract.shapes import PATHS, SLEEP, TOKEN, Made, Subject, Wait, drain, keep, named, posix_naming, until_full
from tests.contract.traits import (
    MESSAGES,
    PASSES_FDS,
    PIPE_END,
    READING,
    READS_THERE,
    SENDS_THERE,
    SOCKET,
    WRITING,
    drain_stream,
    fd_waits,
    fill_queue,
    fill_stream,
    message_waits,
    reading_waits,
    writing_waits,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MQUEUE = posix_naming(255, lambda h: os.fstat(h.fileno()), max_messages=2, max_message_size=64)
SEMAPHORE = posix_naming(251, lambda h: os.stat(f"/dev/shm/sem.{h.name[1:]}"))
MEMORY = posix_naming(255, lambda h: os.stat(f"/dev/shm/{h.name[1:]}"), size=5000)
RING = posix_naming(248, lambda h: os.stat(f"/dev/shm/ipckit.{h.name[1:]}"), capacity=4096)

FULL_RING = (lambda made: until_full(lambda: made[0].try_send(TOKEN)), lambda made: drain(made[0].try_receive))
RING_CALLS: dict[str, Callable[[Any], object]] = {
    **MESSAGES,
    "send_many": lambda h: h.send_many([TOKEN]),
    "receive_many": lambda h: h.receive_many(2),
    "stat": lambda h: h.stat(),
    "set_spin": lambda h: h.set_spin(0),
    "fileno": lambda h: h.fileno(),
    "__iter__": lambda h: next(iter(h)),
}
RING_WAITS = (
    Wait("send", lambda made, timeout: made[0].send(TOKEN, timeout), *FULL_RING, ("futex",)),
    Wait("send_many", lambda made, timeout: made[0].send_many([TOKEN] * 2, timeout), *FULL_RING, ("futex",)),
    Wait(
        "receive",
        lambda made, timeout: made[0].receive(timeout),
        complete=lambda made: made[0].send(TOKEN),
        syscalls=("futex",),
    ),
    Wait(
        "receive_many",
        lambda made, timeout: made[0].receive_many(9, timeout),
        complete=lambda made: made[0].send(TOKEN),
        syscalls=("futex",),
    ),
)
RING_CONSTANTS = frozenset({"capacity", "max_message_size"})
RING_TRAVEL = {
    "there": lambda h: h.send(TOKEN, timeout=10),
    "here": lambda made, result: made[0].receive(timeout=10) == TOKEN,  # noqa: ARG005
}


def accept_and_greet(listener: Listener[Stream]) -> None:
    with listener.accept(timeout=10) as connection:
        connection.send(TOKEN, timeout=10)


def write_fifo(fifo: Fifo) -> None:
    with fifo.open_writer(timeout=10) as writer:
        writer.send(TOKEN, timeout=10)


def receive_from_fifo(made: Made, _: object) -> bool:
    return made[1].receive(timeout=10) == TOKEN


def write_memory(memory: SharedMemory) -> None:
    memory.buf[: len(TOKEN)] = TOKEN


def packet_pipe() -> Made:
    return list(Pipe.create(packet=True))


def datagrams() -> Made:
    return [*Datagram.pair(), Datagram.bind(None)]


def listener() -> Made:
    listening = Stream.listen(None)
    return [listening]


SUBJECTS = (
    Subject(
        "PipeReader",
        PipeReader,
        make=lambda: list(Pipe.create()),
        calls={**PIPE_END, **READING},
        waits=reading_waits(),
        constants=frozenset({"max_message_size"}),
        **READS_THERE,
    ),
    Subject(
        "PipeWriter",
        PipeWriter,
        make=lambda: list(Pipe.create())[::-1],
        calls={**PIPE_END, **WRITING},
        waits=writing_waits(),
        never_waits=frozenset({"flush"}),
        constants=frozenset({"max_message_size"}),
        **SENDS_THERE,
    ),
    Subject(
        "PacketReader",
        PacketReader,
        make=packet_pipe,
        calls={**PIPE_END, **READING},
        waits=reading_waits(),
        constants=frozenset({"max_message_size"}),
        **READS_THERE,
    ),
    Subject(
        "PacketWriter",
        PacketWriter,
        make=lambda: packet_pipe()[::-1],
        calls={**PIPE_END, **WRITING},
        waits=writing_waits(),
        never_waits=frozenset({"flush"}),
        constants=frozenset({"max_message_size"}),
        **SENDS_THERE,
    ),
    Subject(
        "Fifo",
        Fifo,
        make=named(Fifo, PATHS),
        calls={"open_reader": lambda h: h.open_reader(), "open_writer": lambda h: h.open_writer()},
        waits=(
            Wait(
                "open_writer",
                lambda made, timeout: made[0].open_writer(timeout),
                complete=lambda made: keep(made, made[0].open_reader()),
                syscalls=SLEEP,
            ),
        ),
        never_waits=frozenset({"open_reader"}),
        naming=PATHS,
        before=lambda made: keep(made, made[0].open_reader()),
        there=write_fifo,
        here=receive_from_fifo,
    ),
    Subject(
        "EventFd",
        EventFd,
        make=lambda: [EventFd.create()],
        calls={
            "fileno": lambda h: h.fileno(),
            "value": lambda h: h.value,
            "read": lambda h: h.read(),
            "write": lambda h: h.write(),
            "try_read": lambda h: h.try_read(),
            "try_write": lambda h: h.try_write(),
        },
        waits=(
            Wait("read", lambda made, timeout: made[0].read(timeout), complete=lambda made: made[0].write()),
            Wait(
                "write",
                lambda made, timeout: made[0].write(1, timeout),
                lambda made: made[0].write(MAXIMUM),
                lambda made: made[0].read(),
            ),
        ),
        constants=frozenset({"semaphore"}),
        there=lambda h: h.write(7),
        here=lambda made, result: made[0].read(timeout=10) == 7,  # noqa: ARG005
    ),
    Subject(
        "Stream",
        Stream,
        make=lambda: list(Stream.pair()),
        calls={**SOCKET, **READING, **WRITING, **PASSES_FDS, "shutdown": lambda h: h.shutdown()},
        waits=(*reading_waits(), *writing_waits(more=fd_waits(fill_stream, drain_stream))),
        never_waits=frozenset({"flush"}),
        constants=frozenset({"max_message_size"}),
        **SENDS_THERE,
    ),
    Subject(
        "Listener",
        Listener,
        make=listener,
        calls={
            **SOCKET,
            "accept": lambda h: h.accept(),
            "try_accept": lambda h: h.try_accept(),
            "__iter__": lambda h: next(iter(h)),
        },
        waits=(
            Wait(
                "accept",
                lambda made, timeout: made[0].accept(timeout),
                complete=lambda made: keep(made, Stream.connect(made[0].getsockname(), timeout=10)),
            ),
        ),
        before=lambda made: keep(made, Stream.connect(made[0].getsockname(), timeout=10)),
        there=accept_and_greet,
        here=lambda made, result: made[1].receive(timeout=10) == TOKEN,  # noqa: ARG005
    ),
    Subject(
        "Datagram",
        Datagram,
        make=datagrams,
        calls={
            **SOCKET,
            **MESSAGES,
            **PASSES_FDS,
            "send_to": lambda h: h.send_to(TOKEN, "\0ipckit-contract"),
            "receive_from": lambda h: h.receive_from(),
        },
        waits=(
            *message_waits(),
            Wait(
                "receive_from",
                lambda made, timeout: made[0].receive_from(timeout),
                complete=lambda made: made[1].send(TOKEN),
            ),
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
            **SOCKET,
            **MESSAGES,
            **PASSES_FDS,
            "shutdown": lambda h: h.shutdown(),
            "__iter__": lambda h: next(iter(h)),
        },
        waits=message_waits(),
        constants=frozenset({"max_message_size"}),
        **SENDS_THERE,
    ),
    Subject(
        "MessageQueue",
        MessageQueue,
        make=named(MessageQueue, MQUEUE),
        calls={**MESSAGES, "fileno": lambda h: h.fileno(), "attributes": lambda h: h.attributes()},
        waits=(
            Wait(
                "send",
                lambda made, timeout: made[0].send(TOKEN, timeout=timeout),
                lambda made: until_full(lambda: made[0].try_send(TOKEN)),
                lambda made: drain(made[0].try_receive),
            ),
            Wait("receive", lambda made, timeout: made[0].receive(timeout), complete=lambda made: made[0].send(TOKEN)),
        ),
        constants=frozenset({"max_messages", "max_message_size"}),
        naming=MQUEUE,
        there=lambda h: h.send(TOKEN, timeout=10),
        here=lambda made, result: made[0].receive(timeout=10).data == TOKEN,  # noqa: ARG005
    ),
    Subject(
        "Semaphore",
        Semaphore,
        make=named(Semaphore, SEMAPHORE),
        calls={
            "acquire": lambda h: h.acquire(),
            "try_acquire": lambda h: h.try_acquire(),
            "release": lambda h: h.release(),
            "value": lambda h: h.value,
        },
        waits=(
            Wait(
                "acquire",
                lambda made, timeout: made[0].acquire(timeout=timeout),
                complete=lambda made: made[0].release(),
                syscalls=("futex",),
            ),
        ),
        naming=SEMAPHORE,
        lock=True,
        there=lambda h: h.release(3),
        here=lambda made, result: made[0].value == 3,  # noqa: ARG005
    ),
    Subject(
        "SharedMemory",
        SharedMemory,
        make=named(SharedMemory, MEMORY),
        calls={
            "buf": lambda h: h.buf,
            "size": lambda h: h.size,
            "resize": lambda h: h.resize(9000),
            "refresh": lambda h: h.refresh(),
            "fileno": lambda h: h.fileno(),
        },
        naming=MEMORY,
        there=write_memory,
        here=lambda made, result: bytes(made[0].buf[: len(TOKEN)]) == TOKEN,  # noqa: ARG005
    ),
    Subject(
        "SpscRing",
        SpscRing,
        make=named(SpscRing, RING),
        calls=RING_CALLS,
        waits=RING_WAITS,
        constants=RING_CONSTANTS,
        naming=RING,
        **RING_TRAVEL,
    ),
    Subject(
        "SpscRing-anonymous",
        SpscRing,
        make=lambda: [SpscRing.create(capacity=4096)],
        calls=RING_CALLS,
        constants=RING_CONSTANTS,
        **RING_TRAVEL,
    ),
)

BY_TITLE = {subject.title: subject for subject in SUBJECTS}
NAMED = tuple(subject for subject in SUBJECTS if subject.naming)
WAITS = tuple((subject, wait) for subject in SUBJECTS for wait in subject.waits)
