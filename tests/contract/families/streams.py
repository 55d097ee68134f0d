"""Byte streams and sockets' twins: pipes, FIFOs, full-duplex pipes."""

from __future__ import annotations

from ipckit.fifo import Fifo
from ipckit.pipe import PacketReader, PacketWriter, Pipe, PipeReader, PipeWriter
from tests.contract.shapes import PATHS, SLEEP, TOKEN, Made, Subject, Wait, keep, named
from tests.contract.traits import (
    PIPE_READING,
    PIPE_WRITING,
    READS_THERE,
    SENDS_THERE,
    reading_waits,
    splicing_in_wait,
    splicing_out_waits,
    vmsplice_wait,
    writing_waits,
)


def write_fifo(fifo: Fifo) -> None:
    with fifo.open_writer(timeout=10) as writer:
        writer.send(TOKEN, timeout=10)


def receive_from_fifo(made: Made, _: object) -> bool:
    return made[1].receive(timeout=10) == TOKEN


def packet_pipe() -> Made:
    return list(Pipe.create(packet=True))


SUBJECTS: tuple[Subject, ...] = (
    Subject(
        "PipeReader",
        PipeReader,
        make=lambda: list(Pipe.create()),
        calls=PIPE_READING,
        waits=reading_waits(more=splicing_out_waits()),
        constants=frozenset({"max_message_size"}),
        **READS_THERE,
    ),
    Subject(
        "PipeWriter",
        PipeWriter,
        make=lambda: list(Pipe.create())[::-1],
        calls=PIPE_WRITING,
        waits=writing_waits(more=(splicing_in_wait(), vmsplice_wait())),
        never_waits=frozenset({"flush"}),
        constants=frozenset({"max_message_size"}),
        **SENDS_THERE,
    ),
    Subject(
        "PacketReader",
        PacketReader,
        make=packet_pipe,
        calls=PIPE_READING,
        waits=reading_waits(more=splicing_out_waits()),
        constants=frozenset({"max_message_size"}),
        **READS_THERE,
    ),
    Subject(
        "PacketWriter",
        PacketWriter,
        make=lambda: packet_pipe()[::-1],
        calls=PIPE_WRITING,
        waits=tuple(wait for wait in writing_waits(more=(splicing_in_wait(),)) if wait.verb != "sendfile"),
        never_waits=frozenset({"flush", "sendfile", "vmsplice"}),  # the last two make no packets, and are refused
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
)
