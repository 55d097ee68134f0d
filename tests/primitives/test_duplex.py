"""Full-duplex pipes: both ways at once, half-close, messages, children, other programs."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.duplex import DuplexMessages, DuplexPipe, DuplexStream
from ipckit.errors import (
    BrokenPeerError,
    BusyError,
    ClosedError,
    EndOfStreamError,
    LimitError,
    MessageTooLargeError,
    PeerDiedError,
    TimeoutExpired,
)
from ipckit.testing import pause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

Streams = tuple[DuplexStream, DuplexStream]
Messages = tuple[DuplexMessages, DuplexMessages]


@pytest.fixture
def stream() -> Iterator[Streams]:
    one, other = DuplexPipe.create()
    with one, other:
        yield one, other


@pytest.fixture
def messages() -> Iterator[Messages]:
    one, other = DuplexPipe.create(messages=True)
    with one, other:
        yield one, other


@pytest.fixture(params=[False, True], ids=["stream", "messages"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    one, other = DuplexPipe.create(messages=request.param)
    with one, other:
        yield one, other


def echo(end: Any) -> int:
    """Answer each message with itself, backwards, until there is no more; then say so by the end of our side."""
    with end:
        count = 0
        for message in end:
            end.send(message[::-1])
            count += 1
        return count


def send_and_wait(stream: DuplexStream, messages: DuplexMessages, cut: DuplexStream) -> None:
    with stream, messages, cut:
        stream.send(b"before")
        messages.send(b"before")
        cut.write(b"\0\0\0\x0ahalf")
        pause("sent")


def test_both_directions_at_once(ends: tuple[Any, Any]) -> None:
    one, other = ends
    one.send(b"to the other")
    other.send(b"to the one")
    assert one.receive(timeout=0) == b"to the one"
    assert other.receive(timeout=0) == b"to the other"
    assert one.try_receive() is None
    with pytest.raises(TimeoutExpired):
        other.receive(timeout=0.01)


def test_bytes_both_ways(stream: Streams) -> None:
    one, other = stream
    assert one.write(b"abc") == 3
    assert other.available == 3
    assert other.read(2) == b"ab"
    room = bytearray(4)
    assert other.readinto(room) == 1
    assert other.try_read() is None
    assert other.try_write(b"x") == 1
    assert one.read() == b"x"
    assert other.write(b"") == 0
    assert one.available == 0


def test_each_direction_has_a_buffer_of_its_own(stream: Streams) -> None:
    one, other = stream
    while one.try_write(bytes(4096)):
        pass
    with pytest.raises(TimeoutExpired):
        one.write(b"x", timeout=0)
    assert other.write(b"back", timeout=0) == 4
    assert one.read() == b"back"


def test_half_close_leaves_the_way_back_open(ends: tuple[Any, Any], spawn: Spawn) -> None:
    one, other = ends
    child = spawn(echo, other)
    other.close()
    for message in (b"abc", b"", b"x" * 5000):
        one.send(message)
        assert one.receive(timeout=20) == message[::-1]
    one.send(b"last")
    one.shutdown()
    with pytest.raises(BrokenPeerError):
        one.send(b"no more")
    assert one.receive(timeout=20) == b"tsal"
    with pytest.raises(EndOfStreamError):
        one.receive(timeout=20)
    assert child.result() == 4


def test_half_close_of_the_reading_side(stream: Streams) -> None:
    one, other = stream
    one.shutdown(socket.SHUT_RD)
    with pytest.raises(BrokenPeerError):
        other.write(b"x")
    one.write(b"still")
    assert other.read(timeout=1) == b"still"
    assert one.read(timeout=1) == b""


def test_the_end_of_the_stream_and_of_the_peer(ends: tuple[Any, Any]) -> None:
    one, other = ends
    other.send(b"last")
    other.close()
    assert one.receive(timeout=1) == b"last"
    for _ in range(2):
        with pytest.raises(EndOfStreamError):
            one.receive(timeout=1)
    with pytest.raises(BrokenPeerError):
        one.send(b"x")
    poller = select.poll()
    poller.register(one, select.POLLIN | select.POLLRDHUP)
    assert poller.poll(0)[0][1] & select.POLLRDHUP


def test_close_with_data_unread_is_told_once(stream: Streams) -> None:
    one, other = stream
    other.write(b"before")
    one.write(b"never read")
    other.close()
    assert one.read(timeout=1) == b"before"
    with pytest.raises(BrokenPeerError, match="reset"):
        one.read(timeout=1)
    assert one.read(timeout=1) == b""


def test_messages_keep_their_boundaries_and_empty_ones_count(messages: Messages) -> None:
    one, other = messages
    for message in (b"", b"second", b"", b"\0"):
        one.send(message)
    assert [other.receive(timeout=0) for _ in range(4)] == [b"", b"second", b"", b"\0"]
    with pytest.raises(MessageTooLargeError):
        one.send(bytes(1 << 20))
    assert other.try_receive() is None
    assert other.max_message_size == 1 << 19


def test_framed_messages_on_the_stream_have_any_size(stream: Streams) -> None:
    one, other = stream
    big = os.urandom(2_000_000)
    thread = threading.Thread(target=one.send, args=(big,))
    thread.start()
    assert other.receive(timeout=20) == big
    thread.join()
    one.send(b"")
    assert other.receive(timeout=0) == b""


def test_a_message_cut_short_by_time_goes_first(stream: Streams) -> None:
    one, other = stream
    big = bytes(1 << 20)
    with pytest.raises(TimeoutExpired) as caught:
        one.send(big, timeout=0)
    assert 0 < caught.value.completed < len(big)
    thread = threading.Thread(target=one.flush)
    thread.start()
    assert other.receive(timeout=20) == big
    thread.join()


def test_a_killed_peer_is_the_end_and_no_clean_one_inside_a_message(
    stream: Streams, messages: Messages, spawn: Spawn
) -> None:
    ours, theirs = zip(stream, messages, DuplexPipe.create(), strict=True)
    child = spawn(send_and_wait, *theirs)
    for end in theirs:
        end.close()
    child.wait_reached("sent")
    child.kill()
    for end in ours[:2]:
        assert end.receive(timeout=20) == b"before"
        with pytest.raises(EndOfStreamError):
            end.receive(timeout=20)
    with ours[2] as cut, pytest.raises(PeerDiedError, match="4 of the 10 bytes"):
        cut.receive(timeout=20)


def test_deadlock_of_two_writers_is_a_timeout(stream: Streams) -> None:
    one, other = stream
    outcome: list[object] = []

    def write() -> None:
        try:
            other.write(bytes(1 << 21), timeout=0.1)
        except TimeoutExpired as error:
            outcome.append(error.completed > 0)

    thread = threading.Thread(target=write)
    thread.start()
    with pytest.raises(TimeoutExpired):
        one.write(bytes(1 << 21), timeout=0.1)
    thread.join()
    assert outcome == [True]


def test_a_program_gets_one_end_as_stdin_and_stdout(stream: Streams) -> None:
    one, other = stream
    descriptor = other.blocking_descriptor()
    assert os.get_blocking(descriptor)
    assert not os.get_inheritable(descriptor)
    with subprocess.Popen(["sort"], stdin=descriptor, stdout=descriptor) as program:
        os.close(descriptor)
        other.close()
        one.write(b"c\na\nb\n")
        one.shutdown()
        assert one.read(timeout=20) == b"a\nb\nc\n"
        assert one.read(timeout=20) == b""
    assert program.returncode == 0


def test_a_non_blocking_socket_gives_no_blocking_descriptor(ends: tuple[Any, Any]) -> None:
    ends[0].settimeout(5)
    with pytest.raises(BusyError, match=r"settimeout\(None\)"):
        ends[0].blocking_descriptor()
    ends[0].settimeout(None)
    os.close(ends[0].blocking_descriptor())


def test_a_program_of_ours_takes_a_descriptor_over(stream: Streams) -> None:
    one, other = stream
    command = (
        "import sys, ipckit.duplex as d; end = d.DuplexStream.from_fd(int(sys.argv[1])); end.send(end.receive()[::-1])"
    )
    number = other.fileno()
    with subprocess.Popen([sys.executable, "-c", command, str(number)], pass_fds=[number]) as program:
        other.close()
        one.send(b"abc")
        assert one.receive(timeout=20) == b"cba"
    assert program.returncode == 0


def test_taking_over_what_is_no_such_end(messages: Messages) -> None:
    reading, writing = os.pipe()
    with socket.socket(socket.AF_INET) as inet:
        for wrong in (reading, inet.fileno(), messages[0].fileno()):
            with pytest.raises(ValueError, match="fd must be"):
                DuplexStream.from_fd(wrong)
            os.fstat(wrong)  # it stays open
    with pytest.raises(OSError, match="999999"):
        DuplexStream.from_fd(999_999)
    os.close(reading)
    os.close(writing)
    with DuplexMessages.from_fd(os.dup(messages[0].fileno())) as again:
        again.send(b"x")
        assert not os.get_inheritable(again.fileno())
    assert messages[1].receive(timeout=0) == b"x"


def test_ends_carry_descriptors_and_know_each_other(ends: tuple[Any, Any]) -> None:
    one, other = ends
    with open(__file__, "rb") as file:
        one.send_fds(b"x", [file])
    data, fds = other.receive_fds(timeout=1)
    assert data == b"x"
    assert os.path.samestat(os.fstat(fds[0]), os.stat(__file__))
    os.close(fds[0])
    assert one.peer_credentials.pid == os.getpid()


def test_ends_say_what_they_are_and_close(ends: tuple[Any, Any]) -> None:
    one = ends[0]
    assert repr(one) == f"<{type(one).__name__} fd={one.fileno()}>"
    one.close()
    one.close()
    assert repr(one) == f"<{type(one).__name__} closed>"
    for call in (one.receive, one.blocking_descriptor, one.shutdown, lambda: one.send(b"x")):
        with pytest.raises(ClosedError):
            call()


def no_descriptors_left() -> str:
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (os.dup(0) + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    try:
        DuplexPipe.create()
    except LimitError as error:
        return str(error)
    return "no error"


def test_running_out_of_descriptors_names_the_limit(spawn: Spawn) -> None:
    assert "RLIMIT_NOFILE" in spawn(no_descriptors_left).result()
