"""Calls by UDP: one that comes twice is made once, whatever becomes of its reply."""

from __future__ import annotations

import os
import socket

import pytest

from ipckit.rpc._server import duplicates
from ipckit.rpc._server.duplicates import IN_PROGRESS, DuplicateCache
from tests.rpc.serving import MODES, SECONDS, call, receive, running, send, success, words

both = pytest.mark.parametrize("mode", MODES)


@both
def test_a_call_that_comes_again_is_answered_and_not_made_again(mode: str) -> None:
    with running(mode) as it, it.connect("udp") as sock, it.connect("udp") as other:
        for _ in range(3):
            send(sock, call(1, 8))
            assert receive(sock) == success(1, words(1))
        for xid in (2, 3):
            send(sock, call(xid, 8))
            assert receive(sock) == success(xid, words(xid))
        send(other, call(1, 8))  # of somebody else, though the number is the same
        assert receive(other) == success(1, words(4))
        send(sock, call(1, 2, words(2, 2)))  # of a client that began anew: other arguments, another procedure
        assert receive(sock) == success(1, words(4))
        send(sock, call(1, 2, words(2, 3)))
        assert receive(sock) == success(1, words(5))
        assert it.service.counted == 4


@both
def test_copies_of_a_call_in_progress_are_dropped(mode: str) -> None:
    with running(mode) as it, it.connect("udp") as sock:
        for _ in range(4):
            send(sock, call(1, 3))
        assert it.service.waiting.wait(SECONDS)
        send(sock, call(2, 4))
        assert {receive(sock), receive(sock)} == {success(1, words(7)), success(2)}
        send(sock, call(1, 3))
        assert receive(sock) == success(1, words(7))
        sock.settimeout(0.02)
        with pytest.raises(TimeoutError):
            receive(sock)


@both
def test_a_call_in_progress_is_made_once_whatever_else_is_answered_meanwhile(mode: str) -> None:
    with running(mode) as it, it.connect("udp") as sock, it.connect("udp") as other:
        send(sock, call(1, 3))
        assert it.service.waiting.wait(SECONDS)
        it.service.waiting.clear()
        for xid in range(duplicates.MOST_REPLIES + 1):
            send(other, call(xid, 8))
            assert receive(other) == success(xid, words(xid + 1))
        send(sock, call(1, 3))
        send(sock, call(2, 2, words(1, 1)))
        assert receive(sock) == success(2, words(2))
        send(sock, call(3, 4))
        assert {receive(sock), receive(sock)} == {success(1, words(7)), success(3)}
        assert not it.service.waiting.wait(0.05), "the copy was made, too"


@both
def test_one_way_calls_are_made_once(mode: str) -> None:
    with running(mode) as it, it.connect("udp") as sock:
        for _ in range(3):
            send(sock, call(1, 9))
        send(sock, call(2, 2, words(1, 1)))
        assert receive(sock) == success(2, words(2))
        while not it.service.counted:
            os.sched_yield()
        assert it.service.counted == 1


@both
def test_clients_that_are_gone_harm_nobody(mode: str) -> None:
    """Their ports answer with ICMP errors, which the kernel hands to the next who uses the socket."""
    with running(mode) as it:
        for xid in range(5):  # one may get the port of another who is gone
            with it.connect("udp") as gone:
                send(gone, call(xid, 3))
                assert it.service.waiting.wait(SECONDS)
                it.service.waiting.clear()
        it.service.gate.set()
        with it.connect("udp") as sock:
            send(sock, call(1, 2, words(1, 1)))
            assert receive(sock) == success(1, words(2))


@both
def test_ipv6(mode: str) -> None:
    with running(mode) as it:
        try:
            host, port = it.server.listen_udp("::1")[:2]
        except OSError as error:
            pytest.skip(f"no IPv6 here: {error}")
        assert (host, it.server.listeners[-1].address[1]) == ("::1", port)


def test_the_cache_is_bounded_in_number_bytes_and_age(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = DuplicateCache(most=10, most_bytes=1000)
    keys = [cache.key(call(xid, 1), ("127.0.0.1", 5)) for xid in range(100)]
    for key in keys:
        assert cache.begin(key) is None
        assert cache.begin(key) is IN_PROGRESS
        cache.finish(key, b"r" * 50)
        assert cache.begin(key) == b"r" * 50
    assert len(cache) == 10
    assert cache.begin(keys[0]) is None
    for key in keys[50:55]:
        cache.begin(key)
        cache.finish(key, bytearray(300))
    assert len(cache) == 3
    cache.finish(keys[60], None)
    assert cache.begin(keys[60]) == b""
    monkeypatch.setattr(duplicates, "KEPT_NS", 0)
    assert cache.begin(keys[60]) is None


def test_a_call_in_progress_does_not_age(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long its handler takes, it is made once."""
    monkeypatch.setattr(duplicates, "KEPT_NS", 0)
    cache = DuplicateCache()
    key = cache.key(call(1, 1), ("127.0.0.1", 5))
    assert cache.begin(key) is None
    assert cache.begin(key) is IN_PROGRESS
    cache.finish(key, b"reply")
    assert cache.begin(key) is None


def test_a_socket_that_is_full_of_calls() -> None:
    """More come than are read: some are lost, as datagrams are, and the server goes on."""
    with running(max_calls=4) as it, it.connect("udp") as sock, it.connect("tcp") as free:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        for xid in range(2000):
            send(sock, call(xid, 3))
        assert it.service.waiting.wait(SECONDS)
        send(free, call(1, 4))
        assert receive(free) == success(1)
        assert receive(sock)[4:] == success(0, words(7))[4:]
