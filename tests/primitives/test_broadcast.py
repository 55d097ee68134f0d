"""BroadcastRing within one process: who gets what, policies, history, limits, waits, errors; on both lanes."""

from __future__ import annotations

import array
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from ipckit._names import unique_name
from ipckit.errors import (
    BusyError,
    ClosedError,
    DisconnectedError,
    EndOfStreamError,
    LayoutError,
    LimitError,
    MessagesLostError,
    MessageTooLargeError,
    StalledError,
    TimeoutExpired,
    UnsupportedError,
)
from ipckit.ring import BroadcastRing, BroadcastStat, SpscRing
from ipckit.ring import _broadcast_handle as handles
from ipckit.ring._broadcast_lane import CffiLane
from ipckit.testing import wait_blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEADER = 16
SMALL = 4096
LARGEST = SMALL // 2 - HEADER
POLICIES = ("block", "overwrite", "disconnect")


@pytest.fixture(params=["compiled", "cffi"], autouse=True)
def lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test runs on the compiled lane, and on the one for installations without it."""
    if request.param == "cffi":
        monkeypatch.setattr(handles, "lane_of", CffiLane)
        monkeypatch.setattr(handles, "_CLOSED_LANE", CffiLane(handles._CORE.closed))
    return request.param


@pytest.fixture(params=POLICIES)
def ring(request: pytest.FixtureRequest) -> Iterator[BroadcastRing]:
    with BroadcastRing.create(capacity=SMALL, slow_reader=request.param) as ring:
        yield ring


@pytest.fixture
def overwriting() -> Iterator[BroadcastRing]:
    with BroadcastRing.create(capacity=SMALL, slow_reader="overwrite") as ring:
        yield ring


@pytest.fixture
def blocking() -> Iterator[BroadcastRing]:
    with BroadcastRing.create(capacity=SMALL) as ring:
        yield ring


def another(ring: BroadcastRing) -> BroadcastRing:
    return BroadcastRing.from_fd(os.dup(ring.fileno()))


def reader_of(ring: BroadcastRing, history: int = 0) -> BroadcastRing:
    reader = another(ring)
    reader.subscribe(history)
    return reader


def test_it_is_the_lane_under_test_that_runs(ring: BroadcastRing, lane: str) -> None:
    assert type(ring._lane).__name__ == {"compiled": "BroadcastLane", "cffi": "CffiLane"}[lane]


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 63, 64, 65, 1000, LARGEST - 1, LARGEST])
def test_every_reader_gets_messages_of_each_length_at_each_offset(ring: BroadcastRing, length: int) -> None:
    message = os.urandom(length)
    with reader_of(ring) as one, reader_of(ring) as two:
        for _ in range(2 * SMALL // (length + HEADER) + 2):
            ring.send(message, timeout=0)
            assert one.receive(timeout=0) == two.receive(timeout=0) == message
        assert one.try_receive() is two.try_receive() is None


def test_message_beyond_64_kib_is_copied_without_the_gil_and_comes_back_whole() -> None:
    message = os.urandom(300_001)
    for policy in POLICIES:
        with BroadcastRing.create(capacity=1 << 20, slow_reader=policy) as ring, reader_of(ring) as reader:
            for kind in (bytes, bytearray):
                ring.send(kind(message), timeout=0)
                assert reader.receive(timeout=0) == message
            ring.send_many([message, b"short"], timeout=0)
            assert reader.receive_many(9, timeout=0) == [message, b"short"]
            ring.send(message, timeout=0)
            into = bytearray(300_001)
            assert reader.receive_into(into, timeout=0) == len(message)
            assert into == message


@pytest.mark.parametrize(
    "data",
    [
        bytearray(b"bytearray"),
        memoryview(b"a view")[2:],
        array.array("I", [1, 2, 3]),
        memoryview(bytes(24)).cast("B", (2, 3, 4)),
        type("Bytes", (bytes,), {})(b"subclass"),
        bytearray(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_contiguous_buffer_is_sent_as_its_bytes(ring: BroadcastRing, data: Any) -> None:
    with reader_of(ring) as reader:
        ring.send(data, timeout=0)
        assert ring.try_send(data)
        ring.send_many([data, data], timeout=0)
        assert reader.receive_many(9, timeout=0) == [bytes(memoryview(data))] * 4
        with pytest.raises(ValueError, match="C-contiguous"):
            ring.send(memoryview(b"abcd")[::2])


@pytest.mark.parametrize("verb", ["send", "try_send", "reserve"])
def test_longer_message_is_refused_at_once_and_nothing_is_sent(ring: BroadcastRing, verb: str) -> None:
    assert ring.max_message_size == LARGEST
    with reader_of(ring) as reader:
        with pytest.raises(MessageTooLargeError, match=r"2033 bytes.*at most 2032"):
            getattr(ring, verb)(LARGEST + 1 if verb == "reserve" else bytes(LARGEST + 1))
        with pytest.raises(MessageTooLargeError) as caught:
            ring.send_many([b"a", bytes(LARGEST + 1), b"b"], timeout=0)
        assert caught.value.completed == 1
        assert reader.receive_many(9, timeout=0) == [b"a"]


def test_order_is_the_same_for_all_readers_whoever_writes(ring: BroadcastRing) -> None:
    with another(ring) as other, reader_of(ring) as one, reader_of(ring) as two:
        for index in range(20):
            (other if index % 3 else ring).send(bytes([index]), timeout=0)
        assert one.receive_many(99) == two.receive_many(99) == [bytes([index]) for index in range(20)]


def test_first_receive_subscribes_to_what_comes(ring: BroadcastRing) -> None:
    with another(ring) as reader:
        ring.send(b"before")
        assert ring.consumers == 0
        assert reader.try_receive() is None
        assert ring.consumers == 1
        ring.send(b"after")
        assert reader.receive(timeout=0) == b"after"


def test_late_joiner_gets_the_last_messages_that_it_asks_for(ring: BroadcastRing) -> None:
    ring.send_many([bytes([index]) for index in range(10)])
    with another(ring) as late:
        assert late.subscribe(3) == 3
        assert late.depth == 3
        ring.send(b"next")
        assert late.receive_many(9) == [b"\7", b"\10", b"\11", b"next"]
        assert late.subscribe(100) == 11  # it begins anew
        assert late.receive(timeout=0) == b"\0"
        assert late.subscribe() == 0
        assert late.try_receive() is None
        assert ring.consumers == 1
        assert late.unsubscribe() is True
        assert late.unsubscribe() is False
        assert ring.consumers == 0


@pytest.mark.parametrize("history", [-1, 1 << 64, True, "1"])
def test_history_is_a_number_of_messages(ring: BroadcastRing, history: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="history must be"):
        ring.subscribe(history)
    assert ring.consumers == 0


def test_slow_reader_blocks_the_writer(blocking: BroadcastRing) -> None:
    with reader_of(blocking) as slow, reader_of(blocking) as fast:
        sent = 0
        while blocking.try_send(bytes(48)):
            sent += 1
            fast.receive(timeout=0)
        assert sent == SMALL // 64
        with pytest.raises(TimeoutExpired, match=f"process {os.getpid()}"):
            blocking.send(bytes(48), timeout=0.01)
        with pytest.raises(TimeoutExpired) as caught:
            blocking.send_many([b"", b""], timeout=0)
        assert caught.value.completed == 0
        assert slow.receive(timeout=0) == bytes(48)
        blocking.send(bytes(48), timeout=0)
        assert not blocking.try_send(b"")
        slow.unsubscribe()
        assert blocking.try_send(b"")


def test_overwritten_reader_is_told_exactly_how_many_it_lost(overwriting: BroadcastRing) -> None:
    with reader_of(overwriting) as reader:
        overwriting.send(b"first")
        assert reader.receive() == b"first"
        for index in range(1000):
            overwriting.send(index.to_bytes(4, "big"))
        assert reader.depth == 1000
        with pytest.raises(MessagesLostError, match="messages of") as caught:
            reader.receive(timeout=0)
        lost = caught.value.lost
        assert 800 < lost < 1000
        assert reader.lost == lost == overwriting.stat().lost
        assert reader.receive(timeout=0) == lost.to_bytes(4, "big")
        assert reader.receive_many(5000) == [index.to_bytes(4, "big") for index in range(lost + 1, 1000)]
        assert overwriting.lost == 0


@pytest.mark.parametrize("verb", ["receive", "try_receive", "receive_into", "receive_many", "iteration"])
def test_nobody_can_overlook_a_gap(overwriting: BroadcastRing, verb: str) -> None:
    calls: dict[str, Callable[[BroadcastRing], Any]] = {
        "receive": lambda r: r.receive(timeout=0),
        "try_receive": lambda r: r.try_receive(),
        "receive_into": lambda r: r.receive_into(bytearray(100), timeout=0),
        "receive_many": lambda r: r.receive_many(3, timeout=0),
        "iteration": lambda r: next(iter(r)),
    }
    with reader_of(overwriting) as reader:
        overwriting.send_many([bytes(50)] * 200)
        with pytest.raises(MessagesLostError) as caught:
            calls[verb](reader)
        assert caught.value.lost + reader.depth == 200
        assert calls[verb](reader)


def test_loop_over_a_ring_that_overwrites_sees_every_gap(overwriting: BroadcastRing) -> None:
    with reader_of(overwriting) as reader:
        overwriting.send_many([index.to_bytes(4, "big") * 10 for index in range(500)])
        overwriting.close()
        numbers, lost = [], 0
        while True:
            try:
                numbers.extend(int.from_bytes(message[:4], "big") for message in reader)
                break
            except MessagesLostError as gap:
                lost += gap.lost
    assert numbers == list(range(lost, 500))
    assert lost


def test_slow_reader_is_disconnected_and_may_subscribe_again() -> None:
    with BroadcastRing.create(capacity=SMALL, slow_reader="disconnect") as ring, reader_of(ring) as reader:
        ring.send_many([bytes([index]) * 100 for index in range(100)])
        assert ring.consumers == 0
        for _ in range(2):
            with pytest.raises(DisconnectedError, match="subscribe again"):
                reader.receive(timeout=0)
            with pytest.raises(DisconnectedError):
                reader.try_receive()
        assert reader.subscribe(1) == 1
        assert reader.receive(timeout=0) == bytes([99]) * 100
        assert ring.consumers == 1
        assert ring.stat().lost > 50


def test_reservation_is_written_in_place(ring: BroadcastRing) -> None:
    with reader_of(ring) as reader, another(ring) as other:
        for index in range(100):
            with ring.reserve(100, timeout=0) as room:
                room.buf[:] = bytes([index]) * 100
                assert reader.try_receive() is None
                with pytest.raises(BusyError, match="reservation"):
                    ring.send(b"")
                assert not other.try_send(b"")
                with pytest.raises(StalledError, match="has not finished") as caught:
                    other.send(b"", timeout=0)
                assert caught.value.pid == os.getpid()
            assert reader.receive(timeout=0) == bytes([index]) * 100
        room = ring.reserve(8)
        room.buf[:3] = b"abc"
        room.commit(3)
        with pytest.raises(ZeroDivisionError), ring.reserve(8):
            raise ZeroDivisionError
        ring.reserve(8).abort()
        assert other.try_send(b"other")
        assert reader.receive_many(9) == [b"abc", b"other"]


def test_reservation_ends_in_another_thread(blocking: BroadcastRing) -> None:
    with reader_of(blocking) as reader:
        room = blocking.reserve(3)
        room.buf[:] = b"abc"
        thread = threading.Thread(target=room.commit)
        thread.start()
        thread.join()
        blocking.send(b"next", timeout=0)
        assert reader.receive_many(9) == [b"abc", b"next"]


def test_peek_lends_where_the_writer_waits(blocking: BroadcastRing) -> None:
    with reader_of(blocking) as reader:
        for index in range(100):
            blocking.send(bytes([index]) * 60)
            with reader.peek(timeout=0) as loan:
                assert bytes(loan.buf) == bytes([index]) * 60
                assert loan.buf.readonly
                with pytest.raises(BusyError, match="on loan"):
                    reader.receive()
                with pytest.raises(BusyError):
                    reader.subscribe()
        assert reader.try_receive() is None
        blocking.send(b"stays")
        with pytest.raises(ZeroDivisionError), reader.peek():
            raise ZeroDivisionError
        assert reader.receive(timeout=0) == b"stays"
        with pytest.raises(TimeoutExpired):
            reader.peek(timeout=0)


@pytest.mark.parametrize("policy", POLICIES[1:])
def test_peek_is_refused_where_the_writer_does_not_wait(policy: Any) -> None:
    with BroadcastRing.create(capacity=SMALL, slow_reader=policy) as ring:
        with pytest.raises(UnsupportedError, match="receive_into copies"):
            ring.peek()
        assert ring.consumers == 0


def test_close_with_views_of_a_claim_alive_is_refused(blocking: BroadcastRing) -> None:
    writer = another(blocking)
    room = writer.reserve(8)
    view = room.buf[2:4]
    with pytest.raises(BufferError, match="cannot close"):
        writer.close()
    view.release()
    writer.close()
    with pytest.raises(ClosedError):
        room.commit()
    blocking.send(b"on", timeout=0)


def test_buffer_that_is_too_small_leaves_the_message(ring: BroadcastRing) -> None:
    with reader_of(ring) as reader:
        ring.send(b"seven..")
        with pytest.raises(MessageTooLargeError, match=r"7 bytes, and the buffer 6"):
            reader.receive_into(bytearray(6), timeout=0)
        with pytest.raises(ValueError, match="writable"):
            reader.receive_into(b"1234567", timeout=0)  # type: ignore[arg-type]
        into = bytearray(9)
        assert reader.receive_into(into, timeout=0) == 7
        assert into == b"seven..\0\0"


def test_end_of_the_stream_comes_with_the_last_writer(ring: BroadcastRing) -> None:
    with reader_of(ring) as reader, another(ring) as other:
        with pytest.raises(TimeoutExpired):
            reader.receive(timeout=0)  # nobody has written yet
        ring.send(b"1")
        other.send(b"2")
        ring.close()
        assert reader.receive_many(9) == [b"1", b"2"]
        assert reader.try_receive() is None
        other.close()
        for _ in range(2):
            with pytest.raises(EndOfStreamError, match="the last writer closed"):
                reader.try_receive()
            with pytest.raises(EndOfStreamError):
                reader.receive()
        assert list(reader) == []


def test_ring_without_readers_keeps_the_newest_messages(ring: BroadcastRing) -> None:
    for index in range(1000):
        ring.send(index.to_bytes(4, "big"), timeout=0)
    assert ring.stat().used > SMALL * 7 // 8
    with another(ring) as late:
        found = late.subscribe(10000)
        assert found > SMALL // 24 * 7 // 8
        assert late.receive_many(10000) == [index.to_bytes(4, "big") for index in range(1000 - found, 1000)]


def test_numbers(ring: BroadcastRing) -> None:
    assert ring.capacity == SMALL
    assert ring.slow_reader in POLICIES
    assert (ring.producers, ring.consumers, ring.depth, ring.lost) == (0, 0, 0, 0)
    with reader_of(ring) as one, reader_of(ring) as two:
        ring.send_many([b"12345", b"", b"1"])
        one.receive_many(2)
        two.receive()
        stat = ring.stat()
        assert isinstance(stat, BroadcastStat)
        assert stat == BroadcastStat(
            capacity=SMALL,
            used=24 + 16 + 24,
            sent=3,
            received=3,
            bytes_sent=6,
            bytes_received=10,
            full_waits=0,
            empty_waits=0,
            wakes=0,
            lost=0,
            recoveries=0,
        )
        assert (one.depth, two.depth, ring.depth) == (1, 2, 0)
        assert (ring.producers, ring.consumers) == (1, 2)


def test_participants_are_limited() -> None:
    with BroadcastRing.create(capacity=SMALL, participants=2) as ring, reader_of(ring) as reader:
        ring.send(b"")
        with another(ring) as late:
            for call in (late.subscribe, late.receive, lambda: late.send(b""), late.try_receive):
                with pytest.raises(LimitError, match="create it with more"):
                    call()
            reader.close()
            late.subscribe(1)
            assert late.receive() == b""


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"capacity": 0}, ValueError, "capacity must be 1 to"),
        ({"capacity": (1 << 31) + 1}, ValueError, "capacity must be"),
        ({"capacity": 1.0}, TypeError, "capacity must be an int"),
        ({"participants": 0}, ValueError, "participants must be 1 to 4096"),
        ({"participants": 4097}, ValueError, "participants"),
        ({"slow_reader": "drop"}, ValueError, "slow_reader must be one of 'block', 'overwrite', 'disconnect'"),
        ({"slow_reader": None}, TypeError, "slow_reader must be a str"),
    ],
)
def test_bad_arguments_are_refused(arguments: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        BroadcastRing.create(**arguments)


def test_ring_of_another_kind_is_refused() -> None:
    name = unique_name()
    with (
        SpscRing.create(name, capacity=SMALL, unlink_on_close=True),
        pytest.raises(LayoutError, match="is not a broadcast ring"),
    ):
        BroadcastRing.open(name)


def test_timeouts_are_never_early(ring: BroadcastRing) -> None:
    with reader_of(ring) as reader:
        for timeout in (0, 0.01, 0.06):
            begin = time.monotonic()
            with pytest.raises(TimeoutExpired):
                reader.receive(timeout)
            assert time.monotonic() - begin >= timeout
        for bad in (-1, float("nan")):
            with pytest.raises(ValueError, match="timeout"):
                reader.receive(bad)
            with pytest.raises(ValueError, match="timeout"):
                ring.send(b"", bad)


def outcome_of_closing(ring: BroadcastRing, call: Callable[[BroadcastRing], object]) -> list[type[BaseException]]:
    """What *call* raises in another thread when its handle is closed while it waits."""
    waiting = another(ring)
    outcome: list[type[BaseException]] = []
    begun = threading.Event()
    ids: list[int] = []

    def wait() -> None:
        ids.append(threading.get_native_id())
        begun.set()
        try:
            call(waiting)
        except BaseException as error:
            outcome.append(type(error))

    thread = threading.Thread(target=wait)
    thread.start()
    begun.wait()
    wait_blocked(ids[0], "futex")
    waiting.close()
    thread.join(timeout=10)
    return outcome


def test_close_ends_the_waits_of_other_threads(blocking: BroadcastRing) -> None:
    with reader_of(blocking) as full:
        while blocking.try_send(bytes(100)):
            pass
        for call in (lambda h: h.receive(), lambda h: h.receive_many(3), lambda h: h.send(bytes(100))):
            assert outcome_of_closing(blocking, call) == [ClosedError]
        assert full.depth


def test_threads_share_a_handle() -> None:
    """Four of them at a time send and receive with one handle: every message once."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with BroadcastRing.create(capacity=1 << 14) as ring, reader_of(ring) as reader:
            received: list[bytes] = []

            def send(number: int) -> None:
                for index in range(2000):
                    ring.send(number.to_bytes(1, "big") + index.to_bytes(4, "big") * (1 + index % 9))

            def receive() -> None:
                received.extend(reader)

            receivers = [threading.Thread(target=receive) for _ in range(4)]
            senders = [threading.Thread(target=send, args=(number,)) for number in range(4)]
            for thread in receivers + senders:
                thread.start()
            for thread in senders:
                thread.join()
            ring.close()
            for thread in receivers:
                thread.join()
    finally:
        sys.setswitchinterval(interval)
    expected = [n.to_bytes(1, "big") + i.to_bytes(4, "big") * (1 + i % 9) for n in range(4) for i in range(2000)]
    assert sorted(received) == sorted(expected)
