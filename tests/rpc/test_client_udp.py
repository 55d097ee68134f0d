"""Clients over UDP, against a server that loses messages, answers twice, and lets strangers answer."""

from __future__ import annotations

import errno
import os
import select
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ipckit import errors
from ipckit.rpc import Client
from ipckit.sockets import inet
from tests.rpc import scripted
from tests.rpc.calling import LOOPBACK, PROGRAM, VERSION, hear_nobody

if TYPE_CHECKING:
    from ipckit.testing import Child, Spawn


def serve(spawn: Spawn) -> tuple[Child, tuple[str, int]]:
    with inet.Datagram.bind(LOOPBACK) as sock:
        return spawn(scripted.serve_datagrams, sock), sock.address[:2]


def test_calls_of_every_size(spawn: Spawn) -> None:
    sizes = (0, 1, 1024, 8800, 65507 - 40)
    child, address = serve(spawn)
    with Client.connect_udp(*address, PROGRAM, VERSION, retry_interval=30) as client:
        for size in sizes:
            data = os.urandom(size)
            assert client.call_raw(scripted.ECHO, data, 20) == data
        assert client.call_raw(scripted.TWICE, b"twice", 20) == b"twice"
        assert client.call_raw(scripted.ECHO, b"once", 20) == b"once"
        with pytest.raises(errors.MessageTooLargeError):
            client.call_raw(scripted.ECHO, b"x" * (65507 - 39))
        assert repr(client).startswith("<Client program 0x20000099 version 3 over <Datagram")
        client.send_raw(scripted.CLOSE)
    xids = [xid for xid, _ in child.result()]
    assert len(set(xids)) == len(sizes) + 2


def test_a_lost_call_is_sent_again_with_the_same_xid(spawn: Spawn) -> None:
    child, address = serve(spawn)
    with Client.connect_udp(*address, PROGRAM, VERSION, retry_interval=0.01) as client:
        assert client.call_raw(scripted.HOLD, b"at last", 20) == b"at last"
        with pytest.raises(errors.TimeoutExpired) as caught:
            client.call_raw(scripted.NEVER, b"", 0.005)
        assert caught.value.errno == errno.ETIMEDOUT
        client.send_raw(scripted.NEVER)
        client.send_raw(scripted.CLOSE)
    seen = child.result()
    assert len(seen) >= 5
    assert [procedure for _, procedure in seen] == [scripted.HOLD] * (len(seen) - 2) + [scripted.NEVER] * 2
    assert len({xid for xid, _ in seen}) == 3


def test_many_threads_share_the_socket(spawn: Spawn) -> None:
    child, address = serve(spawn)
    with Client.connect_udp(*address, PROGRAM, VERSION, retry_interval=30) as client, ThreadPoolExecutor(4) as pool:
        data = [scripted.words(number) for number in range(120)]
        assert list(pool.map(lambda one: client.call_raw(scripted.ECHO, one, 20), data)) == data
        client.send_raw(scripted.CLOSE)
    assert len(child.result()) == 120


def test_errors_of_the_server_and_of_the_network(spawn: Spawn) -> None:
    with (
        inet.Datagram.bind(LOOPBACK) as sock,
        Client.connect_udp(*sock.address[:2], PROGRAM, VERSION, retry_interval=30) as client,
    ):
        child = spawn(scripted.serve_datagrams, sock)
        with pytest.raises(errors.ProcedureUnavailableError):
            client.call_raw(scripted.VERBATIM, scripted.words(1, 0, 0, 0, 3), 20)
        with pytest.raises(errors.RpcProtocolError):
            client.call_raw(scripted.VERBATIM, scripted.words(7), 20)
        client.send_raw(scripted.CLOSE)
        child.join()
        hear_nobody(sock)
        for _ in range(2):
            with pytest.raises(errors.BrokenPeerError) as caught:
                client.call_raw(0, b"", 20)
            assert caught.value.errno == errno.ECONNREFUSED


@pytest.mark.parametrize("interval", [0, -1, float("nan"), "1", None], ids=repr)
def test_intervals_are_checked(interval: float) -> None:
    with pytest.raises((ValueError, TypeError)):
        Client.connect_udp("127.0.0.1", 9, PROGRAM, VERSION, retry_interval=interval)


@pytest.mark.slow
def test_forked_children_have_a_socket_of_their_own(spawn: Spawn) -> None:
    child, address = serve(spawn)
    with Client.connect_udp(*address, PROGRAM, VERSION, retry_interval=30) as client:
        assert client.call_raw(scripted.ECHO, b"parent", 20) == b"parent"
        caller = spawn(fork_and_call, address)
        assert caller.result() == 0
        client.send_raw(scripted.CLOSE)
    assert len(child.result()) == 3


def fork_and_call(address: tuple[str, int]) -> int:
    """Call before and after fork(2); return the forked child's status."""
    with Client.connect_udp(*address, PROGRAM, VERSION, retry_interval=30) as client:
        assert client.call_raw(scripted.ECHO, b"parent", 20) == b"parent"
        mine = client.fileno()
        pid = os.fork()
        if not pid:
            status = 1
            try:
                sound = client.call_raw(scripted.ECHO, b"child", 20) == b"child"
                status = 0 if sound and os.fstat(client.fileno()).st_ino else 2
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert client.fileno() == mine
    return status


def test_what_became_of_an_earlier_message_does_not_end_a_call(spawn: Spawn) -> None:
    with (
        inet.Datagram.bind(LOOPBACK) as sock,
        Client.connect_udp(*sock.address[:2], PROGRAM, VERSION, retry_interval=30) as client,
    ):
        hear_nobody(sock)
        client.send_raw(scripted.NEVER)  # nobody is there, and who sends next is told
        poller = select.poll()
        poller.register(client.fileno(), 0)
        assert poller.poll(20_000) == [(client.fileno(), select.POLLERR)]
        with socket.socket(fileno=os.dup(client.fileno())) as own:
            sock.socket.connect(own.getsockname())  # and hear us
        child = spawn(scripted.serve_datagrams, sock)
        assert client.call_raw(scripted.ECHO, b"here now", 20) == b"here now"
        client.send_raw(scripted.CLOSE)
    child.join()
