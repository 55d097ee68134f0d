"""Pipes, FIFOs and full-duplex pipes with programs that are not ours: cat, dd, head, socat, mkfifo, a C program."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ipckit.duplex import DuplexPipe
from ipckit.errors import BrokenPeerError, EndOfStreamError, TimeoutExpired
from ipckit.fifo import Fifo
from ipckit.pipe import PIPE_BUF, Pipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ipckit.duplex import DuplexStream
    from ipckit.pipe import PipeReader, PipeWriter
    from tests.interop.conftest import Program

    Start = Callable[..., Program]
    Build = Callable[[str], Path]
    End = PipeReader | PipeWriter | DuplexStream

TEXT = bytes(range(256)) * 1000  # more than a pipe holds


@contextmanager
def lent(end: End) -> Iterator[int]:
    """A descriptor of *end* for a program; then the end is that program's alone."""
    descriptor = end.blocking_descriptor()
    try:
        yield descriptor
    finally:
        os.close(descriptor)
        end.close()


def read_to_end(reader: PipeReader) -> bytes:
    parts = []
    while part := reader.read(timeout=20):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("command", [("cat",), ("dd", "bs=4096", "status=none"), ("socat", "-u", "-", "-")], ids=str)
def test_a_program_between_two_pipes(command: tuple[str, ...], start: Start) -> None:
    there, back = Pipe.create(), Pipe.create()
    with there[1] as writer, back[0] as reader:
        with lent(there[0]) as stdin, lent(back[1]) as stdout:
            program = start(*command, stdin=stdin, stdout=stdout)
        got = bytearray()
        for start_at in range(0, len(TEXT), 16000):
            writer.write(TEXT[start_at : start_at + 16000], timeout=20)
            while len(got) < start_at:
                got += reader.read(timeout=20)
        writer.close()
        got += read_to_end(reader)
        assert bytes(got) == TEXT
        assert program.process.wait(20) == 0


@pytest.mark.parametrize("move", ["write", "vmsplice", "sendfile"])
def test_head_that_has_enough_breaks_our_pipe(move: str, start: Start, tmp_path: Path) -> None:
    reader, writer = Pipe.create()
    (tmp_path / "file").write_bytes(TEXT * 10)
    with writer, open(tmp_path / "file", "rb") as file:
        with lent(reader) as stdin:
            head = start("head", "-c", "5", stdin=stdin)
        given = {"write": TEXT * 10, "vmsplice": [TEXT * 10], "sendfile": file}[move]
        with pytest.raises(BrokenPeerError) as caught:
            getattr(writer, move)(given, timeout=20)
        assert caught.value.errno == errno.EPIPE
        assert caught.value.completed >= 5
        assert head.finish() == TEXT[:5]


def test_records_of_four_c_programs_stay_whole(start: Start, build: Build) -> None:
    reader, writer = Pipe.create()
    with reader:
        with lent(writer) as stdout:
            programs = [start(build("stream"), "records", "40", letter, stdout=stdout) for letter in "abcd"]
        stream = read_to_end(reader)
    assert len(stream) == 4 * 40 * PIPE_BUF
    records = [stream[at : at + PIPE_BUF] for at in range(0, len(stream), PIPE_BUF)]
    assert all(len(set(record)) == 1 for record in records)
    assert [program.process.wait(20) for program in programs] == [0] * 4


def test_packets_with_a_c_program(start: Start, build: Build) -> None:
    reader, writer = Pipe.create(packet=True)
    with writer:
        with lent(reader) as stdin:
            program = start(build("stream"), "packets", stdin=stdin)
        for size in (1, PIPE_BUF, 17):
            writer.send(bytes(size), timeout=20)
        writer.close()
        assert program.process.stdout.read() == b"1\n4096\n17\n"


def test_framed_messages_with_a_c_program(start: Start, build: Build) -> None:
    there, back = Pipe.create(), Pipe.create()
    messages = [b"", b"abc", bytes(range(256)), os.urandom(10_000)]
    with there[1] as writer, back[0] as reader:
        with lent(there[0]) as stdin, lent(back[1]) as stdout:
            start(build("stream"), "frames", stdin=stdin, stdout=stdout)
        for message in messages:
            writer.send(message, timeout=20)
            assert reader.receive(timeout=20) == message[::-1]
        writer.close()
        with pytest.raises(EndOfStreamError):
            reader.receive(timeout=20)


def test_framed_messages_both_ways_on_one_descriptor(start: Start, build: Build) -> None:
    one, other = DuplexPipe.create()
    with one:
        with lent(other) as both:
            start(build("stream"), "frames", stdin=both, stdout=both)
        for message in (b"", b"abc", os.urandom(150_000)):
            one.send(message, timeout=20)
            assert one.receive(timeout=20) == message[::-1]
        one.shutdown()
        with pytest.raises(EndOfStreamError):
            one.receive(timeout=20)


def test_socat_at_the_other_end_of_a_duplex_pipe(start: Start) -> None:
    one, other = DuplexPipe.create()
    with one:
        with lent(other) as descriptor:
            program = start("socat", "-t", "20", f"FD:{descriptor}", "-", pass_fds=[descriptor])
        one.write(TEXT[:50_000], timeout=20)
        one.shutdown()
        assert program.finish(b"from socat") == TEXT[:50_000]
        assert one.read(timeout=20) == b"from socat"
        assert one.read(timeout=20) == b""


def test_a_fifo_of_mkfifo(tmp_path: Path, start: Start) -> None:
    start("mkfifo", "-m", "600", tmp_path / "fifo").finish()
    with Fifo.open(tmp_path / "fifo") as fifo, fifo.open_reader() as reader:
        dd = start("dd", f"of={tmp_path}/fifo", "bs=1000", "status=none")
        dd.finish(TEXT[:10_000])
        assert reader.read(timeout=20) == TEXT[:10_000]
        assert reader.read(timeout=20) == b""
        cat = start("sh", "-c", 'cat > "$0"', tmp_path / "fifo")
        cat.finish(b"again")
        assert reader.read(timeout=20) == b"again"


def test_the_four_ways_of_a_c_program_to_open_a_fifo_and_the_fifth(tmp_path: Path, start: Start, build: Build) -> None:
    with Fifo.create(tmp_path / "fifo") as fifo:

        def run(how: str) -> Program:
            return start(build("stream"), "fifo", how, fifo.name)

        assert run("wn").finish() == b"%d\n" % errno.ENXIO  # no reader, and it would not wait
        program = run("w")
        program.wait_blocked("open", "openat")
        with fifo.open_reader() as reader:
            assert reader.read(timeout=20) == b"from C"
            assert program.finish() == b"open\n"
            assert run("wn").finish() == b"open\n"
            assert reader.read(timeout=20) == b"from C"
        program = run("r")
        program.wait_blocked("open", "openat")
        with fifo.open_writer(timeout=20) as writer:
            assert program.line() == b"open"
            writer.write(bytes(1000))
        assert program.finish() == b"1000\n"
        program = run("rn")
        assert program.line() == b"open"  # at once, without a writer
        with fifo.open_writer(timeout=20) as writer:
            writer.write(bytes(10))
        assert program.finish(b"\n") == b"10\n"
        assert run("rw").finish() == b"open\nto itself\n"  # neither waits nor fails
        with pytest.raises(TimeoutExpired):
            fifo.open_writer(timeout=0)


def test_a_program_reads_a_file_that_we_send_and_its_output_goes_into_a_file(start: Start, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(TEXT)
    there, back = Pipe.create(), Pipe.create()
    with (
        there[1] as writer,
        back[0] as reader,
        open(tmp_path / "in", "rb") as given,
        open(tmp_path / "out", "wb") as out,
    ):
        with lent(there[0]) as stdin, lent(back[1]) as stdout:
            start("cat", stdin=stdin, stdout=stdout)
        while count := writer.sendfile(given, 50_000, timeout=20):
            assert reader.splice_to(out, count, timeout=20) == count
        writer.close()
        assert reader.splice_to(out, timeout=20) == 0
    assert (tmp_path / "out").read_bytes() == TEXT
