"""TCP: connecting, listening, addresses."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from ipckit._wait import Deadline
from ipckit.errors import (
    AlreadyExistsError,
    BrokenPeerError,
    ClosedError,
    NotFoundError,
    SyscallError,
    TimeoutExpired,
)
from ipckit.sockets._inet_connecting import _connect, connect
from ipckit.sockets.inet import Stream
from tests.primitives.loopback import HERE, HOSTS, UNKNOWN, has_ipv6, ipv6, nobody, reset

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.testing import Spawn


def test_a_name_is_looked_up_and_its_addresses_tried_in_turn() -> None:
    with Stream.listen(HERE) as listener:
        port = listener.address[1]
        with Stream.connect(("localhost", port), timeout=20) as client, listener.accept(timeout=20):
            assert client.getpeername()[1] == port
        with nobody() as unheard:
            targets = [(socket.AF_INET, unheard), (socket.AF_INET, listener.address)]
            with connect(Stream, targets, None, None) as client, listener.accept(timeout=20):
                assert client.getpeername() == listener.address
            with pytest.raises(BrokenPeerError):
                connect(Stream, [targets[0]] * 2, None, None)
    with pytest.raises(NotFoundError, match=r"getaddrinfo: .*nobody\.invalid'"):
        Stream.connect((UNKNOWN, 1), timeout=20)
    with pytest.raises(NotFoundError):
        Stream.listen((UNKNOWN, 0))


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ("127.0.0.1:80", TypeError),
        (("127.0.0.1",), TypeError),
        ((b"127.0.0.1", 1), TypeError),
        (("127.0.0.1", "80"), TypeError),
        (("127.0.0.1", True), TypeError),
        (("127.0.0.1", -1), ValueError),
        (("127.0.0.1", 65536), ValueError),
        (("a\0b", 1), ValueError),
        (("x" * 70 + ".example", 1), (ValueError, NotFoundError)),
    ],
)
def test_impossible_addresses(bad: tuple[str, int], error: type[Exception]) -> None:
    for call in (Stream.listen, Stream.connect):
        with pytest.raises(error):
            call(bad)
    with pytest.raises(ValueError, match="address must have a host"):
        Stream.connect(("", 1))


def test_nobody_listens() -> None:
    with nobody() as address:
        for timeout in (None, 20):
            with pytest.raises(BrokenPeerError, match=r"nobody listens there.*127\.0\.0\.1:\d+") as caught:
                Stream.connect(address, timeout=timeout)
            assert caught.value.errno == errno.ECONNREFUSED


def test_the_result_of_a_connect_that_is_under_way_is_asked_for() -> None:
    """The kernel says EINPROGRESS, then POLLOUT whichever way it ends: SO_ERROR tells."""
    with Stream.listen(HERE) as listener:
        address = listener.address
        with socket.socket() as bare:
            bare.setblocking(False)
            assert bare.connect_ex(address) == errno.EINPROGRESS
        with Stream.connect(address, timeout=20) as client:
            assert client.gettimeout() is None
    with nobody() as address, socket.socket() as bare:
        bare.setblocking(False)
        assert bare.connect_ex(address) == errno.EINPROGRESS
        poller = select.poll()
        poller.register(bare, select.POLLOUT)
        assert poller.poll(20_000)[0][1] & select.POLLOUT
        assert bare.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
        with pytest.raises(BrokenPeerError):
            Stream.connect(address, timeout=20)


def test_a_listener_that_does_not_answer_is_given_up_in_time() -> None:
    with Stream.listen(HERE, backlog=0) as listener, Stream.connect(listener.address, timeout=20):
        for timeout in (0, 0.02):
            with pytest.raises(TimeoutExpired, match="connect: The time given is up"):
                Stream.connect(listener.address, timeout=timeout)
        # The first of two gets half of the time, and leaves the other half to the second.
        with Stream.listen(HERE) as quick:
            targets = [(socket.AF_INET, listener.address), (socket.AF_INET, quick.address)]
            with first_in_time(lambda seconds: connect(Stream, targets, Deadline.after(seconds), None)) as client:
                assert client.getpeername() == quick.address


def first_in_time(attempt: Callable[[float], Stream]) -> Stream:
    """With more time each time, for who is held up has less of it than was given."""
    for seconds in (0.1, 1):
        with suppress(TimeoutExpired):
            return attempt(seconds)
    return attempt(20)


def interrupted_connect(address: tuple[str, int]) -> str:
    try:
        Stream.connect(address)
    except KeyboardInterrupt:
        return f"interrupted, {len(os.listdir('/proc/self/fd'))}"
    return "connected"


def test_ctrl_c_ends_a_connect_and_leaks_nothing(spawn: Spawn) -> None:
    with Stream.listen(HERE, backlog=0) as listener, Stream.connect(listener.address, timeout=20):
        child = spawn(interrupted_connect, listener.address)
        child.wait_blocked("poll")
        count = len(os.listdir(f"/proc/{child.pid}/fd"))
        child.send_signal(signal.SIGINT)
        assert child.result() == f"interrupted, {count}"  # less the socket, and with the listing's own


@pytest.mark.parametrize("timeout", [-1, float("nan"), True, "1"])
def test_a_bad_timeout_is_refused_before_anything_happens(timeout: float) -> None:
    with Stream.listen(HERE) as listener:
        with pytest.raises((ValueError, TypeError), match="timeout"):
            Stream.connect(listener.address, timeout=timeout)
        assert listener.try_accept() is None


def test_an_own_address() -> None:
    with Stream.listen(HERE) as listener:
        with Stream.connect(listener.address, timeout=20, source=("127.0.0.2", 0)) as client:
            with listener.accept(timeout=20) as server:
                assert server.getpeername() == client.address
                assert client.address[0] == "127.0.0.2"
            with pytest.raises(AlreadyExistsError, match="another socket has the port"):
                Stream.connect(listener.address, source=client.address)
        if has_ipv6():
            with pytest.raises(OSError, match=r"Address family not supported.*\[::1\]:0"):
                Stream.connect(listener.address, source=("::1", 0))
    with pytest.raises(SyscallError, match="no interface") as caught:
        Stream.listen(("192.0.2.1", 0))
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_a_socket_that_found_itself_is_nobody_there() -> None:
    """Where nobody listens the kernel may choose the very port as the own one, and TCP connects to itself."""
    with socket.socket() as bare:
        bare.bind(HERE)
        address = bare.getsockname()
        bare.connect(address)
        assert bare.getpeername() == bare.getsockname()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(HERE)
    with Stream.from_socket(sock) as stream, pytest.raises(BrokenPeerError):
        _connect(stream, sock.getsockname(), None)


@pytest.mark.parametrize("host", HOSTS)
def test_port_0_is_a_free_port_that_stays_ours(host: str) -> None:
    with Stream.listen((host, 0)) as listener:
        port = listener.address[1]
        assert port > 0
        assert str(port) in repr(listener)
        with pytest.raises(AlreadyExistsError, match="0 lets the kernel choose"):
            Stream.listen((host, port))
        with Stream.listen((host, 0)) as second:
            assert second.address[1] != port


def test_a_port_with_lingering_connections_is_free_at_once() -> None:
    with Stream.listen(HERE) as listener:
        address = listener.address
        client = Stream.connect(address, timeout=20)
        with listener.accept(timeout=20) as server:
            server.shutdown()  # whoever closes first lingers
            assert client.read(timeout=20) == b""
            client.close()
            assert server.read(timeout=20) == b""
    with socket.socket() as bare, pytest.raises(OSError, match="in use"):
        bare.bind(address)
    with Stream.listen(address), pytest.raises(AlreadyExistsError):
        Stream.listen(address)


def test_a_shared_port() -> None:
    with Stream.listen(HERE, reuse_port=True) as one, Stream.listen(one.address, reuse_port=True) as other:
        assert one.address == other.address
        with pytest.raises(AlreadyExistsError):
            Stream.listen(one.address)
        with Stream.connect(one.address, timeout=20):
            poller = select.poll()
            poller.register(one, select.POLLIN)
            poller.register(other, select.POLLIN)
            poller.poll(20_000)
            accepted = [connection for connection in (one.try_accept(), other.try_accept()) if connection]
            assert len(accepted) == 1
            accepted[0].close()


@ipv6
def test_ipv6_alone_and_both_families() -> None:
    with nobody() as (_, taken):  # no other test listens on that port with IPv4
        for address, dual_stack in ((("::", taken), False), (("::", 0), True), (("", 0), True), (("", 0), False)):
            with Stream.listen(address, dual_stack=dual_stack) as listener:
                port = listener.address[1]
                reached = []
                for host in ("127.0.0.1", "::1"):
                    try:
                        Stream.connect((host, port), timeout=20).close()
                    except BrokenPeerError:
                        continue
                    with listener.accept(timeout=20) as server:
                        reached.append((host, server.getpeername()[0]))
                assert (
                    reached
                    == {
                        ("::", False): [("::1", "::1")],
                        ("::", True): [("127.0.0.1", "::ffff:127.0.0.1"), ("::1", "::1")],
                        ("", True): [("127.0.0.1", "::ffff:127.0.0.1"), ("::1", "::1")],
                        ("", False): [("127.0.0.1", "127.0.0.1")],
                    }[address[0], dual_stack]
                )
    with pytest.raises(ValueError, match="dual_stack needs an IPv6 address"):
        Stream.listen(HERE, dual_stack=True)
    with Stream.listen(("::1", 0)) as listener, Stream.connect(listener.address, timeout=20) as client:
        assert client.getpeername()[0] == "::1"  # all four fields are an address, too


def test_accepted_connections_are_close_on_exec_and_of_their_own_mode() -> None:
    with Stream.listen(HERE) as listener:
        assert not os.get_blocking(listener.fileno())
        with Stream.connect(listener.address, timeout=20) as client, listener.accept(timeout=20) as server:
            for handle in (listener, client, server):
                assert fcntl.fcntl(handle.fileno(), fcntl.F_GETFD) & fcntl.FD_CLOEXEC
            for stream in (client, server):
                assert os.get_blocking(stream.fileno())
                assert stream.gettimeout() is None
                assert stream.try_read() is None  # and the methods do not block nevertheless
    with pytest.raises(ClosedError):
        listener.accept()


def test_a_connection_that_broke_in_the_backlog_is_accepted_and_broken() -> None:
    with Stream.listen(HERE) as listener:
        reset(Stream.connect(listener.address, timeout=20))
        with listener.accept(timeout=20) as server:
            with pytest.raises(BrokenPeerError):
                server.read(timeout=20)
            with pytest.raises(BrokenPeerError):
                server.getpeername()
        assert listener.try_accept() is None
