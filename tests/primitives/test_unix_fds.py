"""Descriptors in messages: what arrives, what is refused, what must not leak."""

from __future__ import annotations

import array
import fcntl
import os
import resource
import socket
import time
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import BrokenPeerError, LimitError, MessageTooLargeError, TimeoutExpired
from ipckit.eventfd import EventFd
from ipckit.pipe import Pipe, PipeReader
from ipckit.sockets.unix import MOST_FDS, Datagram, SeqPacket, Stream
from tests.nobody import become_nobody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

Any3 = Stream | SeqPacket | Datagram
Pair = tuple[Any3, Any3]


@pytest.fixture(params=[Stream, SeqPacket, Datagram])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    one, other = request.param.pair()
    with one, other:
        yield one, other


@pytest.fixture
def streams() -> Iterator[tuple[Stream, Stream]]:
    one, other = Stream.pair()
    with one, other:
        yield one, other


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def reply_through_a_received_pipe(sock: Any3) -> bytes:
    with sock:
        data, fds = sock.receive_fds(100, 2, timeout=20)
        with PipeReader.from_fd(fds[0]) as reader, EventFd.from_fd(fds[1]) as event:
            event.write(len(data))
            return reader.receive(timeout=20)


def receive_with_few_descriptors(sock: Any3) -> tuple[str, bool]:
    with sock:
        before = open_fds()
        free = os.dup(0)
        os.close(free)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 2, hard))
        try:
            sock.receive_fds(100, 10, timeout=20)
        except MessageTooLargeError as error:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            return str(error), open_fds() == before
    return "no error", False


def test_descriptors_work_in_another_process(pair: Pair, spawn: Spawn) -> None:
    one, other = pair
    child = spawn(reply_through_a_received_pipe, other)
    reader, writer = Pipe.create()
    with writer, EventFd.create() as event:
        with reader:
            one.send_fds(b"take these", [reader, event.fileno()])
        writer.send(b"through the passed pipe")
        assert child.result() == b"through the passed pipe"
        assert event.read() == 10


def test_received_descriptors_are_new_and_close_on_exec(pair: Pair) -> None:
    one, other = pair
    reading, writing = os.pipe()
    one.send_fds(b"x", [reading])
    data, fds = other.receive_fds(1, 1)
    assert data == b"x"
    assert len(fds) == 1
    assert fds[0] != reading
    assert fcntl.fcntl(fds[0], fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    for fd in (reading, writing, *fds):
        os.close(fd)


def test_messages_without_descriptors(pair: Pair) -> None:
    one, other = pair
    one.send_fds(b"none", [])
    assert other.receive_fds(10, 0) == (b"none", [])
    for timeout in (0, 0.01):
        with pytest.raises(TimeoutExpired):
            other.receive_fds(10, 1, timeout)


def test_the_most_descriptors_and_one_more(pair: Pair) -> None:
    one, other = pair
    assert MOST_FDS == 253
    one.send_fds(b"many", [0] * 253)
    data, fds = other.receive_fds()
    assert data == b"many"
    assert len(fds) == 253
    for fd in fds:
        os.close(fd)
    with pytest.raises(ValueError, match="at most 253"):
        one.send_fds(b"x", [0] * 254)
    with pytest.raises(ValueError, match="253"):
        other.receive_fds(1, 254)
    with pytest.raises(ValueError, match="at least 1 byte"):
        other.receive_fds(0)


def test_descriptors_need_a_byte(pair: Pair) -> None:
    one, _ = pair
    for fds in ([0], []):
        with pytest.raises(ValueError, match="at least 1 byte"):
            one.send_fds(b"", fds)


def test_the_kernel_drops_descriptors_beside_no_byte_of_a_stream(streams: tuple[Stream, Stream]) -> None:
    one, other = streams
    before = open_fds()
    one.socket.sendmsg([b""], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))])
    with pytest.raises(TimeoutExpired):
        other.receive_fds(timeout=0)
    assert open_fds() == before


def test_a_closed_descriptor_is_refused_and_nothing_sent(pair: Pair) -> None:
    one, other = pair
    with pytest.raises(OSError, match="Bad file"):
        one.send_fds(b"x", [999999])
    with pytest.raises(TypeError, match=r"fds must be descriptors.*not 'a'"):
        one.send_fds(b"x", [0, "a"])  # type: ignore[list-item]
    with pytest.raises(TimeoutExpired):
        other.receive_fds(timeout=0)


@pytest.mark.parametrize("allowed", [0, 1, 2, 3])
def test_more_descriptors_than_allowed_are_all_closed(pair: Pair, allowed: int) -> None:
    one, other = pair
    before = open_fds()
    one.send_fds(b"x", [0] * (allowed + 1))
    with pytest.raises(MessageTooLargeError, match=f"max_fds={allowed}"):
        other.receive_fds(10, allowed)
    assert open_fds() == before
    one.send_fds(b"x", [0] * 5)
    with pytest.raises(MessageTooLargeError):
        other.receive_fds(10, allowed)
    assert open_fds() == before


@pytest.mark.parametrize("kind", [SeqPacket, Datagram])
def test_a_message_longer_than_allowed_raises_and_leaks_nothing(kind: type[SeqPacket | Datagram]) -> None:
    one, other = kind.pair()
    with one, other:
        before = open_fds()
        one.send_fds(b"too long", [0])
        with pytest.raises(MessageTooLargeError, match="size=3"):
            other.receive_fds(3, 1)
        assert open_fds() == before


def test_no_room_for_descriptors_raises_and_leaks_nothing(pair: Pair, spawn: Spawn) -> None:
    one, other = pair
    child = spawn(receive_with_few_descriptors, other)
    one.send_fds(b"x", [0] * 8)
    message, clean = child.result()
    assert "RLIMIT_NOFILE" in message
    assert clean


def send_without_a_receiver(sock: Stream) -> str:
    become_nobody()
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    with sock:
        try:
            for _ in range(10):
                sock.send_fds(b"x", [0] * 50, timeout=0)
        except LimitError as error:
            return str(error)
    return "no error"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user whom the limit holds for")
def test_too_many_descriptors_on_their_way_name_the_limit(streams: tuple[Stream, Stream], spawn: Spawn) -> None:
    assert "RLIMIT_NOFILE" in spawn(send_without_a_receiver, streams[0]).result()


def test_a_plain_receive_drops_descriptors_without_a_leak(pair: Pair) -> None:
    one, other = pair
    before = open_fds()
    one.send_fds(b"\0\0\0\x01x", [0, 0])
    other.receive()
    assert open_fds() == before


def test_credentials_beside_descriptors(pair: Pair) -> None:
    one, other = pair
    other.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    one.send_fds(b"x", [0, 0])
    _, fds = other.receive_fds(10, 2)
    assert len(fds) == 2
    for fd in fds:
        os.close(fd)


def test_a_stream_stops_behind_the_bytes_of_one_message_with_descriptors(streams: tuple[Stream, Stream]) -> None:
    one, other = streams
    one.write(b"11")
    one.send_fds(b"22", [0])
    one.write(b"33")
    data, fds = other.receive_fds(100, 1)
    assert (data, len(fds)) == (b"1122", 1)
    assert other.receive_fds(100, 1) == (b"33", [])
    os.close(fds[0])


def test_a_long_stream_write_carries_its_descriptors_once(streams: tuple[Stream, Stream]) -> None:
    one, other = streams
    with pytest.raises(TimeoutExpired) as caught:
        one.send_fds(bytes(2_000_000), [0], timeout=0.01)
    out = caught.value.completed
    assert 0 < out < 2_000_000
    received, total = [], 0
    while total < out:
        data, fds = other.receive_fds(timeout=1)
        total += len(data)
        received += fds
    assert total == out
    assert len(received) == 1
    os.close(received[0])


def test_the_end_of_a_stream(streams: tuple[Stream, Stream]) -> None:
    one, other = streams
    one.close()
    assert other.receive_fds() == (b"", [])
    with pytest.raises(BrokenPeerError):
        other.send_fds(b"x", [0])


def socket_inode(sock: Any3) -> str:
    return str(os.fstat(sock.fileno()).st_ino)


def unix_inodes() -> set[str]:
    with open("/proc/net/unix", encoding="ascii", errors="replace") as table:
        return {inode for line in table for inode in line.split()[6:7]}  # a name may have a line end in it


def test_sockets_inside_their_own_queues_are_collected_after_close(pair: Pair) -> None:
    one, other = pair
    before = open_fds()
    inodes = {socket_inode(one), socket_inode(other)}
    one.send_fds(b"x", [other, one])
    other.send_fds(b"x", [other, one])
    one.close()
    other.close()
    assert open_fds() == before - 2
    # Each is now held by a message in the other's queue alone, which nobody can read. The kernel's collector runs
    # when a socket that has sent descriptors is closed, and in its own time.
    until = time.monotonic() + 20
    while inodes & unix_inodes():
        assert time.monotonic() < until, "the kernel has not collected them"
        for end in Stream.pair():
            end.close()


def test_sockets_in_a_queue_that_is_read_do_not_leak(streams: tuple[Stream, Stream]) -> None:
    one, other = streams
    before = open_fds()
    one.send_fds(b"x", [other, one])
    _, fds = other.receive_fds(1, 2)
    other.send_fds(b"x", fds)
    for fd in fds:
        os.close(fd)
    assert open_fds() == before
