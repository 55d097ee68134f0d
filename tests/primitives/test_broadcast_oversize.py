"""Messages longer than half of a BroadcastRing: in fragments or in files, for all readers, whoever is killed when."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipckit._names import unique_name
from ipckit._native import ffi
from ipckit._native_quick import lib as quick
from ipckit.errors import (
    BusyError,
    DisconnectedError,
    EndOfStreamError,
    LayoutError,
    MessagesLostError,
    MessageTooLargeError,
    PeerDiedError,
    StalledError,
    TimeoutExpired,
)
from ipckit.ring import BroadcastRing
from ipckit.ring import _broadcast_handle as handles
from ipckit.ring._broadcast_lane import CffiLane
from ipckit.testing import pause, reached, wait_blocked
from tests.primitives.interrupting import interrupted, uncollected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.testing import Spawn

SMALL = 4096
LARGEST = SMALL // 2 - 16
PART = SMALL // 4 - 64
LONG = bytes(range(250)) * 80
HALF = bytes(range(250)) * 9  # longer than a message may be, and all of its fragments fit into the ring


@pytest.fixture(params=["compiled", "cffi"], autouse=True)
def lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test runs on the compiled lane, and on the one for installations without it."""
    if request.param == "cffi":
        monkeypatch.setattr(handles, "lane_of", CffiLane)
        monkeypatch.setattr(handles, "_CLOSED_LANE", CffiLane(handles._CORE.closed))
    return request.param


@pytest.fixture
def in_parts() -> Iterator[BroadcastRing]:
    with BroadcastRing.create(capacity=SMALL, oversize="fragments") as ring:
        yield ring


@pytest.fixture(params=["block", "overwrite", "disconnect"])
def in_files(request: pytest.FixtureRequest) -> Iterator[BroadcastRing]:
    name = unique_name()
    with BroadcastRing.create(
        name, capacity=SMALL, slow_reader=request.param, oversize="file", unlink_on_close=True
    ) as ring:
        yield ring
    assert not files(name)


def files(name: str) -> list[Path]:
    return sorted(Path("/dev/shm").glob(f"ipckit.{name[1:]}.*"))


def reader_of(ring: BroadcastRing, history: int = 0) -> BroadcastRing:
    reader = BroadcastRing.from_fd(os.dup(ring.fileno())) if not ring.name else BroadcastRing.open(ring.name)
    reader.subscribe(history)
    return reader


def in_thread(function: Any, *args: Any) -> threading.Thread:
    thread = threading.Thread(target=function, args=args, daemon=True)
    thread.start()
    return thread


def test_choices() -> None:
    with BroadcastRing.create(capacity=SMALL) as ring, pytest.raises(MessageTooLargeError, match="20000 bytes"):
        ring.send(LONG)
    with pytest.raises(ValueError, match="needs a ring with a name"):
        BroadcastRing.create(oversize="file")
    for policy in ("overwrite", "disconnect"):
        with pytest.raises(ValueError, match="oversize='fragments' needs slow_reader='block'"):
            BroadcastRing.create(slow_reader=policy, oversize="fragments")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="oversize must be one of"):
        BroadcastRing.create(oversize="memfd")  # type: ignore[arg-type]


# In fragments.


def test_every_reader_gets_long_and_short_messages_in_order(in_parts: BroadcastRing) -> None:
    messages = [b"first", LONG, b"", LONG[:LARGEST], HALF, LONG[: LARGEST + 1], LONG[: 3 * PART], b"last"]
    received: list[list[bytes]] = [[], []]

    def receive(reader: BroadcastRing, into: list[bytes]) -> None:
        into += reader

    readers = [reader_of(in_parts), reader_of(in_parts)]
    threads = [in_thread(receive, reader, into) for reader, into in zip(readers, received, strict=True)]
    for message in messages[:4]:
        in_parts.send(message, 10.0)
    in_parts.send(bytearray(messages[4]), 10.0)
    in_parts.send_many(messages[5:], 10.0)
    stat = in_parts.stat()
    assert (stat.sent, stat.bytes_sent) == (8, sum(map(len, messages)))
    in_parts.close()
    for thread in threads:
        thread.join(10.0)
    assert received == [messages, messages]
    stat = readers[0].stat()
    assert (stat.received, stat.bytes_received, stat.lost) == (16, 2 * sum(map(len, messages)), 0)
    for reader in readers:
        reader.close()


def test_what_fits_into_the_ring_needs_no_reader_at_work(in_parts: BroadcastRing) -> None:
    with reader_of(in_parts) as reader, reader_of(in_parts) as other:
        in_parts.send(HALF, 0)
        in_parts.send(b"short", 0)
        assert reader.depth == 2
        with pytest.raises(MessageTooLargeError, match="2250 bytes, and the buffer 10"):
            reader.receive_into(bytearray(10), 0)
        into = bytearray(3000)
        assert reader.receive_into(into, 0) == len(HALF)
        assert into[: len(HALF)] == HALF
        assert reader.receive_many(9, 0) == [b"short"]
        assert other.receive_many(9, 0) == [HALF]
        assert other.try_receive() == b"short"
        assert reader.try_receive() is other.try_receive() is None


def test_on_loan(in_parts: BroadcastRing) -> None:
    with reader_of(in_parts) as reader:
        in_parts.send(HALF, 0)
        in_parts.send(b"short", 0)
        for _ in range(2):
            with pytest.raises(RuntimeError), reader.peek(0) as loan:
                assert loan.buf == HALF
                assert loan.buf.readonly
                with pytest.raises(BusyError):
                    reader.receive(0)
                raise RuntimeError
        with reader.peek(0) as loan:
            assert loan.buf == HALF
        assert reader.stat().received == 1
        assert reader.stat().bytes_received == len(HALF)
        assert reader.receive(0) == b"short"


def test_history_begins_with_whole_messages(in_parts: BroadcastRing) -> None:
    in_parts.send(b"gone soon", 0)
    in_parts.send(LONG, 0)  # nobody reads: the end of it is all that is left
    with reader_of(in_parts) as late:
        assert late.subscribe(9) == 0
        assert late.try_receive() is None
        in_parts.send(b"short", 0)
        in_parts.send(HALF, 0)
        assert late.subscribe(1) == 1
        assert late.receive(0) == HALF
        assert late.subscribe(9) == 2
        assert late.receive(0) == b"short"
        assert late.receive(0) == HALF


def test_try_send_refuses_as_fragments_take_time(in_parts: BroadcastRing) -> None:
    with pytest.raises(MessageTooLargeError):
        in_parts.try_send(HALF)
    with pytest.raises(MessageTooLargeError):
        in_parts.reserve(len(HALF))


def test_a_message_that_is_given_up_never_was(in_parts: BroadcastRing) -> None:
    with reader_of(in_parts) as reader, reader_of(in_parts) as other, reader_of(in_parts) as third:
        with pytest.raises(TimeoutExpired):
            in_parts.send(LONG, 0.01)
        assert reader.try_receive() is None  # it has the beginning now
        with reader_of(in_parts) as late:
            assert late.subscribe(9) == 0
            in_parts.send(b"plain", 0)
            assert late.receive(0) == b"plain"
        assert reader.receive(0) == other.receive(0) == b"plain"
        with pytest.raises(TimeoutExpired):
            in_parts.send(LONG, 0.01)
        assert third.receive(0) == b"plain"
        assert reader.try_receive() is other.try_receive() is third.try_receive() is None
        in_parts.send(HALF, 0)
        assert reader.receive(0) == other.receive(0) == third.receive(0) == HALF
        stat = in_parts.stat()
        assert (stat.sent, stat.received, stat.lost) == (2, 7, 0)


def test_other_writers_wait_until_it_is_complete(in_parts: BroadcastRing) -> None:
    """So nothing comes between the fragments, and an error names who has not finished."""
    with reader_of(in_parts) as reader, BroadcastRing.from_fd(os.dup(in_parts.fileno())) as other:
        writing = in_thread(in_parts.send, LONG)
        wait_blocked(writing.native_id or 0, "futex")
        assert not other.try_send(b"short")
        with pytest.raises(StalledError) as stalled:
            other.send(b"short", 0.01)
        assert stalled.value.pid == os.getpid()
        later = in_thread(other.send, b"after it")
        assert reader.receive(10.0) == LONG
        assert reader.receive(10.0) == b"after it"
        writing.join(10.0)
        later.join(10.0)


def test_a_reader_that_begins_amid_a_message_gets_the_next(in_parts: BroadcastRing) -> None:
    with reader_of(in_parts) as reader:
        writing = in_thread(in_parts.send, LONG)
        wait_blocked(writing.native_id or 0, "futex")
        late = reader_of(in_parts)
        received: list[bytes] = []
        reading = in_thread(lambda: received.append(late.receive(10.0)))
        assert reader.receive(10.0) == LONG
        writing.join(10.0)
        in_parts.send(b"the next", 10.0)  # it may have to wait until the other one has passed the last fragments
        reading.join(10.0)
        assert received == [b"the next"]
        late.close()


def test_close_ends_a_send_that_is_amid_a_message(in_parts: BroadcastRing) -> None:
    failures: list[BaseException] = []

    def send(ring: BroadcastRing) -> None:
        try:
            ring.send(LONG)
        except ValueError as error:
            failures.append(error)

    with reader_of(in_parts) as reader, BroadcastRing.from_fd(os.dup(in_parts.fileno())) as other:
        writing = in_thread(send, other)
        wait_blocked(writing.native_id or 0, "futex")
        other.close()
        writing.join(10.0)
        assert len(failures) == 1
        in_parts.send(b"plain", 10.0)
        assert reader.receive(0) == b"plain"


def test_threads_share_out_whole_messages(in_parts: BroadcastRing) -> None:
    received: list[bytes] = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        reader = reader_of(in_parts)

        def receive() -> None:
            received.extend(reader)

        threads = [in_thread(receive) for _ in range(4)]
        expected = [bytes([n]) * (n * 997 % 9000) for n in range(60)]
        for message in expected:
            in_parts.send(message, 20.0)
        in_parts.close()
        for thread in threads:
            thread.join(20.0)
        assert sorted(received) == sorted(expected)
        reader.close()
    finally:
        sys.setswitchinterval(interval)


def send_long(ring: BroadcastRing) -> None:
    reached("sending")
    ring.send(LONG)


def test_a_writer_that_is_killed_amid_a_message(in_parts: BroadcastRing, spawn: Spawn) -> None:
    """There never was a message: the next writer goes on, and nobody gets half of anything."""
    with reader_of(in_parts) as reader, reader_of(in_parts) as other:
        child = spawn(send_long, in_parts)
        child.wait_reached("sending")
        child.wait_blocked("futex")  # readers have to make room
        assert other.try_receive() is None  # it has the beginning
        child.wait_blocked("futex")
        child.kill()
        child.join()
        in_parts.send(b"plain", 10.0)
        assert reader.receive(0) == other.receive(0) == b"plain"
        in_parts.send(HALF, 0)
        assert reader.receive(0) == other.receive(0) == HALF
        assert in_parts.stat()[2:4] == (2, 4)


def test_the_last_writer_is_killed_amid_a_message(in_parts: BroadcastRing, spawn: Spawn) -> None:
    reader = reader_of(in_parts)
    child = spawn(send_long, in_parts)
    child.wait_reached("sending")
    child.wait_blocked("futex")
    child.kill()
    child.join()
    with pytest.raises(PeerDiedError):
        reader.receive(10.0)
    in_parts.send(HALF, 10.0)  # a successor
    assert reader.receive(0) == HALF
    reader.close()


def read_slowly(ring: BroadcastRing) -> None:
    ring.subscribe()
    pause("subscribed")
    ring.receive()


def test_a_reader_that_is_killed_amid_a_message(in_parts: BroadcastRing, spawn: Spawn) -> None:
    with reader_of(in_parts) as reader:
        child = spawn(read_slowly, in_parts)
        child.wait_reached("subscribed")
        writing = in_thread(in_parts.send, LONG)
        wait_blocked(writing.native_id or 0, "futex")
        child.kill()
        child.join()
        assert reader.receive(10.0) == LONG
        writing.join(10.0)


# In files.


def test_every_reader_reads_the_same_file(in_files: BroadcastRing) -> None:
    with reader_of(in_files) as reader, reader_of(in_files) as other:
        in_files.send(b"first", 0)
        in_files.send(LONG, 0)
        assert in_files.try_send(bytearray(LONG[:5000]))
        in_files.send_many([b"third", HALF], 0)
        assert len(files(in_files.name)) == 3
        assert reader.receive(0) == b"first"
        assert reader.receive(0) == LONG
        assert reader.receive_many(9, 0) == [LONG[:5000]]
        assert reader.try_receive() == b"third"
        with pytest.raises(MessageTooLargeError, match="2250 bytes, and the buffer 10"):
            reader.receive_into(bytearray(10), 0)
        into = bytearray(3000)
        assert reader.receive_into(into, 0) == len(HALF)
        assert into[: len(HALF)] == HALF
        assert [other.receive(0) for _ in range(5)] == [b"first", LONG, LONG[:5000], b"third", HALF]
        stat = in_files.stat()
        assert (stat.sent, stat.bytes_sent) == (5, 10 + len(LONG) + 5000 + len(HALF))
        assert (stat.received, stat.bytes_received) == (10, 2 * stat.bytes_sent)


def test_history_goes_back_over_files(in_files: BroadcastRing) -> None:
    in_files.send(LONG, 0)
    in_files.send(b"second", 0)
    with reader_of(in_files, 2) as late:
        assert late.receive(0) == LONG
        assert late.receive(0) == b"second"


def test_no_more_than_eight_are_retained(in_files: BroadcastRing) -> None:
    for number in range(40):
        in_files.send(LONG + bytes([number]), 0)
    assert len(files(in_files.name)) <= 9
    with reader_of(in_files, 99) as late:
        received = [late.receive(0)[-1] for _ in range(late.depth)]
    assert received == list(range(40 - len(received), 40))
    assert 6 <= len(received) <= 8


def test_files_go_when_the_ring_has_got_past_them(in_files: BroadcastRing) -> None:
    in_files.send(LONG, 0)
    in_files.send_many([bytes(100)] * 100, 0)
    assert len(files(in_files.name)) == 1
    BroadcastRing.open(in_files.name).close()
    assert not files(in_files.name)
    in_files.send(LONG, 0)
    in_files.send_many([bytes(100)] * 100, 0)
    in_files.send(HALF, 0)
    assert [file.stat().st_size for file in files(in_files.name)] == [len(HALF)]


def test_a_reader_of_files_that_is_slow(in_files: BroadcastRing) -> None:
    with reader_of(in_files) as reader:
        if in_files.slow_reader == "block":
            sent = 0
            while in_files.try_send(LONG):
                sent += 1
            assert sent == 8
            with pytest.raises(TimeoutExpired):
                in_files.send(LONG, 0.01)
            assert len(files(in_files.name)) == 8
        else:
            for _ in range(20):
                in_files.send(LONG, 0)
            if in_files.slow_reader == "overwrite":
                with pytest.raises(MessagesLostError) as gap:
                    reader.receive(0)
                assert gap.value.lost == 20 - reader.depth
            else:
                with pytest.raises(DisconnectedError):
                    reader.receive(0)
                assert reader.subscribe(7) == 7
        assert reader.receive_many(9, 0) == [LONG]
        for _ in range(reader.depth):
            assert reader.receive(0) == LONG
        assert reader.try_receive() is None


def test_a_file_on_loan() -> None:
    name = unique_name()
    with BroadcastRing.create(name, capacity=SMALL, oversize="file", unlink_on_close=True) as ring:
        reader = reader_of(ring)
        ring.send(LONG, 0)
        with pytest.raises(RuntimeError), reader.peek(0) as loan:
            raise RuntimeError
        with reader.peek(0) as loan:
            assert loan.buf == LONG
        assert reader.try_receive() is None
        assert reader.stat().bytes_received == len(LONG)
        reader.close()


def test_a_file_that_is_not_what_was_announced_is_refused(in_files: BroadcastRing) -> None:
    with reader_of(in_files) as reader:
        in_files.send(LONG, 0)
        in_files.send(LONG, 0)
        in_files.send(b"the next", 0)
        one, other = files(in_files.name)
        os.truncate(one, 10)
        other.unlink()
        with pytest.raises(LayoutError, match="is not the message of 20000 bytes"):
            reader.receive(0)
        with pytest.raises(LayoutError, match="somebody has removed the file"):
            reader.receive(0)
        assert reader.receive(0) == b"the next"
        assert reader.stat().lost == 2


def write_and_wait(ring: BroadcastRing) -> None:
    """What `send` of a long message does, up to the commit."""
    assert ring._long is not None
    assert ring._long._files is not None
    claim = ffi.new("struct ipk_broadcast_claim *")
    assert quick.ipk_broadcast_try_reserve(ring._ring, 496, claim) == 0
    ring._long._files.write(memoryview(LONG), claim.position)
    pause("written")


def test_a_writer_that_is_killed_before_the_commit(in_files: BroadcastRing, spawn: Spawn) -> None:
    with reader_of(in_files) as reader:
        child = spawn(write_and_wait, in_files)
        child.wait_reached("written")
        with BroadcastRing.open(in_files.name):
            assert len(files(in_files.name)) == 1  # its writer lives
        child.kill()
        child.join()
        with pytest.raises(PeerDiedError):
            reader.receive(10.0)
        assert not files(in_files.name)
        in_files.send(HALF, 10.0)
        assert reader.receive(0) == HALF


def test_what_is_retained_outlives_its_writer_and_goes_with_the_ring() -> None:
    with BroadcastRing.create(unique_name(), capacity=SMALL, oversize="file") as ring:
        ring.send(LONG)
        name = ring.name
    assert len(files(name)) == 1
    with BroadcastRing.open(name) as late:
        assert late.subscribe(1) == 1
        assert late.receive(0) == LONG
        late.unlink()
    assert not files(name)


def test_a_full_file_system_leaves_nothing(in_files: BroadcastRing, monkeypatch: pytest.MonkeyPatch) -> None:
    assert in_files._long is not None
    spill = in_files._long._files
    assert spill is not None

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with reader_of(in_files) as reader:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", fail)
            with pytest.raises(OSError, match=r"No space left .*/dev/shm is full"):
                in_files.send(LONG, 0)
        assert not files(in_files.name)
        in_files.send(b"plain", 0)
        assert reader.receive(0) == b"plain"


def exchange(ring: BroadcastRing, number: int) -> None:
    for n in range(number):
        ring.send(bytes([n % 256]) * (10 + 700 * (n % 7)))


@pytest.mark.slow
@pytest.mark.parametrize("oversize", ["fragments", "file"])
def test_several_writers_between_processes(spawn: Spawn, oversize: Any) -> None:
    with BroadcastRing.create(unique_name(), capacity=SMALL, oversize=oversize, unlink_on_close=True) as ring:
        ring.send(b"a writer that stays: or it were the end of the stream when one child has sent all before the other")
        readers = [reader_of(ring), reader_of(ring)]
        seen: list[list[int]] = [[], []]

        def receive(reader: BroadcastRing, into: list[int]) -> None:
            for _ in range(120):
                message = reader.receive(20.0)
                assert message == message[:1] * (10 + 700 * (message[0] % 7))
                into.append(message[0])

        threads = [in_thread(receive, *pair) for pair in zip(readers, seen, strict=True)]
        children = [spawn(exchange, ring, 60) for _ in range(2)]
        for thread in threads:
            thread.join(30.0)
        for child in children:
            child.join()
        assert seen[0] == seen[1]
        assert sorted(seen[0]) == sorted(2 * list(range(60)))
        for reader in readers:
            reader.close()


def test_the_end_of_the_stream_forgets_a_beginning(in_parts: BroadcastRing) -> None:
    with reader_of(in_parts) as reader:
        with pytest.raises(TimeoutExpired):
            in_parts.send(LONG, 0.01)
        in_parts.close()
        with pytest.raises(EndOfStreamError):
            reader.receive(10.0)
        assert reader._long is not None
        assert not reader._long._assembly.begun


class Interruption(Exception):
    """What the handler of a timer's signal raises."""


@pytest.mark.slow
def test_an_exception_of_a_signal_handler_amid_fragments() -> None:
    """A message that `send` was in the middle of is received as a whole, or never was; the others all are."""

    def interrupt(*_: Any) -> None:
        raise Interruption

    received: list[bytes] = []
    sent = []
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with BroadcastRing.create(capacity=SMALL, oversize="fragments") as ring, uncollected():
            reader = reader_of(ring)
            reading = in_thread(lambda: received.extend(reader))
            for number in range(300):
                message = number.to_bytes(4, "big") * (550 + number * 13 % 2000)
                try:
                    signal.setitimer(signal.ITIMER_REAL, 5e-5 * (1 + number % 40))
                    ring.send(message)
                    sent.append(message)
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except Interruption:
                    continue
            ring.send(b"the last")
        reading.join(20.0)
        reader.close()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert received.pop() == b"the last"
    numbers = [int.from_bytes(message[:4], "big") for message in received]
    assert numbers == sorted(set(numbers))
    assert all(
        message == message[:4] * (550 + number * 13 % 2000) for number, message in zip(numbers, received, strict=True)
    )
    assert set(sent) <= set(received)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("choice", ["fragments", "file"])
def test_a_handler_that_raises_at_any_moment_leaves_neither_side_taken(choice: Any) -> None:
    def receive_into(size: int) -> None:
        with suppress(MessageTooLargeError):
            ring.receive_into(bytearray(size), timeout=0)

    def is_usable() -> bool:
        while ring.try_receive() is not None:
            pass
        return ring.try_send(b"next") and ring.try_receive() == b"next"

    name = unique_name()
    with BroadcastRing.create(name, capacity=SMALL, oversize=choice, unlink_on_close=True) as ring:
        ring.subscribe()
        actions: list[Callable[[], object]] = [
            lambda: ring.send(HALF, timeout=0),
            ring.try_receive,
            lambda: receive_into(len(HALF)),
            lambda: receive_into(len(HALF) - 1),
            lambda: ring.receive_many(2, timeout=0),
            lambda: ring.peek(timeout=0).release(),
        ]
        for action in actions:
            there_was = True
            moments = count(1)
            while there_was:
                if action is not actions[0]:
                    ring.send(HALF, timeout=0)
                there_was = interrupted(next(moments), action)
                assert is_usable()
    assert not files(name)
