"""Data that never leaves the kernel: splice, tee, vmsplice and sendfile between pipes, sockets and files."""

from __future__ import annotations

import errno
import io
import mmap
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.duplex import DuplexPipe
from ipckit.errors import (
    BrokenPeerError,
    BusyError,
    ClosedError,
    SyscallError,
    TimeoutExpired,
)
from ipckit.fifo import Fifo
from ipckit.pipe import PIPE_BUF, Pipe, PipeReader, PipeWriter
from ipckit.testing import wait_blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ipckit.testing import Spawn

Ends = tuple[PipeReader, PipeWriter]
SLEEP = ("poll",)


@pytest.fixture
def pipe() -> Iterator[Ends]:
    reader, writer = Pipe.create()
    with reader, writer:
        yield reader, writer


@pytest.fixture
def other() -> Iterator[Ends]:
    reader, writer = Pipe.create()
    with reader, writer:
        yield reader, writer


@pytest.fixture
def file() -> Iterator[io.BufferedRandom]:
    with tempfile.TemporaryFile() as made:
        yield made  # type: ignore[misc]  # typeshed's wrapper


def fill(writer: PipeWriter) -> int:
    written = 0
    while count := writer.try_write(bytes(PIPE_BUF)):
        written += count
    return written


def in_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Run it until it waits; its result, or its exception, goes into the list."""
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(call())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_blocked(os.getpid(), *SLEEP, tid=thread.native_id)
    return thread, outcome


def write_pieces(writer: PipeWriter, size: int, piece: int) -> None:
    with writer:
        for _ in range(size // piece):
            writer.write(b"z" * piece)


def splice_all(reader: PipeReader, path: str) -> int:
    with reader, open(path, "wb") as target:
        return reader.splice_to(target)


def read_all(end: Any) -> int:
    with end:
        total = 0
        while chunk := end.read():
            total += len(chunk)
        return total


def test_splice_moves_bytes_from_pipe_to_pipe(pipe: Ends, other: Ends) -> None:
    pipe[1].write(b"hello world")
    assert pipe[0].splice_to(other[1], 5, timeout=0) == 5
    assert other[1].splice_from(pipe[0], 3, timeout=0) == 3
    assert other[0].read() == b"hello wo"
    assert pipe[0].read() == b"rld"
    assert pipe[0].splice_to(other[1], 0) == 0


def test_splice_takes_what_has_a_descriptor(pipe: Ends, other: Ends, file: io.BufferedRandom) -> None:
    one, two = socket.socketpair()
    with one, two:
        for target in (other[1], other[1].fileno(), one, one.fileno(), file, file.fileno()):
            pipe[1].write(b"abc")
            assert pipe[0].splice_to(target, 3, timeout=5) == 3
        assert other[0].read() == b"abcabc"
        assert two.recv(100) == b"abcabc"
        file.seek(0)
        assert file.read() == b"abcabc"
        for source in (two, two.fileno(), other[0], other[0].fileno()):
            one.send(b"xyz")
            other[1].write(b"xyz")
            assert pipe[1].splice_from(source, 3, timeout=5) == 3
            assert pipe[0].read() == b"xyz"


@pytest.mark.parametrize("wrong", ["text", None, 1.5, True, io.BytesIO()])
def test_splice_refuses_what_has_none(pipe: Ends, wrong: Any) -> None:
    pipe[1].write(b"x")
    for call in (pipe[0].splice_to, pipe[0].tee_to, pipe[1].splice_from, pipe[1].sendfile):
        with pytest.raises((TypeError, io.UnsupportedOperation)):
            call(wrong, 1)
    assert pipe[0].read() == b"x"


def test_splice_refuses_bad_sizes_and_files_of_text(pipe: Ends, other: Ends, tmp_path: Path) -> None:
    for call in (pipe[0].splice_to, pipe[1].splice_from, pipe[1].sendfile):
        with pytest.raises(ValueError, match="size must be 0 or more"):
            call(other[1], -1)
    with pytest.raises(ValueError, match="size must be at least 1"):
        pipe[0].tee_to(other[1], 0)
    with pytest.raises(ValueError, match="offset must be 0 or more"):
        pipe[1].sendfile(0, offset=-1)
    with open(tmp_path / "text", "w") as text, pytest.raises(TypeError, match="binary file"):
        pipe[0].splice_to(text, 1)


def test_splice_says_what_is_wrong_with_a_target(pipe: Ends, other: Ends, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    pipe[1].write(b"x")
    with open(tmp_path / "file", "ab") as appending, pytest.raises(SyscallError, match="O_APPEND") as caught:
        pipe[0].splice_to(appending, 1)
    assert caught.value.errno == errno.EINVAL
    with open(tmp_path / "file", "rb") as reading, pytest.raises(SyscallError, match="open for reading") as caught:
        pipe[0].splice_to(reading, 1)
    assert caught.value.errno == errno.EBADF
    for wrong in (other[0], pipe[1]):
        with pytest.raises(SyscallError, match="splice"):
            pipe[0].splice_to(wrong, 1)
    for wrong in (tmp_path.joinpath("file").open("r+b"), pipe[1]):
        with wrong, pytest.raises(SyscallError, match="must be pipes, and not the same"):
            pipe[0].tee_to(wrong, 1)
    with pytest.raises(SyscallError, match="fstat"):
        pipe[0].splice_to(999_999, 1)
    assert pipe[0].read() == b"x"


def test_splice_to_the_end_of_the_stream(pipe: Ends, spawn: Spawn, tmp_path: Path) -> None:
    child = spawn(splice_all, pipe[0], str(tmp_path / "file"))
    for _ in range(4):
        pipe[1].write(b"y" * 100_000, timeout=20)
    pipe[1].close()
    assert child.result() == 400_000
    assert (tmp_path / "file").read_bytes() == b"y" * 400_000


def test_splice_waits_on_both_sides_in_turn(pipe: Ends, other: Ends, spawn: Spawn) -> None:
    size = 1 << 18
    writing = spawn(write_pieces, pipe[1], size, 1 << 16)
    pipe[1].close()
    reading = spawn(read_all, other[0])
    assert pipe[0].splice_to(other[1], timeout=20) == size
    other[1].close()
    assert reading.result() == size
    assert writing.join() == 0


def test_splice_that_gives_up_says_how_much_went(pipe: Ends, other: Ends) -> None:
    pipe[1].write(b"abc")
    with pytest.raises(TimeoutExpired) as caught:
        pipe[0].splice_to(other[1], 5, timeout=0.01)
    assert caught.value.completed == 3
    assert other[0].read() == b"abc"
    room = fill(other[1])
    other[0].read(2 * PIPE_BUF)
    fill(pipe[1])
    with pytest.raises(TimeoutExpired) as caught:
        pipe[0].splice_to(other[1], timeout=0)
    assert caught.value.completed == 2 * PIPE_BUF
    assert other[1].unread == room


def test_splice_tells_a_broken_target(pipe: Ends, other: Ends) -> None:
    pipe[1].write(b"abc")
    other[0].close()
    one, two = DuplexPipe.create()
    with one, two:
        two.close()
        for target in (other[1], one):
            with pytest.raises(BrokenPeerError) as caught:
                pipe[0].splice_to(target, 3)
            assert (caught.value.errno, caught.value.completed) == (errno.EPIPE, 0)
        with pytest.raises(BrokenPeerError):
            pipe[0].tee_to(other[1], 3)
        with pytest.raises(BrokenPeerError):
            other[1].vmsplice([b"x"])
        with open(__file__, "rb") as some:
            for target in (other[1], one):
                with pytest.raises(BrokenPeerError):
                    target.sendfile(some, 3)
            assert some.tell() == 0
    assert pipe[0].read() == b"abc"


def test_a_target_that_breaks_while_splice_waits(pipe: Ends, other: Ends) -> None:
    fill(other[1])
    pipe[1].write(b"abc")
    thread, outcome = in_thread(lambda: pipe[0].splice_to(other[1]))
    other[0].close()
    thread.join(20)
    assert isinstance(outcome[0], BrokenPeerError)


@pytest.mark.parametrize("blocked_by", ["source", "target"])
@pytest.mark.parametrize("closed", ["source", "target"])
def test_close_of_either_side_ends_a_splice(
    pipe: Ends, other: Ends, blocked_by: str, closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    closers: list[tuple[int, int | None]] = []
    close = os.close
    monkeypatch.setattr(os, "close", lambda fd: (closers.append((fd, threading.get_ident())), close(fd)))
    if blocked_by == "target":
        fill(other[1])
        pipe[1].write(b"abc")
    fds = [pipe[0].fileno(), other[1].fileno()]
    thread, outcome = in_thread(lambda: pipe[0].splice_to(other[1], timeout=20))
    (pipe[0] if closed == "source" else other[1]).close()
    thread.join(20)
    assert isinstance(outcome[0], ClosedError)
    by_whom = [who for fd, who in closers if fd == fds[closed == "target"]]
    assert by_whom == [thread.ident], "it goes when the one who waits has left, and not under the feet of that one"


def test_splice_waits_for_the_first_writer_of_a_fifo(tmp_path: Path, other: Ends) -> None:
    with Fifo.create(tmp_path / "fifo") as fifo, fifo.open_reader() as reader:
        for call in (reader.splice_to, reader.tee_to):
            with pytest.raises(TimeoutExpired):
                call(other[1], 3, timeout=0.01)
        with fifo.open_writer(timeout=0) as writer:
            writer.write(b"abc")
        assert reader.tee_to(other[1], 9) == 3
        assert reader.splice_to(other[1]) == 3
        assert reader.splice_to(other[1]) == 0
        assert reader.tee_to(other[1]) == 0
    assert other[0].read() == b"abcabc"


def test_tee_duplicates_and_leaves(pipe: Ends, other: Ends) -> None:
    pipe[1].write(b"hello world")
    for _ in range(2):  # it begins anew each time
        assert pipe[0].tee_to(other[1], 5) == 5
    assert pipe[0].tee_to(other[1]) == 11
    assert other[0].read() == b"hellohellohello world"
    assert pipe[0].read() == b"hello world"
    with pytest.raises(TimeoutExpired):
        pipe[0].tee_to(other[1], timeout=0)
    pipe[1].write(b"x")
    fill(other[1])
    with pytest.raises(TimeoutExpired):
        pipe[0].tee_to(other[1], timeout=0.01)
    pipe[0].read()
    pipe[1].close()
    other[0].read()
    assert pipe[0].tee_to(other[1]) == 0


def test_tee_and_splice_make_a_t_piece(pipe: Ends, other: Ends, file: io.BufferedRandom, spawn: Spawn) -> None:
    child = spawn(write_pieces, pipe[1], 100_000, 10_000)
    pipe[1].close()
    copied = 0
    while count := pipe[0].tee_to(other[1], timeout=20):
        assert pipe[0].splice_to(file, count) == count
        copied += len(other[0].read(count))
    assert copied == 100_000 == file.seek(0, os.SEEK_END)
    assert child.join() == 0


def test_file_objects_and_their_buffers(pipe: Ends, file: io.BufferedRandom) -> None:
    file.write(b"head ")  # in Python's buffer, not in the file
    pipe[1].write(b"middle ")
    assert pipe[0].splice_to(file, 7) == 7
    file.write(b"tail")
    file.seek(0)
    assert file.read(5) == b"head "  # reads ahead: the descriptor stands at the end
    assert pipe[1].splice_from(file, 7) == 7
    assert pipe[0].read() == b"middle "
    assert file.tell() == 12
    assert file.read() == b"tail"
    file.seek(2)
    assert pipe[1].splice_from(file) == 14
    assert file.read() == b""
    assert pipe[0].read() == b"ad middle tail"


def test_sendfile(pipe: Ends, file: io.BufferedRandom) -> None:
    one, two = DuplexPipe.create()
    file.write(b"0123456789")
    with one, two:
        for target, receiver in ((pipe[1], pipe[0]), (one, two)):
            file.seek(2)
            assert target.sendfile(file, 3) == 3
            assert receiver.read() == b"234"
            assert file.tell() == 5
            assert target.sendfile(file, 2, offset=1) == 2
            assert receiver.read() == b"12"
            assert file.tell() == 5
            assert target.sendfile(file) == 5
            assert receiver.read() == b"56789"
            assert target.sendfile(file) == 0
            assert target.sendfile(file, offset=100) == 0
            os.lseek(file.fileno(), 7, os.SEEK_SET)
            assert target.sendfile(file.fileno(), 2) == 2
            assert target.sendfile(file.fileno(), 100) == 1
            assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 10
            assert receiver.read() == b"789"
            for wrong in (pipe[0], two):
                with pytest.raises(ValueError, match="must be a regular file"):
                    target.sendfile(wrong, 1)
    with pytest.raises(ClosedError):
        one.sendfile(file)


@pytest.mark.parametrize("kind", ["pipe", "duplex", "tcp"])
def test_a_large_file_goes_through_and_stops_where_time_is_up(kind: str, file: io.BufferedRandom, spawn: Spawn) -> None:
    content = os.urandom(1 << 20) * 6
    file.write(content)
    file.seek(0)
    reader, writer = pipe_of(kind)
    with reader, writer:
        gone, went, timeout = 0, -1, 0.01
        while went:  # TCP may have made some more room when time was up
            with pytest.raises(TimeoutExpired) as caught:
                send(writer, file, timeout)
            went, timeout = caught.value.completed, 0
            gone += went
            assert 0 < gone < len(content)
            assert file.tell() == gone
        thread, outcome = in_thread(lambda: send(writer, file, timeout=20))
        got = bytearray()
        while len(got) < len(content):
            got += reader.read(1 << 20, timeout=20) if kind != "tcp" else reader.recv(1 << 20)
        thread.join()
        assert outcome == [len(content) - gone]
        assert bytes(got) == content


def pipe_of(kind: str) -> tuple[Any, Any]:
    if kind == "pipe":
        return Pipe.create()
    if kind == "duplex":
        return DuplexPipe.create()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connected = socket.create_connection(listener.getsockname())
        return connected, listener.accept()[0]


def send(writer: Any, file: io.BufferedRandom, timeout: float) -> int:
    """By `sendfile`; into a blocking socket that is not ours by `splice_to`, out of a pipe."""
    if not isinstance(writer, socket.socket):
        return writer.sendfile(file, timeout=timeout)
    reader, feeder = Pipe.create()
    deadline = time.monotonic() + timeout
    began = file.tell()
    with reader, feeder:
        while True:
            count = feeder.sendfile(file, 1 << 16)
            left = max(0.0, deadline - time.monotonic())
            try:
                if not count or not reader.splice_to(writer, count, timeout=left):
                    return file.tell() - began
            except TimeoutExpired as error:
                error.completed += file.tell() - count - began
                file.seek(began + error.completed)
                raise


class Unseekable(io.FileIO):
    """A file that breaks once it has told its position."""

    def seek(self, *_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_file_that_another_thread_closes_leaves_the_pipe_usable(pipe: Ends, tmp_path: Path) -> None:
    reader, writer = pipe
    (tmp_path / "file").write_bytes(bytes(1 << 20))
    file = (tmp_path / "file").open("rb")
    thread, outcome = in_thread(lambda: writer.sendfile(file, timeout=20))
    file.close()
    went = len(reader.read(1 << 20))
    thread.join(20)
    assert isinstance(outcome[0], SyscallError)
    assert (outcome[0].errno, outcome[0].completed) == (errno.EBADF, went)
    writer.send(b"next", timeout=0)
    assert reader.receive(timeout=0) == b"next"


def test_a_file_without_its_position_leaves_the_pipe_usable(pipe: Ends, tmp_path: Path) -> None:
    reader, writer = pipe
    (tmp_path / "file").write_bytes(b"abc")
    with Unseekable(tmp_path / "file") as file, pytest.raises(OSError, match=os.strerror(errno.EIO)):
        writer.sendfile(file)
    assert reader.read() == b"abc"
    writer.send(b"next", timeout=0)
    assert reader.receive(timeout=0) == b"next"


def test_vmsplice_puts_the_pages_themselves_in(pipe: Ends) -> None:
    reader, writer = pipe
    with mmap.mmap(-1, 2 * mmap.PAGESIZE) as memory:
        memory[:4] = b"old!"
        assert writer.vmsplice([memoryview(memory)[: mmap.PAGESIZE]]) == mmap.PAGESIZE
        memory[:4] = b"new!"  # what one must not do shows that nothing was copied
        assert reader.read(4) == b"new!"
        assert writer.unread == mmap.PAGESIZE - 4
        with pytest.raises(BufferError):
            memory.close()  # held for as long as the pipe refers to it
        reader.read()
        assert writer.unread == 0


def test_vmsplice_gathers_any_buffers(pipe: Ends) -> None:
    reader, writer = pipe
    assert writer.vmsplice([b"abc", bytearray(b"def"), b"", memoryview(b"ghi")]) == 9
    assert reader.read() == b"abcdefghi"
    assert writer.vmsplice([]) == 0
    assert writer.vmsplice([b"", b""]) == 0
    for wrong in ([1], b"abc", [b"x", "text"], [memoryview(b"abcd")[::2]]):
        with pytest.raises((TypeError, BufferError)):
            writer.vmsplice(wrong)  # type: ignore[arg-type]
    assert reader.available == 0


def test_vmsplice_keeps_what_nobody_else_keeps(pipe: Ends) -> None:
    reader, writer = pipe
    expected = [bytes([65 + index]) * 5000 for index in range(3)]
    for index in range(3):
        writer.vmsplice([bytes([65 + index]) * 5000])  # nobody has another reference
    others = [bytes([90]) * 5000 for _ in range(100)]
    assert reader.read() == b"".join(expected)
    assert len(others) == 100
    assert len(writer._lent) == 3
    assert writer.unread == 0
    assert not writer._lent


def test_vmsplice_that_is_ended_by_close_keeps_nothing(pipe: Ends) -> None:
    _, writer = pipe
    fill(writer)
    thread, outcome = in_thread(lambda: writer.vmsplice([b"abc"], timeout=20))
    writer.close()
    thread.join(20)
    assert isinstance(outcome[0], ClosedError)
    assert not writer._lent


def test_vmsplice_of_more_than_the_pipe_holds(pipe: Ends, spawn: Spawn) -> None:
    reader, writer = pipe
    many = [os.urandom(11) for _ in range(3000)]  # each takes a page of the pipe
    with pytest.raises(TimeoutExpired) as caught:
        writer.vmsplice(many, timeout=0.01)
    assert caught.value.completed == 16 * 11
    assert reader.read() == b"".join(many[:16])
    child = spawn(read_all, reader)
    big = os.urandom(1_000_001)
    assert writer.vmsplice([big, *many], timeout=20) == len(big) + 33_000
    writer.close()
    assert child.result() == len(big) + 33_000


def test_what_is_vmspliced_arrives_whole(pipe: Ends) -> None:
    reader, writer = pipe
    big = os.urandom(700_001)
    views = [memoryview(big)[start : start + 70_000] for start in range(0, len(big), 70_000)]
    thread, outcome = in_thread(lambda: writer.vmsplice(views, timeout=20))
    got = bytearray()
    while len(got) < len(big):
        got += reader.read(timeout=20)
    thread.join()
    assert outcome == [len(big)]
    assert bytes(got) == big


def test_a_message_half_received_is_not_torn(pipe: Ends, other: Ends) -> None:
    reader, writer = pipe
    writer.write(b"\0\0\0\x06abc")
    assert reader.try_receive() is None  # has taken out what there was
    writer.write(b"def")
    for call in (reader.splice_to, reader.tee_to):
        with pytest.raises(BusyError, match=r"3 of the 6 bytes of a message.*receive\(\)"):
            call(other[1], 3)
    with pytest.raises(BusyError):
        other[1].splice_from(reader, 3)
    assert reader.receive(0) == b"abcdef"
    writer.write(b"raw")
    assert reader.splice_to(other[1], 3) == 3
    assert other[0].read() == b"raw"


def test_a_message_half_sent_goes_first(pipe: Ends, other: Ends, file: io.BufferedRandom) -> None:
    reader, writer = pipe
    file.write(b"raw")
    other[1].write(b"raw")
    big = os.urandom(100_000)
    with pytest.raises(TimeoutExpired):
        writer.send(big, timeout=0)
    calls: list[Callable[[], int]] = [
        lambda: writer.splice_from(other[0], 3, timeout=0),
        lambda: other[0].splice_to(writer, 3, timeout=0),
        lambda: writer.vmsplice([b"raw"], timeout=0),
        lambda: writer.sendfile(file, 3, offset=0, timeout=0),
    ]
    for call in calls:
        with pytest.raises(TimeoutExpired) as caught:
            call()
        assert caught.value.completed == 0
    assert reader.try_receive() is None
    assert calls[3]() == 3
    assert reader.receive(0) == big
    assert reader.read() == b"raw"


def test_splices_take_turns_with_messages_of_other_threads(pipe: Ends, other: Ends) -> None:
    fill(other[1])
    pipe[1].write(b"abc")
    thread, outcome = in_thread(lambda: pipe[0].splice_to(other[1], 3))
    for call in (lambda: pipe[0].receive(0), lambda: other[1].send(b"x", 0)):
        with pytest.raises(TimeoutExpired, match="another thread"):
            call()
    other[0].read()
    thread.join()
    assert outcome == [3]
    other[1].send(b"x", 0)


def test_a_signal_handler_within_a_splice_is_refused_its_turn(pipe: Ends, other: Ends) -> None:
    outcome: list[type] = []

    def handler(*_: object) -> None:
        try:
            pipe[0].splice_to(other[1], 1)
        except BusyError as error:
            outcome.append(type(error))
        pipe[1].write(b"abc")

    def interrupt() -> None:
        wait_blocked(os.getpid(), *SLEEP)
        os.kill(os.getpid(), signal.SIGUSR1)

    previous = signal.signal(signal.SIGUSR1, handler)
    thread = threading.Thread(target=interrupt)
    try:
        thread.start()
        assert pipe[0].splice_to(other[1], 3, timeout=20) == 3
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, previous)
    assert outcome == [BusyError]


def test_packets_go_to_packet_pipes_alone(pipe: Ends, file: io.BufferedRandom) -> None:
    one, other = Pipe.create(packet=True), Pipe.create(packet=True)
    with one[0], one[1], other[0], other[1]:
        for packet in (b"first", b"second"):
            one[1].send(packet)
        assert one[0].tee_to(other[1], 100) == 11
        assert [other[0].receive(0), other[0].receive(0)] == [b"first", b"second"]
        calls: list[Callable[[], int]] = [
            lambda: one[0].splice_to(pipe[1], 1),
            lambda: one[0].splice_to(pipe[1].fileno(), 1),
            lambda: one[0].tee_to(pipe[1], 1),
            lambda: one[1].splice_from(pipe[0], 1),
            lambda: one[1].splice_from(file, 1),
            lambda: one[1].sendfile(file, 1),
            lambda: one[1].vmsplice([b"x"]),
        ]
        for call in calls:
            with pytest.raises(ValueError, match="packet mode"):
                call()
        assert one[0].splice_to(other[1], 11) == 11
        assert [other[0].receive(0), other[0].receive(0)] == [b"first", b"second"]
        one[1].send(b"to a file")
        assert one[0].splice_to(file, 4) == 4  # a packet that is not moved whole keeps its rest
        assert one[0].splice_to(file, 5) == 5
    file.seek(0)
    assert file.read() == b"to a file"


def test_a_program_is_fed_from_a_file_and_drained_into_one(file: io.BufferedRandom, tmp_path: Path) -> None:
    file.write(b"line\n" * 50_000)
    to_program, from_program = Pipe.create(), Pipe.create()
    stdin, stdout = to_program[0].blocking_descriptor(), from_program[1].blocking_descriptor()
    with (
        to_program[0] as theirs,
        to_program[1] as feeding,
        from_program[0] as draining,
        from_program[1] as its,
        subprocess.Popen(["tr", "a-z", "A-Z"], stdin=stdin, stdout=stdout) as program,
        open(tmp_path / "out", "wb") as out,
    ):
        for end in (theirs, its):
            end.close()
        for descriptor in (stdin, stdout):
            os.close(descriptor)
        thread = threading.Thread(target=lambda: (feeding.sendfile(file, offset=0), feeding.close()))
        thread.start()
        assert draining.splice_to(out, timeout=20) == 250_000
        thread.join()
        assert program.wait() == 0
    assert (tmp_path / "out").read_bytes() == b"LINE\n" * 50_000
