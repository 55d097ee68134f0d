"""Unix datagram and sequenced-packet sockets: boundaries, sizes, queues, ends."""

from __future__ import annotations

import array
import os
import socket
import stat
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import (
    AlreadyExistsError,
    BrokenPeerError,
    ClosedError,
    EndOfStreamError,
    MessageTooLargeError,
    NotFoundError,
    TimeoutExpired,
)
from ipckit.sockets.unix import Datagram, SeqPacket
from ipckit.testing import pause, wait_blocked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

Either = type[Datagram] | type[SeqPacket]
both = pytest.mark.parametrize("kind", [Datagram, SeqPacket])

SLEEP = ("clock_nanosleep", "select")  # what time.sleep calls; the second is Python 3.10's


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "s")


@pytest.fixture
def packets() -> Iterator[tuple[SeqPacket, SeqPacket]]:
    one, other = SeqPacket.pair()
    with one, other:
        yield one, other


Packets = tuple[SeqPacket, SeqPacket]


def receive_one(sock: SeqPacket | Datagram) -> bytes:
    with sock:
        return sock.receive(timeout=20)


def receive_then_wait(path: str) -> None:
    with Datagram.bind(path):
        pause("bound")


def fill(sock: SeqPacket | Datagram) -> int:
    count = 0
    while sock.try_send(b"x"):
        count += 1
    return count


@both
def test_messages_keep_their_boundaries(kind: Either) -> None:
    one, other = kind.pair()
    with one, other:
        for data in (b"one", bytearray(b"two"), memoryview(b"three"), array.array("i", [1, 2])):
            one.send(data)
        assert other.receive() == b"one"
        assert other.try_receive() == b"two"
        assert other.receive(timeout=0) == b"three"
        assert other.receive() == array.array("i", [1, 2]).tobytes()
        assert other.try_receive() is None
        for timeout in (0, 0.01):
            with pytest.raises(TimeoutExpired):
                other.receive(timeout)
        with pytest.raises((TypeError, BufferError)):
            one.send(memoryview(b"abcd")[::2])


@both
def test_an_empty_message_is_a_message(kind: Either) -> None:
    one, other = kind.pair()
    with one, other:
        one.send(b"")
        one.send(b"x")
        one.send(b"")
        assert [other.receive(0), other.receive(0), other.try_receive(), other.try_receive()] == [b"", b"x", b"", None]


@both
def test_large_messages_and_too_large_ones(kind: Either) -> None:
    one, other = kind.pair()
    with one, other:
        data = os.urandom(200_000)
        for size in (65_536, 65_537, 200_000):
            one.send(data[:size])
            assert other.receive() == data[:size]
        with pytest.raises(MessageTooLargeError):
            one.send(bytes(1_000_000))
        assert other.max_message_size == 1 << 19
        other.max_message_size = 100
        one.send(bytes(100))
        one.send(bytes(101))
        one.send(b"after")
        assert other.receive() == bytes(100)
        with pytest.raises(MessageTooLargeError, match="more than the 100 bytes of max_message_size"):
            other.receive()
        assert other.receive() == b"after"
        for bad in (0, 1 << 31):
            with pytest.raises(ValueError, match="max_message_size"):
                other.max_message_size = bad


@both
def test_peeking_takes_nothing(kind: Either) -> None:
    one, other = kind.pair()
    with one, other:
        other.max_message_size = 10
        one.send(b"x" * 100_000)
        assert other.peek_size() == 100_000  # in time to raise the limit
        assert other.peek(3) == b"xxx"
        other.max_message_size = 100_000
        assert other.receive() == b"x" * 100_000
        one.send_fds(b"with a descriptor", [0])
        one.send(b"")
        one.send(b"next")
        before = len(os.listdir("/proc/self/fd"))
        assert other.peek() == b"with a descriptor"
        data, fds = other.receive_fds()
        assert (data, len(fds)) == (b"with a descriptor", 1)
        os.close(fds[0])
        assert len(os.listdir("/proc/self/fd")) == before
        assert (other.peek(), other.peek_size()) == (b"", 0)
        assert (other.receive(), other.receive()) == (b"", b"next")
        for look in (other.peek, other.peek_size):
            for timeout in (0, 0.01):
                with pytest.raises(TimeoutExpired):
                    look(timeout=timeout)
        with pytest.raises(ValueError, match="at least 1"):
            other.peek(0)


@both
def test_no_memory_is_kept_for_the_largest_message(kind: Either) -> None:
    one, other = kind.pair()
    with one, other:
        other.max_message_size = 1 << 24
        one.send(b"small")
        kept = [other.receive()]
        before = resident()
        for _ in range(500):
            one.send(b"small")
            kept.append(other.receive())
        assert resident() - before < 1 << 22
        assert kept == [b"small"] * 501


def resident() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@both
def test_a_full_queue(kind: Either) -> None:
    one, other = kind.pair()
    with one, other:
        count = fill(one)
        assert count > 10
        for timeout in (0, 0.01):
            with pytest.raises(TimeoutExpired):
                one.send(b"x", timeout)
        thread = threading.Thread(target=one.send, args=(b"last",))
        thread.start()
        wait_blocked(os.getpid(), "poll", tid=thread.native_id)
        for _ in range(count):
            assert other.receive(timeout=20) == b"x"
        assert other.receive(timeout=20) == b"last"
        thread.join()


@both
def test_a_child_is_woken(kind: Either, spawn: Spawn) -> None:
    one, other = kind.pair()
    with one, other:
        child = spawn(receive_one, other)
        child.wait_blocked("poll")
        one.send(b"awake")
        assert child.result() == b"awake"


@both
def test_killing_a_blocked_receiver_loses_no_message(kind: Either, spawn: Spawn) -> None:
    one, other = kind.pair()
    with one, other:
        child = spawn(receive_one, other)
        child.wait_blocked("poll")
        child.kill()
        child.join()
        one.send(b"survives")
        assert other.receive(timeout=0) == b"survives"


@both
@pytest.mark.parametrize("bad", [-1, float("nan"), True])
def test_bad_timeouts_are_refused_before_anything_happens(kind: Either, bad: float) -> None:
    one, other = kind.pair()
    with one, other:
        with pytest.raises((ValueError, TypeError), match="timeout"):
            one.send(b"x", bad)
        assert other.try_receive() is None
        one.send(b"x")
        with pytest.raises((ValueError, TypeError), match="timeout"):
            other.receive(bad)
        assert other.receive(0) == b"x"


@both
def test_the_users_blocking_mode_stays_and_does_not_matter(kind: Either) -> None:
    one, other = kind.pair()
    with one, other:
        for mode in (None, 0.0, 60.0):
            other.settimeout(mode)
            assert other.try_receive() is None
            assert other.gettimeout() == mode


@both
def test_after_close_and_close_in_another_thread(kind: Either) -> None:
    one, other = kind.pair()
    outcome: list[type] = []

    def wait() -> None:
        try:
            other.receive()
        except ClosedError as error:
            outcome.append(type(error))

    thread = threading.Thread(target=wait)
    thread.start()
    wait_blocked(os.getpid(), "poll", tid=thread.native_id)
    other.close()
    thread.join(10)
    assert outcome == [ClosedError]
    one.close()
    for call in (one.receive, one.try_receive, lambda: one.send(b"x"), lambda: one.try_send(b"x")):
        with pytest.raises(ClosedError):
            call()


@both
def test_many_threads_on_one_receiver_mix_up_nothing(kind: Either) -> None:
    one, other = kind.pair()
    count, threads_count = 500, 4
    got: list[bytes] = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with one, other:

            def receive() -> None:
                got.extend(other.receive(timeout=20) for _ in range(count))

            threads = [threading.Thread(target=receive) for _ in range(threads_count)]
            for thread in threads:
                thread.start()
            sent = [b"%06d" % index * (1 + index % 7) for index in range(count * threads_count)]
            for message in sent:
                one.send(message, timeout=20)
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert sorted(got) == sorted(sent)


def test_the_end_of_a_connection_comes_after_its_messages(packets: Packets) -> None:
    one, other = packets
    one.send(b"last")
    one.close()
    assert other.receive() == b"last"
    for _ in range(2):
        with pytest.raises(EndOfStreamError):
            other.receive()
        with pytest.raises(EndOfStreamError):
            other.try_receive()
    assert list(other) == []
    for look in (other.peek, other.peek_size):
        with pytest.raises(EndOfStreamError):
            look()
    assert other.receive_fds() == (b"", [])
    with pytest.raises(BrokenPeerError):
        other.send(b"x")


def test_an_empty_last_message_reads_as_the_end(packets: Packets) -> None:
    one, other = packets
    one.send(b"")
    one.send(b"x")
    assert [other.receive(), other.receive()] == [b"", b"x"]
    for message in (b"", b"followed", b""):
        one.send(message)
    one.close()
    assert other.peek_size() == 0
    assert other.peek() == b""
    assert [other.receive(), other.receive()] == [b"", b"followed"]
    with pytest.raises(EndOfStreamError):
        other.receive()
    assert other.socket.recv(10) == b""  # what the kernel says of both


def test_half_close_of_packets(packets: Packets) -> None:
    one, other = packets
    one.send(b"question")
    one.shutdown()
    assert list(other) == [b"question"]
    other.send(b"answer")
    assert one.receive() == b"answer"
    with pytest.raises(BrokenPeerError):
        one.send(b"x")


def test_packets_through_a_listener(path: str) -> None:
    with SeqPacket.listen(path) as listener, SeqPacket.connect(path) as client, listener.accept(timeout=20) as server:
        assert isinstance(server, SeqPacket)
        client.send(b"one")
        client.send(b"two")
        assert [server.receive(), server.receive()] == [b"one", b"two"]
        assert server.peer_credentials.pid == os.getpid()


def test_the_other_half_of_a_datagram_pair_is_gone() -> None:
    one, other = Datagram.pair()
    with one:
        one.send(b"x")
        other.close()
        with pytest.raises(BrokenPeerError):
            one.send(b"x")
        assert one.try_receive() is None


def test_datagrams_by_address(path: str) -> None:
    with Datagram.bind(path) as server, Datagram.connect(path, autobind=True) as client, Datagram.create() as plain:
        client.send(b"question")
        data, address = server.receive_from(timeout=5)
        assert data == b"question"
        assert address == client.getsockname()
        assert address is not None
        server.send_to(b"answer", address)
        assert client.receive(timeout=5) == b"answer"
        plain.send_to(b"", path)
        assert server.receive_from() == (b"", None)
        with pytest.raises(TimeoutExpired):
            server.receive_from(timeout=0)
        with pytest.raises(BrokenPeerError):
            plain.send(b"not connected")
        with pytest.raises(BrokenPeerError):
            _ = plain.peer_credentials
        with pytest.raises(MessageTooLargeError):
            plain.send_to(bytes(1_000_000), path)
        server.max_message_size = 4
        plain.send_to(b"12345", path)
        with pytest.raises(MessageTooLargeError, match="more than the 4 bytes"):
            server.receive_from()
    assert not os.path.exists(path)
    with Datagram.create() as plain, pytest.raises(NotFoundError):
        plain.send_to(b"x", path)


def test_a_connected_datagram_socket_hears_nobody_else(path: str) -> None:
    with Datagram.bind(path) as server, Datagram.connect(path, autobind=True) as client, Datagram.create() as other:
        name = client.getsockname()
        with pytest.raises(OSError, match="not permitted"):
            other.send_to(b"intruder", name)
        server.send_to(b"x", name)
        assert client.receive(timeout=20) == b"x"


def test_a_receivers_full_queue_makes_senders_wait(path: str) -> None:
    with Datagram.bind(path) as server, Datagram.create() as sender, Datagram.connect(path) as connected:
        count = fill(connected)
        assert 0 < count < 1000
        for timeout in (0, 0.05):
            with pytest.raises(TimeoutExpired):
                sender.send_to(b"x", path, timeout)
            with pytest.raises(TimeoutExpired):
                connected.send(b"x", timeout)
        waiting = threading.Thread(target=sender.send_to, args=(b"last", path))
        waiting.start()
        wait_blocked(os.getpid(), *SLEEP, tid=waiting.native_id)  # it sleeps, and does not spin
        for _ in range(count):
            assert server.receive(timeout=20) == b"x"
        assert server.receive(timeout=20) == b"last"
        waiting.join()


def test_a_dead_receivers_file_is_replaced_and_a_live_ones_is_not(path: str, spawn: Spawn) -> None:
    child = spawn(receive_then_wait, path)
    child.wait_reached("bound")
    with pytest.raises(AlreadyExistsError):
        Datagram.bind(path)
    with pytest.raises(AlreadyExistsError):
        SeqPacket.listen(path)
    child.kill()
    child.join()
    with pytest.raises(BrokenPeerError):
        Datagram.connect(path)
    with Datagram.bind(path, mode=0o622) as server, Datagram.connect(path) as client:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o622
        client.send(b"x")
        assert server.receive(timeout=20) == b"x"
    assert os.listdir(os.path.dirname(path)) == []


def test_a_path_that_is_unlinked_in_use_leads_nowhere_and_its_sockets_go_on(path: str) -> None:
    with Datagram.bind(path) as server, Datagram.connect(path) as client:
        os.unlink(path)
        client.send(b"still there")
        assert server.receive() == b"still there"
        with pytest.raises(NotFoundError):
            Datagram.connect(path)
        with Datagram.bind(path) as later:
            server.close()
            assert os.path.exists(path)
            with Datagram.connect(path) as other:
                other.send(b"to the new one")
            assert later.receive() == b"to the new one"
    with SeqPacket.listen(path), pytest.raises(OSError, match="wrong type"):
        Datagram.connect(path)


def test_an_abstract_or_chosen_address() -> None:
    for address in (b"\0ipckit-%d-\0datagram" % os.getpid(), None):  # all processes share these names
        with Datagram.bind(address) as server, Datagram.create() as sender:
            name = server.getsockname()
            sender.send_to(b"x", name)
            assert server.receive(timeout=20) == b"x"
            if address:
                with pytest.raises(AlreadyExistsError):
                    Datagram.bind(address)


def test_adopting(path: str) -> None:
    with Datagram.from_socket(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as adopted:
        adopted.socket.bind(path)
        with Datagram.connect(path) as client:
            client.send(b"x")
        assert adopted.receive() == b"x"
    with socket.socket(socket.AF_UNIX) as wrong, pytest.raises(ValueError, match="SOCK_SEQPACKET"):
        SeqPacket.from_socket(wrong)
