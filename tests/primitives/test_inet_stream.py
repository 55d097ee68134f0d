"""TCP streams: bytes and messages, ends and resets, options."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import select
import signal
import socket
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import (
    BrokenPeerError,
    ClosedError,
    EndOfStreamError,
    MessageTooLargeError,
    PeerDiedError,
    TimeoutExpired,
)
from ipckit.pipe import PIPE_BUF, Pipe
from ipckit.sockets import unix
from ipckit.sockets.inet import KeepAlive, Listener, Stream
from tests.primitives.loopback import HERE, HOSTS, Pair, connected, reset

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn


@pytest.fixture
def pair() -> Iterator[Pair]:
    one, other = connected()
    with one, other:
        yield one, other


def echo(listener: Listener[Stream]) -> None:
    with listener, listener.accept(timeout=20) as stream:
        for message in stream:
            stream.send(message[::-1])


def receive_one(stream: Stream) -> bytes:
    with stream:
        return stream.receive(timeout=20)


@pytest.mark.parametrize("host", HOSTS)
def test_a_conversation_between_processes(host: str, spawn: Spawn) -> None:
    with Stream.listen((host, 0)) as listener:
        child = spawn(echo, listener)
        with Stream.connect(listener.address, timeout=20) as client:
            assert client.getpeername() == listener.getsockname()
            assert client.address[0] == host
            for message in (b"", b"abc", bytes(range(256)) * 1000):
                client.send(message, timeout=20)
                assert client.receive(timeout=20) == message[::-1]
            client.shutdown()
            assert client.read(timeout=20) == b""
        child.join()


def test_bytes_messages_and_peeking_both_ways(pair: Pair) -> None:
    one, other = pair
    for here, there in ((one, other), (other, one)):
        assert here.write(b"abc") == 3
        assert there.peek(2, timeout=20) == b"ab"
        assert there.peek(timeout=20) == b"abc"
        assert there.available == 3
        assert there.read(2, timeout=20) == b"ab"
        assert there.read(timeout=20) == b"c"
        here.send(b"")
        here.send(b"x" * 20_000)
        assert there.receive(timeout=20) == b""
        assert there.receive(timeout=20) == b"x" * 20_000
        room = bytearray(3)
        here.write(b"12")
        assert there.readinto(room, timeout=20) == 2
    assert one.try_read() is None
    assert one.try_receive() is None
    for take in (one.read, one.receive, one.peek):
        for timeout in (0, 0.01):
            with pytest.raises(TimeoutExpired):
                take(timeout=timeout)
    with pytest.raises(ValueError, match="at least 1"):
        one.peek(0)


def test_half_close(pair: Pair) -> None:
    one, other = pair
    one.send(b"question")
    one.shutdown()
    assert other.receive(timeout=20) == b"question"
    with pytest.raises(EndOfStreamError):
        other.receive(timeout=20)
    other.send(b"answer")
    assert one.receive(timeout=20) == b"answer"
    with pytest.raises(BrokenPeerError):
        one.write(b"x")


def test_a_reset_is_a_broken_peer_and_not_the_end(pair: Pair) -> None:
    one, other = pair
    reset(other)
    with pytest.raises(BrokenPeerError) as caught:
        one.read(timeout=20)
    assert caught.value.errno == errno.ECONNRESET
    assert one.read(timeout=20) == b""  # the kernel tells it once
    with pytest.raises(BrokenPeerError) as caught:
        one.write(b"x")
    assert caught.value.errno == errno.EPIPE
    with pytest.raises(BrokenPeerError):
        one.shutdown()


def test_closing_with_data_unread_is_a_reset(pair: Pair) -> None:
    one, other = pair
    one.write(b"never read")
    assert other.peek(timeout=20) == b"never read"
    other.close()
    with pytest.raises(BrokenPeerError):
        one.receive(timeout=20)


def write_after_reset(verbs: list[str]) -> list[int | None]:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    one, other = connected()
    with one:
        reset(other)
        poller = select.poll()
        poller.register(one, select.POLLIN)
        poller.poll(20_000)
        numbers = []
        for verb in verbs:
            try:
                getattr(one, verb)(b"x")
            except BrokenPeerError as error:
                numbers.append(error.errno)
    return numbers


@pytest.mark.parametrize("verbs", [["write", "write", "send"], ["send", "send", "write"]], ids=" ".join)
def test_writing_after_a_reset_raises_and_sends_no_signal(spawn: Spawn, verbs: list[str]) -> None:
    assert spawn(write_after_reset, verbs).result() == [errno.ECONNRESET, errno.EPIPE, errno.EPIPE]


def test_dribbled_input_makes_whole_messages(pair: Pair) -> None:
    one, other = pair
    message = bytes(range(100))
    framed = struct.pack("!I", len(message)) + message

    def dribble() -> None:
        for index in range(len(framed)):
            one.write(framed[index : index + 1])

    thread = threading.Thread(target=dribble)
    thread.start()
    assert other.receive(timeout=10) == message
    thread.join()
    # The flag that is made for this returns short on a socket with a timeout.
    one.write(b"ab")
    assert other.peek(timeout=20) == b"ab"
    other.settimeout(20)
    assert other.socket.recv(3, socket.MSG_WAITALL) == b"ab"


def test_a_peer_that_dies_in_mid_message(pair: Pair) -> None:
    one, other = pair
    one.write(b"\0\0\0\x05abc")
    one.close()
    with pytest.raises(PeerDiedError, match="3 of the 5"):
        other.receive(timeout=20)


def test_a_long_write_tells_how_much_went_out_and_time_loses_nothing(pair: Pair) -> None:
    one, other = pair
    big = os.urandom(16_000_000)
    with pytest.raises(TimeoutExpired) as caught:
        one.send(big, timeout=0.01)
    assert 0 < caught.value.completed < len(big)
    thread = threading.Thread(target=one.send, args=(b"next",))
    thread.start()
    assert other.receive(timeout=20) == big
    assert other.receive(timeout=20) == b"next"
    thread.join()


def test_a_message_above_the_limit_is_refused_on_both_sides(pair: Pair) -> None:
    one, other = pair
    other.max_message_size = 10
    one.send(b"x" * 11)
    with pytest.raises(MessageTooLargeError):
        other.receive(timeout=20)
    with pytest.raises(MessageTooLargeError):
        other.send(b"x" * 11)
    other.max_message_size = 11
    assert other.receive(timeout=20) == b"x" * 11


def test_an_urgent_byte_comes_in_its_place() -> None:
    one, other = connected()
    with one, other:
        for here, there in ((one, other), (other, one)):
            here.write(b"ab")
            here.socket.send(b"!", socket.MSG_OOB)
            here.write(b"cd")
            got = b""
            while len(got) < 5:
                got += there.read(timeout=20)
            assert got == b"ab!cd"


@pytest.mark.parametrize("blocking", [True, False])
def test_an_urgent_byte_is_spliced_in_its_place(pair: Pair, blocking: bool) -> None:
    here, there = pair
    here.socket.send(b"before")
    here.socket.send(b"!", socket.MSG_OOB)
    here.socket.send(b"after")
    there.socket.setblocking(blocking)
    reader, writer = Pipe.create()
    with reader, writer:
        assert writer.splice_from(there, len(b"before!after"), timeout=20) == len(b"before!after")
        assert reader.try_read() == b"before!after"
        here.shutdown()
        assert writer.splice_from(there, timeout=20) == 0


def test_an_urgent_byte_waits_for_room_in_the_pipe(pair: Pair) -> None:
    here, there = pair
    here.socket.send(b"!", socket.MSG_OOB)
    here.shutdown()
    assert there.peek(timeout=20) == b"!"
    reader, writer = Pipe.create()
    with reader, writer:
        while writer.try_write(bytes(PIPE_BUF)):
            pass
        with pytest.raises(TimeoutExpired):
            writer.splice_from(there, timeout=0.02)
        while reader.try_read():
            pass
        assert writer.splice_from(there, timeout=20) == 1
        assert reader.try_read() == b"!"


def test_no_delay_is_on_unless_said_otherwise() -> None:
    with Stream.listen(HERE) as on, Stream.listen(HERE, no_delay=False) as off:
        for listener, accepted in ((on, True), (off, False)):
            with Stream.connect(listener.address, timeout=20) as client, listener.accept(timeout=20) as server:
                assert client.no_delay
                assert server.no_delay is accepted
                client.no_delay = False
                assert not client.no_delay
            with Stream.connect(listener.address, timeout=20, no_delay=False) as client:
                assert not client.no_delay


def test_keep_alive(pair: Pair) -> None:
    one, _ = pair
    assert one.keep_alive is None
    one.keep_alive = KeepAlive(idle=7, interval=3, count=2)
    assert one.keep_alive == KeepAlive(7, 3, 2)
    assert one.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert one.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7
    one.keep_alive = None
    assert one.keep_alive is None
    for bad in (KeepAlive(idle=0), KeepAlive(interval=32768), KeepAlive(count=128), KeepAlive(count=-1)):
        with pytest.raises(ValueError, match=r"keep_alive must have (idle|interval|count) from 1 to"):
            one.keep_alive = bad
    one.close()
    for use in (lambda: one.keep_alive, lambda: one.no_delay, lambda: setattr(one, "keep_alive", None)):
        with pytest.raises(ClosedError):
            use()


def set_loopback(*, up: bool) -> None:
    siocsifflags, iff_up_running = 0x8914, 0x41
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, siocsifflags, struct.pack("16sH14x", b"lo", iff_up_running if up else 0))


def lose_the_network() -> list[object]:
    """In a network of its own, whose only device goes down under a connection."""
    clone_newnet, clone_newuser = 0x40000000, 0x10000000
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(clone_newnet) and libc.unshare(clone_newnet | clone_newuser):
        return ["no namespace: " + os.strerror(ctypes.get_errno())]
    try:
        set_loopback(up=True)
    except PermissionError as error:  # AppArmor may grant a user the namespace alone
        return [f"no namespace: {error}"]
    one, other = connected()
    with one, other:
        one.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 20)
        set_loopback(up=False)
        one.write(b"x")
        try:
            one.read(timeout=20)
        except BrokenPeerError as error:
            return [type(error).__name__, error.errno, str(error)]
    return ["no error"]


@pytest.mark.slow
def test_a_connection_that_the_kernel_gives_up_is_a_broken_peer_and_no_timeout(spawn: Spawn) -> None:
    name, *rest = spawn(lose_the_network).result()
    if str(name).startswith("no namespace"):
        pytest.skip(str(name))
    assert [name, rest[0]] == ["BrokenPeerError", errno.ETIMEDOUT]
    assert "no longer answers" in str(rest[1])


def test_a_killed_peer_ends_the_stream(pair: Pair, spawn: Spawn) -> None:
    one, other = pair
    child = spawn(receive_one, other)
    child.wait_blocked("poll")
    other.close()
    child.kill()
    child.join()
    assert one.read(timeout=10) == b""


def test_a_blocked_receiver_in_another_process_is_woken(pair: Pair, spawn: Spawn) -> None:
    one, other = pair
    child = spawn(receive_one, other)
    child.wait_blocked("poll")
    one.send(b"awake")
    assert child.result() == b"awake"


def test_the_genuine_socket_and_adopting_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain, Stream.connect(plain.getsockname(), timeout=20) as client:
        accepted, _ = plain.accept()
        accepted.set_inheritable(True)
        with Stream.from_socket(accepted) as server:
            assert server.socket is accepted
            assert not accepted.get_inheritable()
            client.socket.sendall(b"plain")
            assert server.read(timeout=20) == b"plain"
            server.settimeout(60)
            assert server.gettimeout() == 60
            server.setblocking(True)
        listener = Listener.from_socket(plain.dup(), Stream)
        with listener, Stream.connect(listener.address, timeout=20), listener.accept(timeout=20):
            pass
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wrong,
        pytest.raises(ValueError, match="AF_INET or AF_INET6 and SOCK_STREAM"),
    ):
        Stream.from_socket(wrong)
    with unix.Stream.listen(None) as theirs_listening, pytest.raises(ValueError, match="same family"):
        unix.Listener.from_socket(theirs_listening.socket, Stream)
    for mine, theirs in ((Stream, socket.AF_UNIX), (unix.Stream, socket.AF_INET)):
        with socket.socket(theirs) as wrong, pytest.raises(ValueError, match="socket must be"):
            mine.from_socket(wrong)


@pytest.mark.parametrize("default", [5.0, 0.0])
def test_a_default_timeout_of_the_socket_module_does_not_matter(default: float) -> None:
    socket.setdefaulttimeout(default)
    try:
        one, other = connected()
        with one, other:
            for stream in (one, other):
                assert stream.gettimeout() is None
                assert stream.try_read() is None
                assert os.get_blocking(stream.fileno())
    finally:
        socket.setdefaulttimeout(None)
