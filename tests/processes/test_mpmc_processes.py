"""MpmcRing between processes: many to many, through stops, deaths, fork and travel."""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from ipckit._names import unique_name
from ipckit.errors import EndOfStreamError, PeerDiedError, StalledError, TimeoutExpired
from ipckit.ring import MpmcRing
from ipckit.testing import pause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

SMALL = 4096
SOON = 20.0  # seconds: a loaded machine may take its time


@pytest.fixture
def ring() -> Iterator[MpmcRing]:
    with MpmcRing.create(unique_name(), capacity=SMALL, unlink_on_close=True) as ring:
        ring.set_spin(0)
        yield ring


def message_of(number: int, index: int) -> bytes:
    return bytes([number]) + index.to_bytes(4, "big") * (1 + index % 400)


def produce(ring: MpmcRing, number: int, count: int) -> None:
    with ring:
        ring.join()
        pause("ready")
        for index in range(count):
            ring.send(message_of(number, index), timeout=SOON)


def consume(ring: MpmcRing) -> list[bytes]:
    with ring:
        return list(ring)


def reserve_and_stay(ring: MpmcRing) -> None:
    with ring.reserve(100) as room:
        room.buf[:3] = b"bad"
        pause("there")


def peek_and_stay(ring: MpmcRing) -> None:
    with ring.peek(timeout=SOON):
        pause("there")


def send_and_stay(ring: MpmcRing) -> None:
    ring.send(b"last words")
    pause("there")


def wait_for_a_message(ring: MpmcRing) -> str:
    ring.set_spin(0)
    try:
        return ring.receive().decode()
    except KeyboardInterrupt:
        return "interrupted"


def test_many_to_many_gets_everything_once_and_in_each_producers_order(ring: MpmcRing, spawn: Spawn) -> None:
    producers = [spawn(produce, ring, number, 300) for number in range(2)]
    for producer in producers:
        producer.wait_reached("ready")
    consumers = [spawn(consume, ring) for _ in range(2)]
    for producer in producers:
        producer.resume("ready")
    received = [consumer.result() for consumer in consumers]
    for producer in producers:
        producer.join()
    for messages in received:
        for number in range(2):
            indices = [int.from_bytes(message[1:5], "big") for message in messages if message[0] == number]
            assert indices == sorted(indices)
    assert Counter(received[0] + received[1]) == Counter(
        message_of(number, index) for number in range(2) for index in range(300)
    )
    with pytest.raises(EndOfStreamError):
        ring.receive(timeout=SOON)


def test_death_of_the_last_producer_is_told_after_its_last_message(ring: MpmcRing, spawn: Spawn) -> None:
    child = spawn(send_and_stay, ring)
    child.wait_reached("there")
    child.kill()
    assert ring.receive(timeout=SOON) == b"last words"
    for receive in (lambda: ring.receive(timeout=SOON), ring.try_receive):
        with pytest.raises(PeerDiedError, match="last producer"):
            receive()
    assert ring.producers == 0


def test_reservation_of_the_dead_is_nobodys(ring: MpmcRing, spawn: Spawn) -> None:
    child = spawn(reserve_and_stay, ring)
    child.wait_reached("there")
    ring.send(b"behind it")
    assert ring.try_receive() is None
    child.kill()
    assert ring.receive(timeout=SOON) == b"behind it"
    assert ring.stat().recoveries == 1
    assert ring.stat().used == 0


@pytest.mark.parametrize("policy", ["redeliver", "lose"])
def test_loan_of_the_dead_goes_to_another_one_or_is_lost(policy: str, spawn: Spawn) -> None:
    name = unique_name()
    with MpmcRing.create(name, capacity=SMALL, on_consumer_death=policy, unlink_on_close=True) as ring:  # type: ignore[arg-type]
        ring.send_many([b"one", b"two"])
        child = spawn(peek_and_stay, ring)
        child.wait_reached("there")
        assert ring.receive() == b"two"
        assert ring.try_receive() is None
        child.kill()
        if policy == "redeliver":
            assert ring.receive(timeout=SOON) == b"one"
        else:
            child.join()
            assert ring.try_receive() is None
            assert ring.stat().lost == 1
        assert ring.try_receive() is None  # past what was received before it
        assert ring.stat().used == ring.depth == 0


def test_a_stopped_process_is_waited_for_and_named(ring: MpmcRing, spawn: Spawn) -> None:
    child = spawn(reserve_and_stay, ring)
    child.wait_reached("there")
    child.send_signal(signal.SIGSTOP)
    ring.send(b"behind it")
    with pytest.raises(StalledError) as info:
        ring.receive(timeout=0.02)
    assert info.value.pid == child.pid
    child.send_signal(signal.SIGCONT)
    child.resume("there")
    child.join()
    assert ring.receive(timeout=SOON)[:3] == b"bad"
    assert ring.receive(timeout=SOON) == b"behind it"


def test_ctrl_c_ends_a_wait_and_loses_nothing(ring: MpmcRing, spawn: Spawn) -> None:
    ring.join()
    child = spawn(wait_for_a_message, ring)
    child.wait_blocked("futex")
    child.send_signal(signal.SIGINT)
    assert child.result() == "interrupted"
    ring.send(b"here")
    assert spawn(wait_for_a_message, ring).result() == "here"


def test_a_forked_child_has_a_role_of_its_own(ring: MpmcRing) -> None:
    ring.send(b"parent")
    room = ring.reserve(5)
    pid = os.fork()
    if pid == 0:
        try:
            ring.send(b"child")
            ring.receive(timeout=0)
        except TimeoutExpired:
            os._exit(1)
        except BaseException:
            os._exit(2)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    room.abort()
    assert ring.receive(timeout=SOON) == b"child"
    assert ring.producers == 1
    with pytest.raises(TimeoutExpired):
        ring.receive(timeout=0)  # the stream has not ended: the parent is a producer
