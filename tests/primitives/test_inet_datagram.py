"""UDP: boundaries, sizes, addresses, what a sender learns and when."""

from __future__ import annotations

import array
import errno
import os
import select
import socket
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import (
    AlreadyExistsError,
    BrokenPeerError,
    ClosedError,
    MessageTooLargeError,
    NotFoundError,
    SyscallError,
    TimeoutExpired,
)
from ipckit.sockets.inet import Datagram, Received
from tests.primitives.loopback import HERE, HOSTS, UNKNOWN, ipv6, no_receiver

if TYPE_CHECKING:
    from ipckit.testing import Spawn


def receive_one(sock: Datagram) -> bytes:
    with sock:
        return sock.receive(timeout=20)


def wait_for_input(sock: Datagram) -> None:
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    assert poller.poll(20_000)


@pytest.mark.parametrize("host", HOSTS)
def test_question_and_answer(host: str) -> None:
    with (
        Datagram.bind((host, 0)) as server,
        Datagram.connect(server.address) as client,
        Datagram.bind((host, 0)) as any_,
    ):
        for data in (b"one", bytearray(b"two"), memoryview(b"three"), array.array("i", [1, 2])):
            client.send(data)
        assert server.receive(timeout=20) == b"one"
        assert server.receive(timeout=20) == b"two"
        received = server.receive_from(timeout=20)
        assert received == Received(b"three", client.address)
        assert server.receive(timeout=20) == array.array("i", [1, 2]).tobytes()
        server.send_to(b"answer", received.address)
        assert client.receive(timeout=20) == b"answer"
        any_.send_to(b"x", server.address)
        assert server.receive_from(timeout=20).address == any_.address
        assert server.try_receive() is None
        for take in (server.receive, server.receive_from, server.peek, server.peek_size):
            for timeout in (0, 0.01):
                with pytest.raises(TimeoutExpired):
                    take(timeout=timeout)
        with pytest.raises(BrokenPeerError):
            server.getpeername()
        assert client.getpeername() == server.address
        with pytest.raises(SyscallError) as caught:
            any_.send(b"to whom?")
        assert caught.value.errno == errno.EDESTADDRREQ


def test_an_empty_message_is_a_message() -> None:
    with Datagram.bind(HERE) as server, Datagram.connect(server.address) as client:
        client.send(b"")
        client.send(b"x")
        client.send_to(b"", server.address)
        assert server.peek_size(timeout=20) == 0
        assert server.peek(timeout=20) == b""
        assert server.receive(timeout=20) == b""
        assert server.receive(timeout=20) == b"x"
        assert server.receive_from(timeout=20) == (b"", client.address)
        assert server.try_receive() is None


@pytest.mark.parametrize("host", HOSTS)
def test_the_largest_message_and_one_more(host: str) -> None:
    largest = 65507 if host == "127.0.0.1" else 65527
    data = os.urandom(largest + 1)
    with Datagram.bind((host, 0)) as server, Datagram.connect(server.address) as client:
        client.send(data[:-1])
        assert server.peek_size(timeout=20) == largest
        assert server.receive(timeout=20) == data[:-1]
        for send in (client.send, client.try_send, lambda data: client.send_to(data, server.address)):
            with pytest.raises(MessageTooLargeError):
                send(data)
        assert server.max_message_size == 65535
        server.max_message_size = 4
        for _ in range(2):
            client.send(b"12345")
            client.send(b"1234")
            with pytest.raises(MessageTooLargeError, match="more than the 4 bytes of max_message_size"):
                server.receive(timeout=20)
            assert server.receive_from(timeout=20).data == b"1234"


def test_peeking_takes_nothing() -> None:
    with Datagram.bind(HERE) as server, Datagram.connect(server.address) as client:
        client.send(b"first")
        client.send(b"second")
        assert server.peek(2, timeout=20) == b"fi"
        assert server.peek(timeout=20) == b"first"
        assert server.peek_size() == 5
        assert server.receive(timeout=20) == b"first"
        assert server.receive(timeout=20) == b"second"


def test_refusal_comes_late_and_once() -> None:
    with no_receiver() as address, Datagram.connect(address) as client:
        client.send(b"goes out")
        wait_for_input(client)
        with pytest.raises(BrokenPeerError) as caught:
            client.receive(timeout=20)
        assert caught.value.errno == errno.ECONNREFUSED
        assert client.try_receive() is None
        client.send(b"goes out, too")
        wait_for_input(client)
        with pytest.raises(BrokenPeerError):
            client.send(b"and this does not")
        client.send(b"but this does")
    with no_receiver() as address, Datagram.bind(HERE) as sender:
        sender.send_to(b"nobody tells", address)
        with pytest.raises(TimeoutExpired):
            sender.receive(timeout=0.01)


def test_a_connected_socket_hears_nobody_else() -> None:
    with (
        Datagram.bind(HERE) as server,
        Datagram.connect(server.address) as client,
        Datagram.bind(HERE) as stranger,
    ):
        stranger.send_to(b"intruder", client.address)
        server.send_to(b"friend", client.address)
        assert client.receive(timeout=20) == b"friend"
        assert client.try_receive() is None


def test_what_finds_the_buffer_full_is_lost_and_the_sender_goes_on() -> None:
    with Datagram.bind(HERE) as server, Datagram.connect(server.address) as client:
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        room = server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        sent = room // 100
        for index in range(sent):
            client.send(b"%d" % index, timeout=20)
        got = []
        while (message := server.try_receive()) is not None:
            got.append(int(message))
        assert 0 < len(got) < sent
        assert got == list(range(len(got)))


def test_ports_are_not_shared_by_accident() -> None:
    with Datagram.bind(HERE) as one:
        with pytest.raises(AlreadyExistsError):
            Datagram.bind(one.address)
        with pytest.raises(AlreadyExistsError):
            Datagram.bind(one.address, reuse_port=True)
    with (
        Datagram.bind(HERE, reuse_port=True) as one,
        Datagram.bind(one.address, reuse_port=True) as other,
        Datagram.connect(one.address) as client,
    ):
        for _ in range(3):
            client.send(b"x")
        got = [sum(1 for _ in iter(sock.try_receive, None)) for sock in (one, other)]
        assert sorted(got) == [0, 3]


@ipv6
def test_ipv6_alone_and_both_families() -> None:
    with (
        no_receiver() as unheard,
        Datagram.bind(("::", unheard[1])),
        Datagram.bind(("", 0), dual_stack=True) as both,
    ):
        with Datagram.connect(unheard) as client:
            client.send(b"x")
            wait_for_input(client)
            with pytest.raises(BrokenPeerError):
                client.receive(timeout=20)
        for host in ("127.0.0.1", "::1"):
            with Datagram.bind((host, 0)) as other:
                other.send_to(b"question", (host, both.address[1]))
                data, address = both.receive_from(timeout=20)
                assert data == b"question"
                both.send_to(b"answer", address)
                assert other.receive(timeout=20) == b"answer"
                both.send_to(b"by its number", (host, other.address[1]))
                assert other.receive(timeout=20) == b"by its number"
    with Datagram.bind(HERE) as four, pytest.raises(SyscallError) as caught:
        four.send_to(b"x", ("::1", 9))
    assert caught.value.errno in {errno.EAFNOSUPPORT, errno.ENOENT}
    with pytest.raises(ValueError, match="dual_stack needs"):
        Datagram.bind(HERE, dual_stack=True)


def test_names_and_impossible_addresses() -> None:
    with Datagram.bind(HERE) as server:
        port = server.address[1]
        server.send_to(b"to myself", ("localhost", port))
        assert server.receive(timeout=20) == b"to myself"
        with pytest.raises(NotFoundError):
            server.send_to(b"x", (UNKNOWN, port))
        for bad in (("127.0.0.1", 65536), ("", port)):
            with pytest.raises(ValueError, match="address must have"):
                server.send_to(b"x", bad)
        with pytest.raises(TypeError, match="address must be"):
            server.send_to(b"x", "127.0.0.1:9")  # type: ignore[arg-type]
        with Datagram.connect(server.address, source=("127.0.0.2", 0)) as client:
            client.send(b"x")
            assert server.receive_from(timeout=20).address == client.address
            assert client.address[0] == "127.0.0.2"
    with pytest.raises(NotFoundError):
        Datagram.connect((UNKNOWN, 1))


def test_a_child_is_woken_and_a_killed_one_takes_nothing(spawn: Spawn) -> None:
    with Datagram.bind(HERE) as server, Datagram.connect(server.address) as client:
        child = spawn(receive_one, server)
        child.wait_blocked("poll")
        client.send(b"awake")
        assert child.result() == b"awake"
        child = spawn(receive_one, server)
        child.wait_blocked("poll")
        child.kill()
        child.join()
        client.send(b"survives")
        assert server.receive(timeout=20) == b"survives"


def test_adopting_and_closing() -> None:
    plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    plain.bind(HERE)
    adopted = Datagram.from_socket(plain)
    with adopted, Datagram.connect(adopted.address) as client:
        assert client.try_send(b"x")
        assert adopted.receive(timeout=20) == b"x"
    with pytest.raises(ClosedError):
        adopted.send_to(b"x", ("127.0.0.1", 9))
    with socket.socket() as wrong, pytest.raises(ValueError, match="SOCK_DGRAM"):
        Datagram.from_socket(wrong)
