"""Clients that mean harm, or break: what they cost is bounded, and the others do not notice."""

from __future__ import annotations

import os
import resource
import select
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipckit import errors
from ipckit.rpc._server import in_threads
from ipckit.rpc._server.port import Port
from ipckit.testing import wait_blocked
from tests.examples import examples
from tests.rpc.serving import (
    LAST,
    MODES,
    SECONDS,
    Running,
    call,
    is_ended,
    receive,
    record,
    running,
    send,
    success,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

both = pytest.mark.parametrize("mode", MODES)
ADD = call(1, 2, words(1, 2))
SUM = success(1, words(3))


def answers(it: Running, kind: str = "tcp") -> bool:
    with it.connect(kind) as sock:
        send(sock, ADD)
        return receive(sock) == SUM


def fragments(message: bytes, *cuts: int) -> bytes:
    edges = [0, *cuts, len(message)]
    parts = [message[a:b] for a, b in pairwise(edges)]
    return b"".join(words(len(part) | (LAST if n == len(parts) - 1 else 0)) + part for n, part in enumerate(parts))


@both
def test_records_in_any_split(mode: str) -> None:
    data = bytes(range(256)) * 40
    echo = call(2, 1, words(len(data)) + data)
    whole = [
        fragments(ADD, 1), fragments(ADD, 3, 7, 41), fragments(ADD, *range(1, len(ADD))), fragments(echo, 5000),
        fragments(ADD, 0, 0), fragments(ADD, 4, 4), fragments(ADD, len(ADD)),
    ]  # fmt: skip
    with running(mode) as it, it.connect("tcp") as sock:
        for each in whole:
            sock.sendall(each)
            assert receive(sock) in {SUM, success(2, words(len(data)) + data)}
        for byte in fragments(ADD, 5):
            sock.send(bytes([byte]))
        assert receive(sock) == SUM


@both
def test_what_ends_a_connection(mode: str) -> None:
    cases: dict[bytes, type[Exception] | None] = {
        b"": None,
        words(0xFFFFFFFF): errors.MessageTooLargeError,
        words(0x7FFFFFFF): errors.MessageTooLargeError,
        words(0x80000000 | (1 << 24) + 1): errors.MessageTooLargeError,
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n": errors.MessageTooLargeError,
        words(0) * 100: errors.RpcProtocolError,
        record(b""): errors.RpcProtocolError,
        record(b"no call, whatever it is"): errors.RpcProtocolError,
        record(words(1, 2, 3, 4, 5, 6)): errors.RpcProtocolError,
        record(ADD)[:-1]: errors.PeerDiedError,
        words(8): errors.PeerDiedError,
        b"\x80": errors.PeerDiedError,
    }
    with running(mode) as it:
        for data, kind in cases.items():
            with it.connect("tcp") as sock:
                sock.sendall(data)
                if kind in {None, errors.PeerDiedError}:
                    sock.shutdown(socket.SHUT_WR)
                assert is_ended(sock), data
            assert [type(error) for error in it.errors] == ([kind] if kind else []), data
            it.errors.clear()
        assert answers(it)


@both
def test_replies_are_ignored(mode: str) -> None:
    with running(mode) as it:
        for kind in ("tcp", "udp"):
            with it.connect(kind) as sock:
                send(sock, success(1))
                send(sock, words(1, 1))
                send(sock, ADD)
                assert receive(sock) == SUM
        assert it.errors == []


@both
def test_datagrams_of_nonsense_are_not_answered(mode: str) -> None:
    with running(mode) as it, it.connect("udp") as sock:
        for data in (b"", b"a", b"abc", bytes(4), os.urandom(100) + b"x", ADD[:10], b"\xff" * 65507):
            sock.send(data)
        sock.send(ADD)
        assert receive(sock) == SUM
        assert it.errors == []


@both
@pytest.mark.parametrize("begun", [words(LAST | 100), record(ADD)[:-1], words(1000) + b"x", words(0)])
def test_a_message_that_does_not_end_has_its_time(mode: str, begun: bytes) -> None:
    """Byte by byte does not help, for the time counts from the beginning of the message; to be idle is no fault."""
    with running(mode, message_timeout=0.15) as it, it.connect("tcp") as slow, it.connect("tcp") as idle:
        slow.sendall(begun[:-1])
        with it.connect("tcp") as dribbling:
            dribbling.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            dribbling.sendall(words(LAST | (1 << 20)))
            dribbling.settimeout(0.01)
            while True:
                try:
                    dribbling.send(b"x")
                    if dribbling.recv(1) == b"":
                        break
                except TimeoutError:
                    continue
                except (ConnectionResetError, BrokenPipeError):
                    break
        if len(begun) > 1:
            assert is_ended(slow)
        send(idle, ADD)
        assert receive(idle) == SUM
        assert {type(error) for error in it.errors} == {errors.TimeoutExpired}
        assert "message_timeout is 0.15 s" in str(it.errors[0])


@both
def test_idle_connections_have_their_time_where_it_is_set(mode: str) -> None:
    with running(mode, idle_timeout=0.1) as it, ExitStack() as stack:
        while not it.service.waiting.is_set():  # where we are held up, it ends before it has called
            busy = stack.enter_context(it.connect("unix"))
            with suppress(ConnectionError):
                send(busy, call(1, 3))
                while not it.service.waiting.is_set() and not select.select([busy], [], [], 0)[0]:
                    os.sched_yield()
        with it.connect("unix") as idle:
            assert is_ended(idle)
        it.service.gate.set()  # a call that is being made is no idleness
        assert receive(busy) == success(1, words(7))
        assert is_ended(busy)
        assert all("idle_timeout is 0.1 s" in str(error) for error in it.errors)


def test_a_call_that_waits_for_a_worker_came_in_time() -> None:
    """The time for which the workers are busy is not the client's."""
    it = Running("threads", workers=1, idle_timeout=0.05)
    with it.connect("unix") as slow, it.connect("unix") as quick:
        send(slow, call(1, 3))
        send(quick, ADD)
        with it.server:
            assert it.service.waiting.wait(SECONDS)
            time.sleep(0.3)
            it.service.gate.set()
            assert receive(slow) == success(1, words(7))
            assert receive(quick) == SUM


@both
def test_who_takes_no_replies_is_not_read_from(mode: str) -> None:
    """Then what it has sent waits in the kernel, which in the end takes no more; and it has its time for a reply."""
    data = bytes(200_000)
    question = record(call(2, 1, words(len(data)) + data))

    def ask() -> None:
        for _ in range(50):
            sock.sendall(question)

    with running(mode, message_timeout=0.2) as it, it.connect("unix") as sock, ThreadPoolExecutor(1) as beside:
        asking = beside.submit(ask)
        while not asking.done():
            assert answers(it, "unix")
        with pytest.raises(ConnectionError):  # it was held up, until its time was over
            asking.result()
        assert [type(error) for error in it.errors] == [errors.TimeoutExpired]


@both
def test_large_replies_to_a_slow_reader_arrive_whole(mode: str) -> None:
    with running(mode) as it, it.connect("unix") as sock:
        sock.sendall(record(call(1, 10, words(3_000_000))) + record(call(2, 10, words(5))) + record(ADD))
        replies = {receive(sock) for _ in range(3)}
        assert {len(reply) for reply in replies} == {24 + 4 + 3_000_000, 24 + 4 + 8, len(SUM)}


@both
def test_announcing_much_costs_nothing(mode: str) -> None:
    def gone() -> Iterator[socket.socket]:
        for _ in range(50):
            sock = it.connect("unix")
            sock.sendall(words(LAST | (1 << 24)) + b"some")
            yield sock

    with running(mode) as it:
        assert answers(it)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        socks = list(gone())
        assert answers(it)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000  # KiB; announced were 800 MiB
        for sock in socks:
            sock.close()


@both
def test_no_more_connections_than_allowed(mode: str) -> None:
    with running(mode, max_connections=2) as it, it.connect("tcp") as first, it.connect("unix") as second:
        for sock in (first, second):
            send(sock, ADD)
            assert receive(sock) == SUM
        third = it.connect("tcp")
        send(third, ADD)
        assert answers(it, "udp")
        third.settimeout(0.02)
        with pytest.raises(TimeoutError):
            receive(third)
        first.close()
        third.settimeout(SECONDS)
        assert receive(third) == SUM
        third.close()


@both
def test_a_client_that_resets(mode: str) -> None:
    with running(mode) as it:
        sock = it.connect("tcp")
        send(sock, call(1, 3))
        assert it.service.waiting.wait(SECONDS)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        it.service.gate.set()
        assert answers(it)
        assert {type(error) for error in it.errors} <= {errors.BrokenPeerError}


def test_late_news_of_a_closed_connection_does_not_end_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """epoll(7) may have told a worker of a descriptor that another worker closes; the next client gets its number."""

    class Visiting(in_threads.Threads):
        def __init__(self, *how: Any) -> None:
            super().__init__(*how)
            self.ports = Visited(self.ports)
            self.ports.visit = self._serve

    class Visited(dict[int, Port]):
        visit: Callable[[Port], None]

        def __setitem__(self, fd: int, port: Port) -> None:
            super().__setitem__(fd, port)
            visitor = threading.Thread(target=self.visit, args=(port,))
            visitor.start()
            assert visitor.native_id
            wait_blocked(os.getpid(), "futex", tid=visitor.native_id)  # until epoll knows the connection
            visitors.append(visitor)

    visitors: list[threading.Thread] = []
    monkeypatch.setattr(in_threads, "Threads", Visiting)
    with running() as it:
        assert answers(it, "unix")
        assert answers(it, "tcp")
        for visitor in visitors:
            visitor.join(SECONDS)
    assert len(visitors) == 2
    assert it.errors == []


@pytest.mark.slow
def test_whatever_comes_the_server_goes_on() -> None:
    """Random bytes, and calls with random bytes behind good heads, by stream and datagram."""
    with running(message_timeout=5.0) as it, it.connect("udp") as udp:

        @settings(max_examples=examples(75), deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.binary(max_size=200), st.sampled_from((0, 1, 2, 4, 5, 6, 7, 8, 9, 11, 12)), st.booleans())
        def attack(data: bytes, procedure: int, raw: bool) -> None:
            message = data if raw else call(5, procedure, data)
            udp.send(message)
            with it.connect("unix") as sock:
                sock.sendall(data if raw else record(message))
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass

        attack()
        assert answers(it)
        allowed = (errors.IPCError, LookupError)
        assert all(isinstance(error, allowed) for error in it.errors)
