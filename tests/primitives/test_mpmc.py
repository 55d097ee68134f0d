"""MpmcRing within one process: what goes in and comes out, claims in place, limits, ends, errors; on both lanes."""

from __future__ import annotations

import array
import os
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from ipckit._names import unique_name
from ipckit.errors import (
    BrokenPeerError,
    ClosedError,
    EndOfStreamError,
    LayoutError,
    LimitError,
    MessageTooLargeError,
    StalledError,
    TimeoutExpired,
)
from ipckit.ring import MpmcRing, MpmcStat, SpscRing
from ipckit.ring import _mpmc_handle as mpmc
from ipckit.ring._mpmc_lane import CffiMpmcLane
from ipckit.testing import wait_blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SMALL = 4096
LARGEST = SMALL - 8


@pytest.fixture(params=["compiled", "cffi"], autouse=True)
def lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test runs on the compiled lane, and on the one for installations without it."""
    if request.param == "cffi":
        monkeypatch.setattr(mpmc, "lane_of", CffiMpmcLane)
        monkeypatch.setattr(mpmc, "_CLOSED_LANE", CffiMpmcLane(mpmc._CORE.closed))
    return request.param


@pytest.fixture
def ring() -> Iterator[MpmcRing]:
    with MpmcRing.create(capacity=SMALL) as ring:
        yield ring


@pytest.fixture
def other(ring: MpmcRing) -> Iterator[MpmcRing]:
    with another(ring) as other:
        yield other


def another(ring: MpmcRing) -> MpmcRing:
    return MpmcRing.from_fd(os.dup(ring.fileno()))


def fill(ring: MpmcRing, message: bytes = bytes(56)) -> int:
    count = 0
    while ring.try_send(message):
        count += 1
    return count


def test_it_is_the_lane_under_test_that_runs(ring: MpmcRing, lane: str) -> None:
    assert type(ring._lane).__name__ == {"compiled": "MpmcLane", "cffi": "CffiMpmcLane"}[lane]


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 64, 1000, 1024, 1025, SMALL // 2 + 1, LARGEST - 1, LARGEST])
def test_message_of_each_length_comes_back_whole_at_each_offset(ring: MpmcRing, other: MpmcRing, length: int) -> None:
    message = os.urandom(length)
    for _ in range(2 * SMALL // (length + 8) + 2):  # past the end, so that some of them wrap around
        ring.send(message, timeout=0)
        assert other.receive(timeout=0) == message
    assert ring.stat().used == 0


@pytest.mark.parametrize("length", [10, 1025, 300_000])
@pytest.mark.parametrize("kind", [bytes, bytearray, lambda data: array.array("B", data)])
def test_any_contiguous_buffer_goes_in_and_comes_out_into_any(length: int, kind: Callable[[bytes], bytes]) -> None:
    message = os.urandom(length)
    with MpmcRing.create(capacity=1 << 20) as ring:
        ring.send(kind(message), timeout=0)
        assert ring.try_send(kind(message))
        into = bytearray(length + 3)
        assert ring.receive_into(into, timeout=0) == length
        assert into[:length] == message
        assert ring.try_receive() == message
        with pytest.raises(ValueError, match="C-contiguous"):
            ring.send(memoryview(message)[::2])


def test_longer_message_is_refused_at_once(ring: MpmcRing) -> None:
    for send in (ring.send, ring.try_send, lambda m: ring.send_many([m]), lambda m: ring.reserve(len(m))):
        with pytest.raises(MessageTooLargeError, match=r"4089 bytes.*at most 4088"):
            send(bytes(LARGEST + 1))
    assert ring.max_message_size == LARGEST
    assert ring.try_receive() is None


def test_batches_keep_order_and_stop_at_what_there_is(ring: MpmcRing) -> None:
    batch = [bytes([i]) * (i * 41 % 1500) for i in range(1, 30)]
    received: list[bytes] = []
    sender = threading.Thread(target=ring.send_many, args=(batch, 20))
    sender.start()
    while len(received) < len(batch):
        received += ring.receive_many(7, timeout=20)
    sender.join()
    assert received == batch
    ring.send_many([b"a", b"b", b"c"])
    assert ring.receive_many(2) == [b"a", b"b"]
    assert ring.receive_many(100, timeout=0) == [b"c"]
    with pytest.raises(TimeoutExpired):
        ring.receive_many(1, timeout=0)
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="n must be"):
            ring.receive_many(wrong)


def test_a_batch_that_does_not_fit_tells_how_many_were_sent(ring: MpmcRing) -> None:
    with pytest.raises(TimeoutExpired) as info:
        ring.send_many([bytes(1000)] * 9, timeout=0)
    assert info.value.completed == 4
    assert ring.depth == 4


def test_timeouts(ring: MpmcRing) -> None:
    for receive in (ring.receive, ring.peek, lambda timeout: ring.receive_into(bytearray(1), timeout)):
        for timeout in (0, 0.01):
            with pytest.raises(TimeoutExpired):
                receive(timeout=timeout)
        with pytest.raises(ValueError, match="timeout"):
            receive(timeout=-1)
    fill(ring)
    for timeout in (0, 0.01):
        with pytest.raises(TimeoutExpired):
            ring.send(bytes(56), timeout=timeout)
        with pytest.raises(TimeoutExpired):
            ring.reserve(56, timeout=timeout)
    while not ring.stat().full_waits:  # who is held up until the time is over does not sleep
        with pytest.raises(TimeoutExpired):
            ring.send(bytes(56), timeout=0.01)


def test_claims_are_committed_in_any_order_and_received_in_that_of_the_claims(ring: MpmcRing, other: MpmcRing) -> None:
    first, second, third = ring.reserve(10), other.reserve(500), ring.reserve(3)
    third.buf[:] = b"333"
    third.commit()
    with pytest.raises(StalledError) as info:
        other.receive(timeout=0.01)
    assert info.value.pid == os.getpid()
    second.abort()
    first.buf[:4] = b"1111"
    first.commit(4)
    assert other.receive(timeout=0) == b"1111"
    assert ring.receive(timeout=0) == b"333"
    assert ring.try_receive() is None
    assert ring.stat().used == 0


def test_several_loans_and_what_is_put_back_comes_next(ring: MpmcRing, other: MpmcRing) -> None:
    ring.send_many([b"one", b"two", b"three" * 300])
    one, two = other.peek(), ring.peek()
    assert bytes(one.buf) == b"one"
    assert bytes(two.buf) == b"two"
    with pytest.raises(MessageTooLargeError, match=r"1500 bytes, and the buffer 2"):
        ring.receive_into(bytearray(2))
    with pytest.raises(RuntimeError), two:
        raise RuntimeError
    one.release()
    assert ring.receive_many(9) == [b"two", b"three" * 300]
    with pytest.raises(ClosedError):
        one.buf  # noqa: B018
    assert ring.stat().received == 3


def test_with_blocks_commit_and_release_and_exceptions_undo(ring: MpmcRing) -> None:
    with ring.reserve(5) as room:
        room.buf[:] = b"hello"
    with pytest.raises(RuntimeError), ring.reserve(5):
        raise RuntimeError
    with ring.peek() as loan:
        assert bytes(loan.buf) == b"hello"
        with pytest.raises(TypeError):
            loan.buf[0] = 0
    assert ring.try_receive() is None
    assert ring.stat().used == 0


def test_close_ends_claims_unless_somebody_can_touch_them(ring: MpmcRing, other: MpmcRing) -> None:
    ring.send_many([b"one", b"two"])
    loan = other.peek()
    room = other.reserve(8)
    view = room.buf[2:]
    with pytest.raises(BufferError):
        other.close()
    view.release()
    other.close()
    for claim in (loan, room):
        with pytest.raises(ClosedError):
            claim.buf  # noqa: B018
    assert ring.receive_many(9) == [b"one", b"two"]
    assert ring.try_receive() is None


def test_end_of_the_stream_comes_after_the_last_message_of_the_last_producer(ring: MpmcRing) -> None:
    with another(ring) as one, another(ring) as two:
        one.send(b"one")
        two.join()
        one.close()
        assert ring.producers == 1
        assert ring.receive() == b"one"
        assert ring.try_receive() is None
        two.send(b"two")
        two.close()
    assert list(ring) == [b"two"]
    for receive in (ring.receive, ring.try_receive, ring.peek, lambda: ring.receive_many(1)):
        with pytest.raises(EndOfStreamError, match="last producer"):
            receive()
    ring.send(b"three")
    assert ring.receive() == b"three"
    assert ring.try_receive() is None


@pytest.mark.parametrize("policy", ["block", "error", "drop"])
def test_what_a_producer_gets_when_the_last_consumer_is_gone(policy: str) -> None:
    with MpmcRing.create(capacity=SMALL, on_consumer_gone=policy) as ring:  # type: ignore[arg-type]
        fill(ring)
        with another(ring) as consumer:
            consumer.receive()
        assert ring.try_send(bytes(56))
        if policy == "drop":
            ring.send(bytes(56))
            assert ring.try_send(bytes(56))
            ring.send_many([bytes(56)] * 3)
            assert ring.stat().lost == 5
            with ring.reserve(56) as room:
                room.buf[0] = 1
            return
        assert not ring.try_send(bytes(56))
        with pytest.raises(BrokenPeerError if policy == "error" else TimeoutExpired):
            ring.send(bytes(56), timeout=0.01)


def test_max_messages_counts_those_that_are_being_received() -> None:
    with MpmcRing.create(capacity=SMALL, max_messages=2) as ring:
        assert ring.max_messages == 2
        assert fill(ring, b"") == 2
        loan = ring.peek()
        assert not ring.try_send(b"")
        assert ring.depth == 1
        loan.release()
        assert ring.try_send(b"")


def test_choices_are_checked() -> None:
    for wrong in (
        {"capacity": 0},
        {"capacity": (1 << 31) + 1},
        {"max_messages": -1},
        {"participants": 0},
        {"participants": 4097},
        {"on_consumer_death": "retry"},
        {"on_consumer_gone": "wait"},
        {"oversize": "file"},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            MpmcRing.create(**wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="capacity"):
        MpmcRing.create(capacity="1")  # type: ignore[arg-type]


def test_a_full_roster_is_a_limit() -> None:
    with MpmcRing.create(capacity=SMALL, participants=1) as ring, another(ring) as other:
        ring.send(b"")
        ring.receive()
        for call in (other.join, lambda: other.send(b""), other.receive, other.try_receive):
            with pytest.raises(LimitError, match="create it with more"):
                call()


def test_another_kind_of_segment_is_refused() -> None:
    name = unique_name()
    with SpscRing.create(name, capacity=SMALL, unlink_on_close=True), pytest.raises(LayoutError, match="ring for many"):
        MpmcRing.open(name)


def test_garbage_in_the_segment_is_an_error() -> None:
    name = unique_name()
    with MpmcRing.create(name, capacity=SMALL, unlink_on_close=True) as ring:
        ring.send(b"message")
        with open(f"/dev/shm/ipckit.{name[1:]}", "r+b") as file:
            file.seek(-SMALL, os.SEEK_END)
            file.write(b"\xff" * 8)
        for call in (ring.receive, ring.try_receive, ring.peek):
            with pytest.raises(LayoutError, match="corrupt"):
                call()


def test_stat_counts(ring: MpmcRing, other: MpmcRing) -> None:
    ring.send_many([b"a", b"bcd"])
    other.receive()
    stat = other.stat()
    assert stat == MpmcStat(SMALL, 16, 1, 2, 1, 4, 1, 0, 0, 0, 0, 0)
    assert (ring.producers, ring.consumers) == (1, 1)


@pytest.mark.parametrize("verb", ["receive", "send"])
def test_close_ends_the_wait_of_another_thread(ring: MpmcRing, verb: str) -> None:
    ring.set_spin(0)
    if verb == "send":
        fill(ring)
    failures: list[BaseException] = []
    native: list[int] = []

    def wait() -> None:
        native.append(threading.get_native_id())
        try:
            ring.receive() if verb == "receive" else ring.send(bytes(56))
        except ClosedError as error:
            failures.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    while not native:
        pass
    wait_blocked(os.getpid(), "futex", tid=native[0])
    ring.close()
    thread.join(20)
    assert len(failures) == 1


def test_four_threads_share_one_handle_and_nothing_is_lost_or_doubled(ring: MpmcRing, lane: str) -> None:
    count = 3000 if lane == "compiled" else 500
    received: list[list[bytes]] = [[], []]

    def send(number: int) -> None:
        for index in range(count):
            ring.send(bytes([number]) + index.to_bytes(4, "big") * (index % 300), timeout=20)

    def receive(into: list[bytes]) -> None:
        while (message := ring.receive(timeout=20)) != b"end":
            into.append(message)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        consumers = [threading.Thread(target=receive, args=(into,)) for into in received]
        producers = [threading.Thread(target=send, args=(number,)) for number in range(2)]
        for thread in consumers + producers:
            thread.start()
        for thread in producers:
            thread.join()
        ring.send_many([b"end", b"end"], timeout=20)
        for thread in consumers:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    got = Counter(received[0] + received[1])
    assert got == Counter(
        bytes([number]) + index.to_bytes(4, "big") * (index % 300) for number in range(2) for index in range(count)
    )
