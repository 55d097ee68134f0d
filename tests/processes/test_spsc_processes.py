"""SpscRing between processes: roles, death, sleep, fork, the ways that a ring takes to another process."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from ipckit._names import unique_name
from ipckit.errors import BusyError, EndOfStreamError, PeerDiedError, TimeoutExpired
from ipckit.ring import SpscRing
from ipckit.sockets.unix import SeqPacket
from ipckit.testing import pause, reached, wait_blocked
from tests.contract.tools import in_fork
from tests.processes.spsc_storm import storm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

SMALL = 4096


@pytest.fixture
def ring() -> Iterator[SpscRing]:
    with SpscRing.create(unique_name(), capacity=SMALL, unlink_on_close=True) as ring:
        ring.set_spin(0)
        yield ring


def send_all(ring: SpscRing, messages: list[bytes], *, close: bool) -> None:
    ring.send_many(messages, timeout=20)
    if close:
        ring.close()
        return
    pause("sent")


def receive_and_stay(ring: SpscRing, count: int) -> None:
    for _ in range(count):
        ring.receive(timeout=20)
    pause("received")


def receive_for_ever(ring: SpscRing) -> None:
    ring.set_spin(0)
    while True:
        ring.receive()


def send_for_ever(ring: SpscRing) -> None:
    ring.set_spin(0)
    while True:
        ring.send(bytes(100))


def echo(source: SpscRing, target: SpscRing) -> int:
    with source, target:
        count = 0
        for message in source:
            target.send(message[::-1], timeout=20)
            count += 1
    return count


def test_messages_go_there_and_back_and_both_streams_end(ring: SpscRing, spawn: Spawn) -> None:
    with SpscRing.create(capacity=SMALL) as back:
        peer = spawn(echo, ring, back)
        messages = [os.urandom(n % 301) for n in range(500)]
        for message in messages:
            ring.send(message, timeout=20)
            assert back.receive(timeout=20) == message[::-1]
        ring.close()
        assert peer.result() == len(messages)
        with pytest.raises(EndOfStreamError):
            back.receive()


def test_both_sides_may_wait_for_each_other_all_the_time(ring: SpscRing, spawn: Spawn) -> None:
    """Far more data than fits: the producer waits for room, the consumer for messages."""
    messages = [n.to_bytes(4, "big") * (n % 100) for n in range(3000)]
    peer = spawn(send_all, ring, messages, close=True)
    assert list(ring) == messages
    assert peer.join() == 0


def test_second_producer_and_second_consumer_are_refused(ring: SpscRing, spawn: Spawn) -> None:
    producer = spawn(send_all, ring, [b"1"], close=False)
    producer.wait_reached("sent")
    for _ in range(2):
        with pytest.raises(BusyError):
            ring.try_send(b"2")
    assert ring.receive(timeout=0) == b"1"
    producer.resume("sent")
    assert producer.join() == 0
    ring.send(b"2", timeout=0)  # the role passes on
    assert ring.receive(timeout=0) == b"2"


def test_second_consumer_is_refused_until_the_first_is_killed(ring: SpscRing, spawn: Spawn) -> None:
    ring.send_many([b"1", b"2", b"3"], timeout=0)
    consumer = spawn(receive_and_stay, ring, 2)
    consumer.wait_reached("received")
    with pytest.raises(BusyError):
        ring.receive(timeout=0)
    consumer.kill()
    consumer.join()
    assert ring.receive(timeout=0) == b"3"


def test_killed_producer_is_told_from_one_that_closed(ring: SpscRing, spawn: Spawn) -> None:
    for close in (False, True, False):
        producer = spawn(send_all, ring, [b"1", b"2"], close=close)
        if not close:
            producer.wait_reached("sent")
            producer.kill()
        producer.join()
        assert ring.receive_many(9, timeout=0) == [b"1", b"2"]
        for receive in (lambda: ring.receive(timeout=20), lambda: ring.receive(timeout=0), ring.try_receive):
            with pytest.raises(EndOfStreamError if close else PeerDiedError):
                receive()


def end_of_receiving(name: str) -> str:
    with SpscRing.open(name) as ring:
        ring.set_spin(0)
        try:
            while True:
                ring.receive(timeout=20)
        except Exception as error:
            return type(error).__name__


def test_receiver_that_sleeps_notices_the_death_of_the_producer(ring: SpscRing, spawn: Spawn) -> None:
    producer = spawn(send_all, ring, [b"1"], close=False)
    producer.wait_reached("sent")
    receiver = spawn(end_of_receiving, ring.name)
    receiver.wait_blocked("futex")
    producer.kill()
    producer.join()
    assert receiver.result() == "PeerDiedError"


def end_of_sending(name: str) -> str:
    with SpscRing.open(name) as ring:
        ring.set_spin(0)
        try:
            while True:
                ring.send(bytes(100), timeout=20)
        except Exception as error:
            return type(error).__name__


def test_sender_that_sleeps_notices_the_death_of_the_consumer(ring: SpscRing, spawn: Spawn) -> None:
    sender = spawn(end_of_sending, ring.name)
    consumer = spawn(receive_and_stay, ring, 1)
    consumer.wait_reached("received")
    sender.wait_blocked("futex")
    consumer.kill()
    consumer.join()
    assert sender.result() == "PeerDiedError"
    assert len(ring.receive_many(1000, timeout=0)) == ring.stat().sent - 1


@pytest.mark.parametrize("close", [False, True])
def test_sleepers_notice_a_close_at_once(ring: SpscRing, spawn: Spawn, close: bool) -> None:
    """Both ends asleep on two rings, and one process that lets go of both."""
    with SpscRing.create(unique_name(), capacity=SMALL, unlink_on_close=True) as other:
        middle = spawn(hold_both, ring, other)
        middle.wait_reached("held")
        receiver = spawn(end_of_receiving, ring.name)
        sender = spawn(end_of_sending, other.name)
        receiver.wait_blocked("futex")
        sender.wait_blocked("futex")
        if close:
            middle.resume("held")
        else:
            middle.kill()
        middle.join()
        ends = ("EndOfStreamError", "BrokenPeerError") if close else ("PeerDiedError", "PeerDiedError")
        assert (receiver.result(), sender.result()) == ends


def hold_both(produces: SpscRing, consumes: SpscRing) -> None:
    produces.send(b"")
    assert consumes.try_receive() is None
    pause("held")
    produces.close()
    consumes.close()


@pytest.mark.parametrize("side", [receive_for_ever, send_for_ever])
def test_idle_waiter_sleeps_in_futex_and_its_death_disturbs_nobody(ring: SpscRing, spawn: Spawn, side: object) -> None:
    waiter = spawn(side, ring)  # type: ignore[arg-type]
    waiter.wait_blocked("futex")
    waiter.kill()
    waiter.join()
    if side is receive_for_ever:
        ring.send(b"for its successor", timeout=0)
        assert ring.receive(timeout=0) == b"for its successor"
    else:
        count = len(ring.receive_many(1000, timeout=0))
        assert count == ring.stat().sent
        ring.send(b"", timeout=0)


def test_sleeping_receiver_in_another_process_is_woken_by_a_message(ring: SpscRing, spawn: Spawn) -> None:
    receiver = spawn(receive_and_stay, ring, 1)
    receiver.wait_blocked("futex")
    ring.send(b"wake", timeout=0)
    receiver.wait_reached("received")
    receiver.resume("received")
    assert receiver.join() == 0


def test_stopped_producer_is_not_taken_for_dead(ring: SpscRing, spawn: Spawn) -> None:
    producer = spawn(send_all, ring, [b"1"], close=False)
    producer.wait_reached("sent")
    assert ring.receive(timeout=0) == b"1"
    producer.send_signal(signal.SIGSTOP)
    with pytest.raises(TimeoutExpired):
        ring.receive(timeout=0.15)  # three looks at who lives
    with pytest.raises(BusyError):
        ring.try_send(b"")
    producer.send_signal(signal.SIGCONT)
    producer.resume("sent")
    assert producer.join() == 0
    with pytest.raises(EndOfStreamError):
        ring.receive(timeout=20)


def test_forked_child_has_the_handle_but_not_the_role(ring: SpscRing) -> None:
    ring.send(b"parent", timeout=0)

    def in_child() -> list[str]:
        outcomes = []
        for use in (lambda: ring.try_send(b"child"), lambda: ring.send_many([b"child"])):
            try:
                use()
            except BusyError:
                outcomes.append("busy")
        outcomes.append(ring.receive(timeout=0).decode())  # the consumer's role was free
        ring.close()
        return outcomes

    assert in_fork(in_child) == ["busy", "busy", "parent"]
    ring.send(b"still mine", timeout=0)
    assert ring.receive(timeout=0) == b"still mine"


def test_forked_child_that_only_lives_on_keeps_no_dead_parent_alive(ring: SpscRing, spawn: Spawn) -> None:
    parent = spawn(send_and_fork, ring)
    parent.wait_reached("forked")
    assert ring.receive(timeout=0) == b"from the parent"
    parent.kill()
    parent.join()
    with pytest.raises(PeerDiedError):
        ring.receive(timeout=20)
    ring.send(b"taken over", timeout=0)


def send_and_fork(ring: SpscRing) -> None:
    ring.send(b"from the parent")
    if os.fork() == 0:
        while True:
            signal.pause()
    reached("forked")
    signal.pause()


def test_process_whose_descriptors_somebody_closed_still_lives(ring: SpscRing) -> None:
    """As daemonising programs do: its locks are gone, and it is not dead."""
    wait_for_us, go = os.pipe()
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with SpscRing.open(ring.name) as other:
                other.send(b"alive", timeout=0)
                os.write(tell, b"x")
                os.dup2(wait_for_us, 0)
                os.closerange(3, 1024)
                os.read(0, 1)
                other.send(b"and sending", timeout=0)
        finally:
            os._exit(0)
    try:
        os.read(told, 1)
        wait_blocked(pid, "read")
        with pytest.raises(BusyError):
            ring.try_send(b"mine")
        assert ring.receive(timeout=0) == b"alive"
        with pytest.raises(TimeoutExpired):
            ring.receive(timeout=0.12)
        os.write(go, b"x")
        assert ring.receive(timeout=20) == b"and sending"
    finally:
        for fd in (wait_for_us, go, told, tell):
            os.close(fd)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("name", [None, "named"])
def test_ring_travels_over_a_unix_socket(name: str | None, spawn: Spawn) -> None:
    one, other = SeqPacket.pair()
    with one, other, SpscRing.create(unique_name() if name else None, capacity=SMALL) as ring:
        if name:
            ring.unlink()
        peer = spawn(greet_over, other)
        one.send_fds(b"a ring", [ring])
        assert ring.receive(timeout=20) == b"hello"
        assert peer.join() == 0


def greet_over(connection: SeqPacket) -> None:
    with connection:
        _, (fd,) = connection.receive_fds(timeout=20)
        with SpscRing.from_fd(fd) as ring:
            assert ring.capacity == SMALL
            assert ring.name == ""
            ring.send(b"hello", timeout=20)


@pytest.mark.slow
def test_a_score_of_kills_of_both_sides(spawn: Spawn) -> None:
    """A small storm; tests/stress has the great one."""
    report = spawn(storm, 20, 20).result(timeout=50)
    assert sum(report.places.values()) == report.kills == 20
    assert report.messages > 100
