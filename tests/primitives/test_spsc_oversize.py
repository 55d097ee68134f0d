"""What a ring's creator chose: for messages longer than the ring, and for a full ring whose consumer is gone."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipckit._names import unique_name
from ipckit._native_quick import lib as quick
from ipckit.errors import (
    BrokenPeerError,
    EndOfStreamError,
    LayoutError,
    LimitError,
    MessageTooLargeError,
    NotFoundError,
    PeerDiedError,
    TimeoutExpired,
)
from ipckit.ring import SpscRing
from ipckit.testing import pause
from tests.primitives.interrupting import interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.testing import Spawn

SMALL = 4096
LARGEST = SMALL - 8
LONG = os.urandom(50_000)


@pytest.fixture
def name() -> Iterator[str]:
    name = unique_name()
    yield name
    for path in files(name):
        path.unlink()


def files(name: str) -> list[Path]:
    return sorted(Path("/dev/shm").glob(f"ipckit.{name[1:]}*"))


def messages_of(name: str) -> list[Path]:
    return [path for path in files(name) if path.name != f"ipckit.{name[1:]}"]


@contextmanager
def sending(*actions: Callable[[], object]) -> Iterator[None]:
    thread = threading.Thread(target=lambda: [action() for action in actions])
    thread.start()
    yield
    thread.join()


@pytest.mark.parametrize("choice", ["fragments", "file"])
def test_long_messages_come_whole_and_in_order_among_short_ones(name: str, choice: Any) -> None:
    with SpscRing.create(name, capacity=SMALL, oversize=choice, unlink_on_close=True) as ring:
        expected = []
        for length in (0, LARGEST, LARGEST + 1, 2 * SMALL, 5, len(LONG)):
            expected += [LONG[:length]] * 4
        batch = [expected[i] for i in range(0, len(expected), 4)]
        ways = [lambda m: ring.send(m), lambda m: ring.send(bytearray(m)), lambda m: ring.send_many([m], timeout=20)]
        with sending(
            *[lambda m=m, way=way: way(m) for m in batch for way in (*ways, ways[0])],
            lambda: ring.send_many(batch, timeout=20),
            lambda: ring.send(memoryview(LONG).cast("B", (100, 500))),
        ):
            for i, message in enumerate(expected):
                if i % 4 == 0:
                    assert ring.receive(timeout=20) == message
                elif i % 4 == 1:
                    buffer = bytearray(len(LONG))
                    assert buffer[: ring.receive_into(buffer, timeout=20)] == message
                elif i % 4 == 2:
                    with ring.peek(timeout=20) as loan:
                        assert loan.buf.readonly
                        assert loan.buf == message
                else:
                    assert ring.receive_many(1, timeout=20) == [message]
            received: list[bytes] = []
            while len(received) < len(batch):
                received += ring.receive_many(10, timeout=20)
            assert received == batch
            assert ring.receive(timeout=20) == LONG
        stat = ring.stat()
        assert stat.sent == stat.received == len(expected) + len(batch) + 1
        assert stat.bytes_sent == sum(map(len, expected)) + sum(map(len, batch)) + len(LONG)
        assert (stat.used, stat.lost, ring.depth) == (0, 0, 0)
        assert messages_of(name) == []


def test_by_default_long_messages_are_refused_and_without_a_name_so_are_files() -> None:
    with SpscRing.create(capacity=SMALL) as ring, pytest.raises(MessageTooLargeError):
        ring.send(LONG)
    with pytest.raises(ValueError, match="oversize='file' needs a ring with a name"):
        SpscRing.create(oversize="file")
    with pytest.raises(ValueError, match="name must have at most 199 bytes"):
        SpscRing.create("/" + 200 * "n", oversize="file")
    for choice, error in (("files", ValueError), (None, TypeError), ("", ValueError)):
        for argument in ("oversize", "on_consumer_gone"):
            with pytest.raises(error, match=f"{argument} must be"):
                SpscRing.create(**{argument: choice})


def test_try_send_refuses_to_begin_what_takes_time(name: str) -> None:
    with SpscRing.create(capacity=SMALL, oversize="fragments") as ring:
        with pytest.raises(MessageTooLargeError):
            ring.try_send(LONG)
        with pytest.raises(MessageTooLargeError):
            ring.reserve(len(LONG))
        assert ring.stat().used == 0
    with SpscRing.create(name, capacity=SMALL, oversize="file", unlink_on_close=True) as ring:
        while ring.try_send(LONG):
            assert ring.depth <= SMALL // 32
        with pytest.raises(TimeoutExpired):
            ring.send(LONG, timeout=0.01)
        assert ring.depth == len(messages_of(name)) == SMALL // 32


def test_a_message_that_its_sender_gives_up_is_thrown_away_and_counted() -> None:
    with SpscRing.create(capacity=SMALL, oversize="fragments") as ring:
        for after in (
            lambda: ring.send(b"short"),
            lambda: ring.send_many([b"short"]),
            lambda: ring.reserve(5).commit(),
        ):
            lost = ring.stat().lost
            with pytest.raises(TimeoutExpired):
                ring.send(LONG, timeout=0)
            with pytest.raises(TimeoutExpired):
                ring.receive(timeout=0)  # it takes what there is
            assert ring.try_receive() is None
            after()
            assert len(ring.receive(timeout=0)) == 5
            assert ring.stat().lost == lost + 1
            with pytest.raises(TimeoutExpired):
                ring.send(LONG, timeout=0)
            with sending(lambda: ring.send(LONG[::-1], timeout=20)):
                assert ring.receive(timeout=20) == LONG[::-1]
            assert (ring.stat().lost, ring.depth) == (lost + 2, 0)


def test_a_receive_whose_time_is_up_goes_on_where_it_was() -> None:
    with SpscRing.create(capacity=SMALL, oversize="fragments") as ring:
        taken: list[bytes | None] = []
        with sending(lambda: ring.send(LONG, timeout=20)):
            while not any(taken):
                taken.append(ring.try_receive())
        assert taken[-1] == LONG
        with pytest.raises(TimeoutExpired):
            ring.send(LONG, timeout=0)
        assert ring.try_receive() is None  # it takes the beginning
        with pytest.raises(TimeoutExpired):
            ring.receive_into(bytearray(9), timeout=0)
        with pytest.raises(TimeoutExpired):
            ring.peek(timeout=0)
        with sending(lambda: ring.send(LONG[::-1], timeout=20)):
            assert ring.peek(timeout=20).__exit__(ValueError, None, None) is None
            buffer = bytearray(len(LONG))
            assert ring.receive_into(buffer, timeout=20) == len(LONG)
        assert buffer == LONG[::-1]
        assert (ring.stat().lost, ring.depth) == (1, 0)


def test_a_message_that_is_not_taken_stays_whatever_it_came_in(name: str) -> None:
    for choice in ("fragments", "file"):
        with SpscRing.create(name, capacity=SMALL, oversize=choice, unlink_on_close=True) as ring:  # type: ignore[arg-type]
            with sending(lambda ring=ring: ring.send(LONG, timeout=20)):
                with pytest.raises(MessageTooLargeError, match="50000 bytes, and the buffer 9"):
                    ring.receive_into(bytearray(9), timeout=20)
                with pytest.raises(ZeroDivisionError), ring.peek(timeout=20) as loan:
                    raise ZeroDivisionError
                loan = ring.peek(timeout=20)
                part = loan.buf[1:]
                for end in (loan.release, ring.close):
                    with pytest.raises(BufferError):
                        end()
                assert part == LONG[1:]
                del part
                loan.release()
            assert ring.try_receive() is None
            assert ring.stat().received == 1


def send_part(ring: SpscRing, flags: int, part: bytes) -> None:
    assert quick.ipk_spsc_try_send_part(ring._ring, part, len(part), flags, 0) == 0


def send_and_stay(ring: SpscRing, message: bytes) -> None:
    ring.send(message)
    pause("sent")


def take_a_part_and_stay(ring: SpscRing) -> None:
    assert ring.try_receive() is None
    pause("taken")


@pytest.mark.slow
def test_what_a_killed_producer_had_begun_is_thrown_away(spawn: Spawn) -> None:
    with SpscRing.create(capacity=SMALL, oversize="fragments") as ring:
        producer = spawn(send_and_stay, ring, LONG)
        producer.wait_blocked("futex")
        producer.kill()
        with pytest.raises(PeerDiedError):
            ring.receive(timeout=20)
        assert (ring.stat().lost, ring.depth) == (1, 0)
        ring.send(b"by a successor")
        assert ring.receive(timeout=0) == b"by a successor"
        assert ring.stat().recoveries == 1


@pytest.mark.slow
def test_the_rest_of_what_a_killed_consumer_had_begun_is_skipped(spawn: Spawn) -> None:
    with SpscRing.create(capacity=SMALL, oversize="fragments") as ring:
        begins, middle, ends = 1, 3, 2
        send_part(ring, begins, (12).to_bytes(8, "little") + b"four")
        consumer = spawn(take_a_part_and_stay, ring)
        consumer.wait_reached("taken")
        consumer.kill()
        consumer.join()
        send_part(ring, middle, b"four")
        send_part(ring, ends, b"four")
        ring.send(b"next")
        assert ring.receive(timeout=20) == b"next"
        assert (ring.stat().lost, ring.depth, ring.stat().received, ring.stat().sent) == (1, 0, 1, 2)


def test_fragments_that_do_not_fit_together_are_a_layout_error_once(name: str) -> None:
    with SpscRing.create(name, capacity=SMALL, oversize="fragments", unlink_on_close=True) as ring:
        begins, middle, ends, file = 1, 3, 2, 4
        total = (20).to_bytes(8, "little")
        cases = [
            [(begins, b"short")],
            [(begins, (1 << 60).to_bytes(8, "little"))],
            [(begins, total + bytes(21))],
            [(begins, total + bytes(20))],
            [(begins, total + bytes(5)), (ends, bytes(14))],
            [(begins, total + bytes(5)), (ends, bytes(16))],
            [(begins, total + bytes(5)), (middle, bytes(15))],
        ]
        for case in cases:
            lost = ring.stat().lost
            for flags, part in case:
                send_part(ring, flags, part)
            ring.send(b"next")
            with pytest.raises(LayoutError, match="parts of a message"):
                ring.receive(timeout=0)
            assert ring.stat().lost > lost
            assert ring.receive(timeout=0) == b"next"
        assert quick.ipk_spsc_try_send_part(ring._ring, b"", 0, file, 0) < 0


def test_files_are_swept_by_whoever_comes_next(name: str) -> None:
    with SpscRing.create(name, capacity=SMALL, oversize="file", unlink_on_close=True) as ring:
        ring.send(LONG)
        (path,) = messages_of(name)
        stem, position, nonce = path.name[:-32], path.name[-32:-16], path.name[-16:]
        before = path.with_name(f"{stem}{2**64 - 8:016x}{nonce}")
        behind = path.with_name(f"{stem}{int(position, 16) + 64:016x}{nonce}")
        foreign = path.with_name(path.name + "0")
        for stray in (before, behind, foreign):
            stray.touch()
        SpscRing.open(name).close()
        assert messages_of(name) == sorted([path, behind, foreign])  # its sender may be just about to tell of it
        foreign.unlink()
        with SpscRing.open(name) as consumer:
            ring.close()
            assert messages_of(name) == []  # and the name with it
            with pytest.raises(EndOfStreamError):
                consumer.receive(timeout=0)
            assert consumer.stat().lost == 1


def test_a_file_that_is_gone_is_a_lost_message_and_a_wrong_one_a_layout_error(name: str) -> None:
    with SpscRing.create(name, capacity=SMALL, oversize="file", unlink_on_close=True) as ring:
        ring.send(LONG)
        ring.send(b"next")
        messages_of(name)[0].unlink()
        assert ring.receive(timeout=0) == b"next"
        assert (ring.stat().lost, ring.depth) == (1, 0)
        for spoil in (
            lambda path: path.write_bytes(b"short"),
            lambda path: (path.unlink(), path.symlink_to("/etc/passwd")),
        ):
            ring.send(LONG)
            ring.send(b"next")
            spoil(messages_of(name)[0])
            with pytest.raises((LayoutError, OSError)):
                ring.receive(timeout=0)
            for path in messages_of(name):
                path.unlink()
            assert ring.receive(timeout=0) == b"next"
        assert ring.depth == 0


def test_a_ring_with_files_is_found_by_its_descriptor_while_it_has_its_name(name: str) -> None:
    with SpscRing.create(name, capacity=SMALL, oversize="file") as ring:
        ring.send(LONG)
        with SpscRing.from_fd(os.dup(ring.fileno())) as other:
            assert other.receive(timeout=0) == LONG
        ring.unlink()
        with pytest.raises(NotFoundError, match="needs its name"):
            SpscRing.from_fd(os.dup(ring.fileno()))


def test_no_memory_for_a_file_is_a_limit_error_and_nothing_is_sent(name: str) -> None:
    import resource
    import signal

    with SpscRing.create(name, capacity=SMALL, oversize="file", unlink_on_close=True) as ring:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
        try:
            with pytest.raises((LimitError, OSError)):
                ring.send(LONG)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)
        assert (ring.depth, ring.stat().used, messages_of(name)) == (0, 0, [])
        ring.send(LONG)
        assert ring.receive(timeout=0) == LONG


@pytest.mark.parametrize("choice", ["block", "error", "drop"])
def test_what_a_full_ring_without_its_consumer_does_is_as_chosen(name: str, choice: Any) -> None:
    with SpscRing.create(name, capacity=SMALL, on_consumer_gone=choice, unlink_on_close=True) as ring:
        with SpscRing.open(name) as consumer:
            assert consumer.try_receive() is None
        while ring.stat().used < SMALL:
            ring.send(bytes(56))  # while there is room, for a successor
        timeout = 0.06 if choice == "block" else 20
        sends: list[Callable[[], object]] = [
            lambda: ring.send(b"x", timeout),
            lambda: ring.send(bytearray(1), timeout),
            lambda: ring.send_many([b"x"], timeout),
            lambda: ring.reserve(1, timeout).commit(),
        ]
        for send in sends:
            if choice == "drop":
                send()
            else:
                with pytest.raises(TimeoutExpired if choice == "block" else BrokenPeerError):
                    send()
        assert ring.try_send(b"x") is (choice == "drop")
        assert ring.stat().lost == (5 if choice == "drop" else 0)
        assert ring.depth == SMALL // 64
        with SpscRing.open(name) as successor:
            assert successor.receive(timeout=0) == bytes(56)
            assert ring.try_send(b"x")
            if choice == "block":
                ring.send(bytes(40), timeout=20)
                with sending(lambda: ring.send(bytes(56), timeout=20)):
                    for _ in range(SMALL // 64 + 2):
                        assert successor.receive(timeout=20) is not None


@pytest.mark.skipif(
    find_spec("ipckit._lane") is None, reason="calls on cffi are several, and a handler may raise between"
)
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("message", [LONG, LONG[:LARGEST]], ids=["long", "short"])
def test_a_handler_that_raises_at_any_moment_leaves_neither_end_taken(name: str, message: bytes) -> None:
    def receive_into(size: int) -> None:
        with suppress(MessageTooLargeError):
            ring.receive_into(bytearray(size), timeout=0)

    with SpscRing.create(name, capacity=SMALL, oversize="file", unlink_on_close=True) as ring:
        actions: list[Callable[[], object]] = [
            ring.try_receive,
            lambda: receive_into(len(message)),
            lambda: receive_into(len(message) - 1),
            lambda: ring.receive_many(2, timeout=0),
            lambda: ring.peek(timeout=0).release(),
        ]
        for moment in count(1):
            there_was = interrupted(moment, lambda: ring.send(message, timeout=0))
            while ring.try_receive() is not None:
                pass
            if not there_was:
                break
        for action in actions:
            for moment in count(1):
                assert ring.try_send(message)
                there_was = interrupted(moment, action)
                while ring.try_receive() is not None:
                    pass
                if not there_was:
                    break
    assert not messages_of(name)
