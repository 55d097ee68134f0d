"""The two lanes of pipes and sockets, compiled and on cffi: the same outcomes for the same attempts."""

from __future__ import annotations

import array
import errno
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import Pipe, pipe
from ipckit._lane import WritingLane
from ipckit._writing_lane import NOT_BYTES, CffiLane
from ipckit.errors import BrokenPeerError, ClosedError, MessageTooLargeError, TimeoutExpired
from ipckit.sockets import _base, unix

if TYPE_CHECKING:
    from collections.abc import Iterator

LANES = {"compiled": WritingLane, "cffi": CffiLane}


@pytest.fixture(params=LANES, autouse=True)
def lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = LANES[request.param]

    def lane_of(fd: int, *, socket: bool) -> Any:
        return made(fd, socket)

    monkeypatch.setattr(pipe, "lane_of", lane_of)
    monkeypatch.setattr(_base, "lane_of", lane_of)
    return made


@pytest.fixture(params=["pipe", "stream"])
def ends(request: pytest.FixtureRequest, lane: Any) -> Iterator[tuple[Any, Any]]:
    reader, writer = Pipe.create() if request.param == "pipe" else unix.Stream.pair()
    with reader, writer:
        assert type(writer._lane) is lane
        yield reader, writer


@pytest.mark.parametrize("lane", ["compiled"], indirect=True)
def test_the_compiled_lane_is_the_one_that_is_used(lane: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    reader, writer = Pipe.create()
    one, other = unix.Datagram.pair()
    with reader, writer, one, other:
        assert {type(writer._lane), type(one._lane)} == {lane}


def test_every_kind_of_buffer_arrives(ends: tuple[Any, Any]) -> None:
    reader, writer = ends
    several = array.array("i", range(5))
    for data in (
        b"x",
        bytes(range(256)),
        bytearray(b"ab"),
        memoryview(b"abcd")[::1],
        several,
        type("B", (bytes,), {})(b"q"),
    ):
        assert writer.write(data) == memoryview(data).nbytes
        assert reader.read() == bytes(data)
    assert writer.write(b"") == 0
    assert reader.try_read() is None
    for wrong in ("text", 5, None):
        with pytest.raises(TypeError):
            writer.write(wrong)


def test_what_finds_no_room_waits_for_it(ends: tuple[Any, Any]) -> None:
    reader, writer = ends
    data = os.urandom(1 << 20)
    thread = threading.Thread(target=writer.write, args=(data,))
    thread.start()
    received = bytearray()
    while len(received) < len(data):
        received += reader.read()
    thread.join()
    assert received == data
    while writer.try_write(bytes(4096)):
        pass
    with pytest.raises(TimeoutExpired):
        writer.write(b"x", timeout=0)


def test_each_failure_is_its_errno(lane: Any) -> None:
    for is_socket in (False, True):
        reading, writing = (end.detach() for end in socket.socketpair()) if is_socket else os.pipe()
        os.set_blocking(writing, is_socket)  # a socket is told at each call
        attempt = lane(writing, is_socket)
        assert attempt.write(b"ab") == 2
        for other in (bytearray(b"ab"), "text", None):
            assert attempt.write(other) == NOT_BYTES
        while (rc := attempt.write(bytes(4096))) > 0:
            pass
        assert rc == -errno.EAGAIN
        os.close(reading)
        assert attempt.write(b"x") == -errno.EPIPE
        attempt.close()
        assert attempt.write(b"x") == -errno.EBADF
        os.close(writing)
    unconnected = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with unconnected:
        assert lane(unconnected.fileno(), True).write(b"x") == -errno.ENOTCONN


def test_a_closed_handle_never_writes_to_whoever_has_its_number_next(ends: tuple[Any, Any]) -> None:
    reader, writer = ends
    writer.close()
    strangers = [os.pipe() for _ in range(3)]  # one has the number again
    try:
        with pytest.raises(ClosedError):
            writer.write(b"x")
        for reading, _ in strangers:
            os.set_blocking(reading, False)
            with pytest.raises(BlockingIOError):
                os.read(reading, 1)
    finally:
        for numbers in strangers:
            for number in numbers:
                os.close(number)
    assert reader.read() == b""


def test_nobody_reads_any_more(ends: tuple[Any, Any]) -> None:
    reader, writer = ends
    reader.close()
    with pytest.raises(BrokenPeerError) as caught:
        writer.write(b"x")
    assert (caught.value.errno, caught.value.syscall) == (errno.EPIPE, "write")


def test_messages_of_any_buffer_and_their_failures() -> None:
    for made in (unix.SeqPacket, unix.Datagram):
        one, other = made.pair()
        with one, other:
            for data in (b"x", bytearray(b"ab"), memoryview(b"abcd")):
                one.send(data)
                assert other.receive() == bytes(data)
                assert one.try_send(data)
                assert other.receive() == bytes(data)
            with pytest.raises(MessageTooLargeError):
                one.send(bytes(1 << 23))
            for wrong in ("text", 5, None):
                with pytest.raises(TypeError):
                    one.send(wrong)  # type: ignore[arg-type]
            while one.try_send(bytes(1000)):
                pass
            assert not one.try_send(bytearray(1000))
            with pytest.raises(TimeoutExpired):
                one.send(bytes(1000), timeout=0)
            other.close()
            for data in (b"x", bytearray(b"x")):
                with pytest.raises(BrokenPeerError):
                    one.send(data)
            one.close()
            for use in (one.send, one.try_send):
                with pytest.raises(ClosedError):
                    use(b"x")


def test_the_compiled_lane_refuses_other_calls() -> None:
    for arguments in ((), (1,), ("1", True), (1 << 31, True), (0, True, 1)):
        with pytest.raises((TypeError, OverflowError)):
            WritingLane(*arguments)  # type: ignore[arg-type, call-arg]
    with pytest.raises(TypeError, match="keyword"):
        WritingLane(0, socket=True)  # type: ignore[call-arg]
