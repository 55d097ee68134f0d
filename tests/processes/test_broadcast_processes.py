"""BroadcastRing between processes: everybody sees everything, through stops, deaths, fork and travel."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from ipckit._names import unique_name
from ipckit.errors import EndOfStreamError, PeerDiedError, StalledError, TimeoutExpired
from ipckit.ring import BroadcastRing
from ipckit.testing import pause, reached
from tests.contract.tools import in_fork

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Child, Spawn

SMALL = 4096


@pytest.fixture
def ring() -> Iterator[BroadcastRing]:
    with BroadcastRing.create(unique_name(), capacity=SMALL, unlink_on_close=True) as ring:
        ring.set_spin(0)
        yield ring


def collect(ring: BroadcastRing) -> list[bytes]:
    with ring:
        ring.subscribe()
        reached("subscribed")
        return list(ring)


def write(ring: BroadcastRing, number: int, count: int) -> None:
    with ring:
        pause("ready")
        for index in range(count):
            ring.send(bytes([number]) + index.to_bytes(4, "big") * (index % 60), timeout=20)


def reserve_and_stay(ring: BroadcastRing) -> None:
    with ring.reserve(100) as room:
        room.buf[:3] = b"bad"
        pause("reserved")


def subscribe_and_stay(ring: BroadcastRing) -> None:
    ring.subscribe()
    pause("subscribed")


def wait_for_a_message(ring: BroadcastRing) -> str:
    ring.set_spin(0)
    try:
        ring.receive()
    except KeyboardInterrupt:
        return "interrupted"
    return "received"


def peek_and_die(ring: BroadcastRing) -> None:
    ring.subscribe(1)
    with ring.peek():
        pause("on loan")


def test_every_reader_gets_all_messages_of_all_writers(ring: BroadcastRing, spawn: Spawn) -> None:
    readers = [spawn(collect, ring) for _ in range(3)]
    for reader in readers:
        reader.wait_reached("subscribed")
    writers = [spawn(write, ring, number, 700) for number in range(2)]
    for writer in writers:
        writer.wait_reached("ready")
    ring.send(b"")  # so that the stream does not end before the second one has begun
    for writer in writers:
        writer.resume("ready")
    for writer in writers:
        assert writer.join() == 0
    ring.close()
    results = [reader.result() for reader in readers]
    assert results[0] == results[1] == results[2]
    for number in range(2):
        mine = [message for message in results[0] if message[:1] == bytes([number])]
        assert mine == [bytes([number]) + index.to_bytes(4, "big") * (index % 60) for index in range(700)]


def test_writer_that_is_stopped_amid_a_message_is_named_and_a_dead_one_is_passed(
    ring: BroadcastRing, spawn: Spawn
) -> None:
    ring.subscribe()
    child = spawn(reserve_and_stay, ring)
    child.wait_reached("reserved")
    child.send_signal(signal.SIGSTOP)
    with pytest.raises(StalledError, match=f"process {child.pid} has not finished") as caught:
        ring.send(b"next", timeout=0.06)
    assert caught.value.pid == child.pid
    with pytest.raises(StalledError):
        ring.subscribe(1, timeout=0)
    assert not ring.try_send(b"next")
    child.kill()
    ring.send(b"next", timeout=20)
    assert ring.receive(timeout=0) == b"next"
    assert ring.try_receive() is None
    assert ring.stat().recoveries == 1


def test_dead_writer_is_told_apart_from_one_that_closed(ring: BroadcastRing, spawn: Spawn) -> None:
    ring.subscribe()
    child = spawn(reserve_and_stay, ring)
    child.wait_reached("reserved")
    assert ring.producers == 1
    child.kill()
    with pytest.raises(PeerDiedError, match="the last writer"):
        ring.receive(timeout=20)
    with pytest.raises(PeerDiedError):
        ring.try_receive()
    assert ring.producers == 0


def test_reader_that_is_stopped_is_waited_for_and_a_dead_one_is_not(ring: BroadcastRing, spawn: Spawn) -> None:
    child = spawn(subscribe_and_stay, ring)
    child.wait_reached("subscribed")
    child.send_signal(signal.SIGSTOP)
    while ring.try_send(bytes(100)):
        pass
    with pytest.raises(TimeoutExpired, match=f"the furthest behind is process {child.pid}"):
        ring.send(bytes(100), timeout=0.06)
    assert ring.consumers == 1
    child.kill()
    ring.send(bytes(100), timeout=20)
    assert ring.consumers == 0


@pytest.mark.parametrize("policy", ["overwrite", "disconnect"])
def test_stopped_reader_never_stops_a_writer_that_does_not_wait(policy: str, spawn: Spawn) -> None:
    with BroadcastRing.create(capacity=SMALL, slow_reader=policy) as ring:  # type: ignore[arg-type]
        child = spawn(subscribe_and_stay, ring)
        child.wait_reached("subscribed")
        child.send_signal(signal.SIGSTOP)
        for _ in range(1000):
            ring.send(bytes(100), timeout=0)
        child.kill()


def test_message_on_loan_to_a_killed_reader_holds_up_nobody(ring: BroadcastRing, spawn: Spawn) -> None:
    ring.send(b"lent")
    child = spawn(peek_and_die, ring)
    child.wait_reached("on loan")
    while ring.try_send(bytes(100)):
        pass
    child.kill()
    ring.send(bytes(100), timeout=20)


def test_ctrl_c_ends_a_wait(ring: BroadcastRing, spawn: Spawn) -> None:
    child = spawn(wait_for_a_message, ring)
    child.wait_blocked("futex")
    child.send_signal(signal.SIGINT)
    assert child.result() == "interrupted"


def test_anonymous_ring_travels(spawn: Spawn) -> None:
    with BroadcastRing.create(capacity=SMALL, slow_reader="overwrite") as ring:
        reader = spawn(collect, ring)
        reader.wait_reached("subscribed")
        ring.send_many([b"one", b"two"])
        ring.close()
        assert reader.result() == [b"one", b"two"]


def test_forked_child_is_another_reader_and_another_writer(ring: BroadcastRing) -> None:
    ring.subscribe()
    ring.send(b"before")

    def child() -> None:
        assert ring.try_receive() is None  # it subscribes
        assert (ring.producers, ring.consumers) == (1, 2)
        ring.send(b"from the child")
        assert ring.receive(timeout=0) == b"from the child"
        ring.close()

    in_fork(child)
    assert ring.receive_many(9) == [b"before", b"from the child"]
    assert (ring.producers, ring.consumers) == (1, 1)


def storm_writer(ring: BroadcastRing, incarnation: int) -> None:
    ring.set_spin(0)
    reached("begun")
    for index in range(1 << 40):
        message = incarnation.to_bytes(4, "big") + index.to_bytes(4, "big") * (1 + index % 40)
        if index % 5:
            ring.send(message)
        else:
            with ring.reserve(len(message)) as room:
                room.buf[:] = message


def storm_reader(ring: BroadcastRing) -> None:
    ring.subscribe(3)
    reached("begun")
    while True:
        try:
            with ring.peek() as loan:
                bytes(loan.buf)
            ring.receive()
        except PeerDiedError:
            ring.subscribe()


class Witness:
    """Reads everything: each writer's messages are whole, in order, and none is missing."""

    def __init__(self) -> None:
        self.next: dict[int, int] = {}
        self.count = 0

    def see(self, message: bytes) -> None:
        incarnation, index = int.from_bytes(message[:4], "big"), int.from_bytes(message[4:8], "big")
        assert message[4:] == index.to_bytes(4, "big") * (1 + index % 40)
        assert index == self.next.get(incarnation, 0)
        self.next[incarnation] = index + 1
        self.count += 1


def storm(ring: BroadcastRing, spawn: Spawn, kills: int) -> Witness:
    """Kill writers and readers at random moments, and start others in their place."""
    seed = time.time_ns() % 1_000_000
    chance = random.Random(seed)
    print(f"seed {seed}")
    witness = Witness()
    incarnation = 0
    ring.subscribe()

    def start(writes: bool) -> Child:
        nonlocal incarnation
        incarnation += writes
        child = spawn(storm_writer, ring, incarnation) if writes else spawn(storm_reader, ring)
        child.wait_reached("begun")
        return child

    crew = [(start(writes=index < 2), index < 2) for index in range(4)]
    killed: list[Child] = []
    for _ in range(kills):
        for _ in range(chance.randrange(2000)):
            try:
                witness.see(ring.receive(timeout=20))
            except PeerDiedError:
                break  # all were killed before their successors had sent anything
        victim, writes = crew.pop(chance.randrange(len(crew)))
        victim.kill()
        killed.append(victim)
        crew.append((start(writes=writes), writes))
    for child, _ in crew:
        child.kill()
        killed.append(child)
    for child in killed:
        assert child.join() == -signal.SIGKILL
    while True:
        try:
            witness.see(ring.receive(timeout=20))
        except PeerDiedError:
            return witness


@pytest.mark.slow
def test_kills_of_writers_and_readers(ring: BroadcastRing, spawn: Spawn) -> None:
    witness = storm(ring, spawn, 12)
    assert witness.count
    ring.send(b"after all", timeout=20)
    assert ring.receive(timeout=0) == b"after all"
    assert (ring.producers, ring.consumers) == (1, 1)


@pytest.mark.stress
@pytest.mark.watchdog(600)
def test_hundreds_of_kills_of_writers_and_readers(ring: BroadcastRing, spawn: Spawn) -> None:
    witness = storm(ring, spawn, int(os.environ.get("IPCKIT_STORM_KILLS", "300")))
    print(f"{witness.count} messages, {ring.stat()}")
    with pytest.raises(PeerDiedError):
        ring.receive()
    with BroadcastRing.open(ring.name) as other:
        other.send(b"after all", timeout=20)
        assert ring.receive(timeout=0) == b"after all"
    with pytest.raises(EndOfStreamError):
        ring.receive()
