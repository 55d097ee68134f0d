"""SpscRing within one process: what goes in and comes out, limits, waits, errors, counters; on both lanes."""

from __future__ import annotations

import array
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ipckit._names import unique_name
from ipckit._native_quick import lib as quick
from ipckit.errors import (
    BrokenPeerError,
    BusyError,
    ClosedError,
    EndOfStreamError,
    LayoutError,
    MessageTooLargeError,
    TimeoutExpired,
)
from ipckit.ring import SpscRing, SpscStat
from ipckit.ring import _spsc_handle as spsc
from ipckit.ring._lane import CffiLane
from ipckit.testing import wait_blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEADER = 8
SMALL = 4096


def padded(length: int) -> int:
    return (HEADER + length + 7) & ~7


@pytest.fixture(params=["compiled", "cffi"], autouse=True)
def lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test runs on the compiled lane, and on the one for installations without it."""
    if request.param == "cffi":
        monkeypatch.setattr(spsc, "lane_of", lambda ring: CffiLane(ring, quick.ipk_spsc_capacity(ring)))
        monkeypatch.setattr(spsc, "_CLOSED_LANE", CffiLane(spsc._CORE.closed, 0))
    return request.param


@pytest.fixture
def ring() -> Iterator[SpscRing]:
    with SpscRing.create(capacity=SMALL) as ring:
        yield ring


def fill(ring: SpscRing, message: bytes = bytes(56)) -> int:
    count = 0
    while ring.try_send(message):
        count += 1
    return count


def test_it_is_the_lane_under_test_that_runs(ring: SpscRing, lane: str) -> None:
    assert type(ring._lane).__name__ == {"compiled": "SpscLane", "cffi": "CffiLane"}[lane]


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 63, 64, 65, 1000, SMALL // 2 + 1, SMALL - 9, SMALL - HEADER])
def test_message_of_each_length_comes_back_whole_at_each_offset(ring: SpscRing, length: int) -> None:
    message = os.urandom(length)
    for _ in range(2 * SMALL // padded(length) + 2):  # past the end, so that some of them wrap around
        ring.send(message, timeout=0)
        assert ring.receive(timeout=0) == message
    assert ring.stat().used == 0


def test_longest_message_has_capacity_minus_header(ring: SpscRing) -> None:
    assert ring.max_message_size == ring.capacity - HEADER == SMALL - HEADER
    ring.send(bytes(ring.max_message_size), timeout=0)
    assert ring.receive(timeout=0) == bytes(ring.max_message_size)


@pytest.mark.parametrize("verb", ["send", "try_send"])
@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_longer_message_is_refused_at_once_and_nothing_is_sent(ring: SpscRing, verb: str, kind: type) -> None:
    with pytest.raises(MessageTooLargeError, match=r"4089 bytes.*at most 4088"):
        getattr(ring, verb)(kind(ring.max_message_size + 1))
    assert ring.try_receive() is None


def test_message_beyond_64_kib_is_copied_without_the_gil_and_comes_back_whole() -> None:
    message = os.urandom(300_000)
    with SpscRing.create(capacity=1 << 19) as ring:
        for kind in (bytes, bytearray):
            ring.send(kind(message), timeout=0)
            assert ring.receive(timeout=0) == message
        ring.send_many([message], timeout=0)
        assert ring.receive_many(1, timeout=0) == [message]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"bytes", b"bytes"),
        (bytearray(b"bytearray"), b"bytearray"),
        (memoryview(b"a view")[2:], b"view"),
        (memoryview(bytearray(b"writable")), b"writable"),
        (array.array("I", [1, 2, 3]), array.array("I", [1, 2, 3]).tobytes()),
        (memoryview(array.array("d", [1.5])), array.array("d", [1.5]).tobytes()),
        (memoryview(bytes(24)).cast("B", (2, 3, 4)), bytes(24)),
        (type("Bytes", (bytes,), {})(b"subclass"), b"subclass"),
        (bytearray(), b""),
        (array.array("Q"), b""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_contiguous_buffer_is_sent_as_its_bytes(ring: SpscRing, data: bytes, expected: bytes) -> None:
    ring.send(data, timeout=0)
    assert ring.try_send(data)
    ring.send_many([data, data], timeout=0)
    received = [ring.receive(timeout=0), ring.receive(timeout=0), *ring.receive_many(5, timeout=0)]
    assert received == [expected] * 4
    assert {type(message) for message in received} == {bytes}


@pytest.mark.parametrize("data", ["text", None, 5, [1, 2], ("a",), object()], ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("verb", ["send", "try_send", "send_many"])
def test_what_is_no_buffer_is_a_type_error_and_nothing_is_sent(ring: SpscRing, data: object, verb: str) -> None:
    with pytest.raises(TypeError):
        getattr(ring, verb)([data] if verb == "send_many" else data)
    assert ring.stat().sent == 0


@pytest.mark.parametrize("verb", ["send", "try_send"])
def test_buffer_with_gaps_is_refused_with_the_remedy(ring: SpscRing, verb: str) -> None:
    with pytest.raises(ValueError, match="data must be C-contiguous; copy it first"):
        getattr(ring, verb)(memoryview(b"abcdef")[::2])


def test_try_receive_tells_nothing_from_an_empty_message(ring: SpscRing) -> None:
    assert ring.try_receive() is None
    assert ring.try_send(b"")
    assert ring.try_receive() == b""


def test_try_send_says_when_the_ring_is_full_and_loses_nothing(ring: SpscRing) -> None:
    assert fill(ring) == SMALL // 64
    assert ring.stat().used == SMALL
    assert not ring.try_send(b"")
    assert len(ring.receive_many(1000)) == SMALL // 64


@pytest.mark.parametrize("capacity", [1, 4095, 4096, 4097, 100_000])
def test_capacity_is_rounded_up_to_a_power_of_two(capacity: int) -> None:
    with SpscRing.create(capacity=capacity) as ring:
        assert ring.capacity >= capacity
        assert ring.capacity & (ring.capacity - 1) == 0
        assert ring.capacity == max(4096, 1 << (capacity - 1).bit_length())


@pytest.mark.parametrize("capacity", [0, -1, (1 << 31) + 1, 1 << 70])
def test_capacity_out_of_range_is_a_value_error_that_names_the_limit(capacity: int) -> None:
    with pytest.raises(ValueError, match=r"capacity must be 1 to 2147483648 bytes"):
        SpscRing.create(capacity=capacity)


@pytest.mark.parametrize("capacity", [True, 4096.0, "4096", None])
def test_capacity_that_is_no_int_is_a_type_error(capacity: object) -> None:
    with pytest.raises(TypeError, match="capacity must be an int"):
        SpscRing.create(capacity=capacity)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [-1e-9, 1.1, float("nan"), float("inf")])
def test_spin_out_of_range_is_a_value_error(ring: SpscRing, seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds must be 0 to 1"):
        ring.set_spin(seconds)


def test_send_many_and_receive_many_keep_the_order(ring: SpscRing) -> None:
    messages = [os.urandom(i % 23) for i in range(150)]  # more than the compiled lane moves in one go
    ring.send_many(iter(messages), timeout=0)
    assert ring.receive_many(100, timeout=0) == messages[:100]
    assert ring.receive_many(100, timeout=0) == messages[100:]


def test_send_many_of_nothing_sends_nothing(ring: SpscRing) -> None:
    ring.send_many([], timeout=0)
    assert ring.try_receive() is None


def test_send_many_tells_how_many_went_in_when_time_is_up(ring: SpscRing) -> None:
    messages = [i.to_bytes(56, "big") for i in range(100)]
    with pytest.raises(TimeoutExpired) as caught:
        ring.send_many(messages, timeout=0.01)
    assert caught.value.completed == SMALL // 64
    assert ring.receive_many(1000) == messages[: caught.value.completed]


@pytest.mark.parametrize("at", [0, 1, 5])
def test_send_many_tells_how_many_went_in_before_one_that_never_fits(ring: SpscRing, at: int) -> None:
    messages = [b"fits"] * at + [bytes(SMALL)] + [b"behind"]
    with pytest.raises(MessageTooLargeError, match="4096 bytes") as caught:
        ring.send_many(messages)
    assert caught.value.completed == at
    assert ring.stat().sent == at


def test_send_many_waits_for_room_and_goes_on_where_it_stopped(ring: SpscRing) -> None:
    messages = [i.to_bytes(100, "big") for i in range(1000)]
    sender = threading.Thread(target=ring.send_many, args=(messages,), kwargs={"timeout": 20})
    sender.start()
    received: list[bytes] = []
    while len(received) < len(messages):
        received += ring.receive_many(7, timeout=20)
    sender.join()
    assert received == messages


@pytest.mark.parametrize("n", [0, -1])
def test_receive_many_of_none_is_a_value_error(ring: SpscRing, n: int) -> None:
    with pytest.raises(ValueError, match="n must be 1 or more"):
        ring.receive_many(n)


def test_receive_many_takes_what_is_there_however_many_are_asked_for(ring: SpscRing) -> None:
    ring.send_many([b"a", b"b"], timeout=0)
    assert ring.receive_many(1 << 40, timeout=0) == [b"a", b"b"]


@pytest.mark.parametrize("receive", [SpscRing.receive, lambda ring, timeout: ring.receive_many(3, timeout)])
def test_receive_gives_up_when_time_is_up_and_not_before(
    ring: SpscRing, receive: Callable[[SpscRing, float], object]
) -> None:
    for timeout in (0, 0.02):
        began = time.monotonic_ns()
        with pytest.raises(TimeoutExpired):
            receive(ring, timeout)
        assert time.monotonic_ns() - began >= timeout * 1e9


def test_message_that_is_there_is_received_though_no_time_is_left(ring: SpscRing) -> None:
    ring.send(b"there", timeout=0)
    assert ring.receive(timeout=0) == b"there"


def test_iteration_ends_with_the_stream() -> None:
    with SpscRing.create(unique_name(), unlink_on_close=True) as reader:
        with SpscRing.open(reader.name) as writer:
            writer.send_many([b"1", b"", b"3"])
        assert list(reader) == [b"1", b"", b"3"]
        with pytest.raises(EndOfStreamError):
            reader.receive()
        assert list(reader) == []


def test_end_of_stream_comes_after_the_last_message_from_every_verb() -> None:
    with SpscRing.create(unique_name(), unlink_on_close=True) as reader:
        with SpscRing.open(reader.name) as writer:
            writer.send(b"last")
        assert reader.receive_many(5) == [b"last"]
        for receive in (reader.receive, lambda: reader.receive_many(2), reader.try_receive):
            with pytest.raises(EndOfStreamError):
                receive()


def test_a_role_that_was_closed_passes_on_and_ends_the_end_of_stream() -> None:
    with SpscRing.create(unique_name(), unlink_on_close=True) as reader:
        for turn in (b"first", b"second", b"third"):
            with SpscRing.open(reader.name) as writer:
                writer.send(turn)
            assert reader.receive(timeout=0) == turn
            with pytest.raises(EndOfStreamError):
                reader.receive()


def test_send_into_a_full_ring_whose_consumer_closed_is_a_broken_peer() -> None:
    with SpscRing.create(unique_name(), capacity=SMALL, unlink_on_close=True) as writer:
        with SpscRing.open(writer.name) as reader:
            assert reader.try_receive() is None  # which makes it the consumer
            assert fill(writer) > 0
        for send in (writer.send, lambda data: writer.send_many([data])):
            with pytest.raises(BrokenPeerError):
                send(b"no room")
        with SpscRing.open(writer.name) as successor:
            assert len(successor.receive_many(1000)) == SMALL // 64


def test_second_handle_gets_a_role_only_when_the_first_lets_go() -> None:
    with SpscRing.create(unique_name(), unlink_on_close=True) as first:
        with SpscRing.open(first.name) as second:
            first.send(b"mine")
            for send in (second.send, second.try_send, lambda data: second.send_many([data])):
                with pytest.raises(BusyError):
                    send(b"not mine")
            assert second.receive(timeout=0) == b"mine"
            for receive in (first.receive, first.try_receive, lambda: first.receive_many(2)):
                with pytest.raises(BusyError):
                    receive()
        assert first.try_receive() is None


def test_counters_tell_what_happened(ring: SpscRing) -> None:
    assert ring.stat() == SpscStat(SMALL, *[0] * 10)
    ring.send(b"12345678", timeout=0)
    ring.send_many([b"", b"x"], timeout=0)
    assert ring.stat() == SpscStat(SMALL, 16 + 8 + 16, 3, 0, 0, 0, 0, 0, 9, 0, 0)
    ring.receive(timeout=0)
    assert ring.stat() == SpscStat(SMALL, 24, 3, 1, 0, 0, 0, 0, 9, 0, 0)
    ring.receive_many(2, timeout=0)
    ring.set_spin(0)
    while ring.stat().empty_waits == 0:  # on a busy machine the time may be up before it comes to sleep
        with pytest.raises(TimeoutExpired):
            ring.receive(timeout=0.001)
    assert ring.stat() == SpscStat(SMALL, 0, 3, 3, 0, 1, 0, 0, 9, 0, 0)
    fill(ring)
    while ring.stat().full_waits == 0:
        with pytest.raises(TimeoutExpired):
            ring.send(b"", timeout=0.001)
    assert ring.stat()[4:8] == (1, 1, 0, 0)


def waiter(action: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Run *action* in a thread and return when it sleeps in futex(2); the list gets what came of it."""
    outcome: list[object] = []

    def run() -> None:
        try:
            outcome.append(action())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_blocked(os.getpid(), "futex", tid=thread.native_id)
    return thread, outcome


def test_message_wakes_a_receiver_that_sleeps(ring: SpscRing) -> None:
    ring.set_spin(0)
    thread, outcome = waiter(ring.receive)
    ring.send(b"wake")
    thread.join()
    assert outcome == [b"wake"]
    stat = ring.stat()
    assert stat.empty_waits >= 1
    assert stat.producer_wakes <= 1


def test_room_wakes_a_sender_that_sleeps(ring: SpscRing) -> None:
    ring.set_spin(0)
    count = fill(ring)
    thread, outcome = waiter(lambda: ring.send(b"more"))
    assert len(ring.receive_many(count)) == count
    thread.join()
    assert outcome == [None]
    assert ring.receive(timeout=0) == b"more"


@pytest.mark.parametrize("side", ["receiver", "sender"])
def test_close_ends_the_wait_of_another_thread(ring: SpscRing, side: str) -> None:
    ring.set_spin(0)
    if side == "sender":
        fill(ring)
    thread, outcome = waiter(ring.receive if side == "receiver" else lambda: ring.send(b""))
    ring.close()
    thread.join()
    assert [type(error) for error in outcome] == [ClosedError]


def test_second_thread_in_a_role_is_told_so_and_the_first_goes_on(ring: SpscRing) -> None:
    thread, outcome = waiter(ring.receive)
    with pytest.raises(BusyError):
        while True:  # between two slices of its wait the role is free for a moment
            assert ring.try_receive() is None
    ring.send(b"for the first")
    thread.join()
    assert outcome == [b"for the first"]


def test_broken_content_is_a_layout_error_and_not_a_crash() -> None:
    for header in (1 << 63, SMALL, 1 << 20, SMALL - 7):
        with SpscRing.create(unique_name(), capacity=SMALL, unlink_on_close=True) as ring:
            ring.send(b"message")
            with open(f"/dev/shm/ipckit.{ring.name[1:]}", "r+b") as file:
                file.seek(4096 + 4096)
                file.write(header.to_bytes(8, "little"))
            for receive in (ring.receive, ring.try_receive, lambda ring=ring: ring.receive_many(2)):
                with pytest.raises(LayoutError, match="corrupt"):
                    receive()


@pytest.mark.parametrize("offset", [128, 256])  # of tail and head within the object
@pytest.mark.parametrize("position", [SMALL + 8, 1 << 40, (1 << 64) - 8, 3])
def test_broken_index_never_leads_out_of_the_ring(offset: int, position: int) -> None:
    with SpscRing.create(unique_name(), capacity=SMALL, unlink_on_close=True) as ring:
        with open(f"/dev/shm/ipckit.{ring.name[1:]}", "r+b") as file:
            file.seek(4096 + offset)
            file.write(position.to_bytes(8, "little"))
        for call in (ring.try_receive, lambda: ring.receive_many(9, timeout=0), lambda: ring.try_send(bytes(100))):
            try:
                call()
            except (LayoutError, TimeoutExpired):
                pass


def test_unlink_of_an_anonymous_ring_is_a_value_error(ring: SpscRing) -> None:
    with pytest.raises(ValueError, match="anonymous"):
        ring.unlink()


@pytest.mark.parametrize("mode", [-1, 0o1000, True, "0600"])
def test_a_mode_that_is_no_permission_bits_is_refused(mode: object) -> None:
    with pytest.raises((TypeError, ValueError), match="mode"):
        SpscRing.create(mode=mode)  # type: ignore[arg-type]


def test_an_anonymous_ring_is_never_executable() -> None:
    with SpscRing.create(mode=0o777) as ring:
        assert os.fstat(ring.fileno()).st_mode & 0o777 == 0o666


@pytest.mark.parametrize("n", [0, -1, True, "1", 1.0])
def test_a_count_that_is_no_count_is_refused(n: object) -> None:
    with SpscRing.create() as ring, pytest.raises((TypeError, ValueError), match="n must be"):
        ring.receive_many(n, timeout=0)  # type: ignore[arg-type]


def test_any_count_will_do() -> None:
    with SpscRing.create() as ring:
        ring.send(b"one")
        assert ring.receive_many(10**30, timeout=0) == [b"one"]
