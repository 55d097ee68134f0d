"""Latest within one process: values in and out, newness, in place, limits, errors, threads; on both lanes."""

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
    EndOfStreamError,
    LayoutError,
    MessageTooLargeError,
    NotFoundError,
    TimeoutExpired,
    UnsupportedError,
)
from ipckit.ring import Latest, SpscRing, latest
from ipckit.ring._latest_lane import CffiLane
from ipckit.testing import wait_blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX = 1000


@pytest.fixture(params=["compiled", "cffi"], autouse=True)
def lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test runs on the compiled lane, and on the one for installations without it."""
    if request.param == "cffi":
        monkeypatch.setattr(latest, "lane_of", CffiLane)
        monkeypatch.setattr(latest, "_CLOSED_LANE", CffiLane(latest._CORE.closed))
    return request.param


@pytest.fixture
def value() -> Iterator[Latest]:
    with Latest.create(max_size=MAX) as handle:
        yield handle


def another(handle: Latest) -> Latest:
    return Latest.from_fd(os.dup(handle.fileno()))


def test_it_is_the_lane_under_test_that_runs(value: Latest, lane: str) -> None:
    assert type(value._lane).__name__ == {"compiled": "LatestLane", "cffi": "CffiLane"}[lane]


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 63, 64, 65, MAX - 1, MAX])
def test_value_of_each_length_comes_whole_from_each_buffer(value: Latest, length: int) -> None:
    for number in range(1, 7):
        content = os.urandom(length)
        value.send(content)
        assert value.receive(timeout=0) == content
        assert value.read() == content
        assert value.seen == number


def test_only_the_newest_is_there_and_receive_returns_it_once(value: Latest) -> None:
    assert value.read() is None
    assert value.try_receive() is None
    for content in (b"one", b"two", b""):
        value.send(content)
    assert value.read() == b""
    assert value.try_receive() is None  # read has returned it
    with another(value) as other:
        assert other.try_receive() == b""  # new to this handle
        assert other.try_receive() is None
        with pytest.raises(TimeoutExpired):
            other.receive(timeout=0)
        assert (other.seen, value.seen) == (3, 3)


def test_what_lies_before_the_first_is_skipped_and_counted_by_numbers(value: Latest) -> None:
    value.send(b"seen")
    value.receive()
    before = value.seen
    for number in range(10):
        value.send(b"%d" % number)
    assert value.receive() == b"9"
    assert value.seen - before == 10


@pytest.mark.parametrize("content", [bytes, bytearray, lambda data: memoryview(bytearray(data))])
def test_value_beyond_64_kib_is_copied_without_the_gil_and_comes_whole(content: Callable[[bytes], Any]) -> None:
    data = os.urandom(300_001)
    with Latest.create(max_size=1 << 19, buffers=2) as big:
        for _ in range(3):
            big.send(content(data))
            assert big.receive(timeout=0) == data
            into = bytearray(len(data) + 5)
            with another(big) as other:
                assert other.receive_into(into) == len(data)
            assert into == data + bytes(5)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (bytearray(b"bytearray"), b"bytearray"),
        (memoryview(b"a view")[2:], b"view"),
        (array.array("I", [1, 2, 3]), array.array("I", [1, 2, 3]).tobytes()),
        (memoryview(bytes(24)).cast("B", (2, 3, 4)), bytes(24)),
        (type("Bytes", (bytes,), {})(b"subclass"), b"subclass"),
        (bytearray(), b""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_contiguous_buffer_is_a_value(value: Latest, data: bytes, expected: bytes) -> None:
    value.send(data)
    received = value.receive()
    assert received == expected
    assert type(received) is bytes


def test_what_is_no_value_is_refused_and_nothing_changes(value: Latest) -> None:
    value.send(b"before")
    for data in ("text", None, 5, [1, 2]):
        with pytest.raises(TypeError):
            value.send(data)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be C-contiguous; copy it first"):
        value.send(memoryview(b"abcdef")[::2])
    for kind in (bytes, bytearray):
        with pytest.raises(MessageTooLargeError, match=r"1001 bytes.*at most 1000; create it with a larger max_size"):
            value.send(kind(MAX + 1))
    assert (value.receive(), value.stat().sent) == (b"before", 1)


def test_receive_into_a_buffer_that_is_too_small_leaves_the_value_new(value: Latest) -> None:
    value.send(b"12345")
    with pytest.raises(MessageTooLargeError, match=r"5 bytes, and the buffer 4; it stays"):
        value.receive_into(bytearray(4))
    with pytest.raises(TypeError, match="buffer must be writable"):
        value.receive_into(b"12345")
    assert value.receive_into(numbers := array.array("B", bytes(5))) == 5
    assert numbers.tobytes() == b"12345"
    with pytest.raises(TimeoutExpired):
        value.receive_into(bytearray(5), timeout=0)


def test_reservation_is_the_next_value_when_it_is_committed(value: Latest) -> None:
    value.send(b"before")
    with value.reserve(8) as room:
        room.view("Q")[0] = 77
        assert len(room.buf) == 8
        assert value.read() == b"before"
        for call in (lambda: value.reserve(1), lambda: value.send(b"x"), lambda: value.send(bytearray(1))):
            with pytest.raises(BusyError):
                call()
    assert value.receive() == (77).to_bytes(8, sys.byteorder)
    room = value.reserve(8)
    room.buf[:3] = b"abc"
    room.commit(3)
    assert value.receive() == b"abc"
    with pytest.raises(KeyError), value.reserve(8):
        raise KeyError
    value.reserve(0).abort()
    assert value.try_receive() is None
    with value.reserve(0):
        pass
    assert value.receive() == b""


@pytest.mark.parametrize(
    ("n", "error"), [(-1, ValueError), (True, TypeError), (1.0, TypeError), (MAX + 1, MessageTooLargeError)]
)
def test_reservation_of_what_cannot_be(value: Latest, n: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        value.reserve(n)
    value.send(b"goes on")


def test_close_undoes_a_reservation_but_not_under_its_views(value: Latest) -> None:
    room = value.reserve(8)
    view = room.buf[2:]
    with pytest.raises(BufferError):
        value.close()
    assert not value.closed
    view.release()
    value.close()
    with pytest.raises(ClosedError):
        room.commit()


def test_peek_is_refused_with_the_reason(value: Latest) -> None:
    with pytest.raises(UnsupportedError, match=r"waits for no reader.*read\(\) or receive_into\(\)"):
        value.peek()


@pytest.mark.parametrize(
    ("how", "error", "match"),
    [
        ({"max_size": 0}, ValueError, "max_size must be 1 to"),
        ({"max_size": (1 << 31) + 1}, ValueError, "max_size must be 1 to 2147483648"),
        ({"max_size": 1.5}, TypeError, "max_size must be an int"),
        ({"buffers": 1}, ValueError, "buffers must be 2 to 64"),
        ({"buffers": 65}, ValueError, "buffers must be 2 to 64"),
        ({"buffers": True}, TypeError, "buffers must be an int"),
        ({"mode": 0o1777}, ValueError, "mode must be permission bits"),
    ],
)
def test_arguments_of_create(how: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        Latest.create(**how)


def test_time_that_is_up_and_time_that_is_none(value: Latest) -> None:
    for bad in (-1, float("nan")):
        with pytest.raises(ValueError, match="timeout must be 0 or more"):
            value.receive(timeout=bad)
        with pytest.raises(ValueError, match="timeout must be 0 or more"):
            value.read(timeout=bad)
    for wait in (lambda: value.receive(timeout=0.06), lambda: value.receive_into(bytearray(9), timeout=0.06)):
        before = time.monotonic()
        with pytest.raises(TimeoutExpired):
            wait()
        assert time.monotonic() - before >= 0.06
    assert value.read(timeout=0) is None


def test_close_is_the_end_after_the_last_value(value: Latest) -> None:
    with another(value) as reader:
        value.send(b"first")
        value.send(b"last")
        value.close()
        assert list(reader) == [b"last"]
        for call in (reader.receive, reader.try_receive, lambda: reader.receive_into(bytearray(9))):
            with pytest.raises(EndOfStreamError, match=r"the writer closed .* all that it sent was received"):
                call()
        assert reader.read() == b"last"
        assert reader.producers == 0
        reader.send(b"by a successor")
        assert (reader.receive(), reader.producers) == (b"by a successor", 1)


def test_what_is_too_long_is_told_so_even_while_a_reservation_is_open(value: Latest) -> None:
    with value.reserve(1):
        for call in (lambda: value.send(b"x" * (MAX + 1)), lambda: value.send(bytearray(MAX + 1))):
            with pytest.raises(MessageTooLargeError):
                call()
        with pytest.raises(BusyError):
            value.send(b"x")


def test_second_writer_is_refused_while_the_first_lives(value: Latest) -> None:
    value.send(b"mine")
    with another(value) as other:
        for call in (lambda: other.send(b"x"), lambda: other.send(bytearray(1)), lambda: other.reserve(1)):
            with pytest.raises(BusyError, match="another process or thread, or a reservation"):
                call()
        assert other.receive() == b"mine"


def test_closed_from_another_thread_ends_the_wait(value: Latest, lane: str) -> None:
    del lane
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            value.receive()
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    value.set_spin(0)
    thread.start()
    wait_blocked(os.getpid(), "futex", tid=thread.native_id)
    value.close()
    thread.join(10)
    assert [type(error) for error in ended] == [ClosedError]


def test_figures_tell_what_happened(value: Latest) -> None:
    assert value.stat()._replace(capacity=0) == (0, 0, 0, None, 0, 0, 0, 0, 0)
    assert value.stat().capacity == 4 * 1152  # 1032 bytes, rounded up to a multiple of 128
    for length in (5, 7):
        value.send(bytes(length))
    stat = value.stat()
    assert (stat.used, stat.sent, stat.bytes_sent) == (7, 2, 12)
    assert stat.age is not None
    assert 0 <= stat.age < 60
    assert value.stat().age >= stat.age  # type: ignore[operator]
    assert (value.max_size, repr(value)) == (MAX, "<Latest anonymous max_size=1000>")


def test_named_one_is_opened_by_its_name_and_survives_its_maker() -> None:
    name = unique_name()
    with Latest.create(name, max_size=64) as first:
        first.send(b"kept")
    with Latest.open(name) as second:
        assert second.read() == b"kept"
        second.unlink()
    with pytest.raises(NotFoundError):
        Latest.open(name)


def test_other_kinds_are_refused_by_their_kind() -> None:
    with SpscRing.create() as ring, pytest.raises(LayoutError, match=r"is not a latest value of .* made by SpscRing$"):
        Latest.from_fd(os.dup(ring.fileno()))
    with Latest.create() as handle, pytest.raises(LayoutError, match=r"is not a ring of .* made by Latest$"):
        SpscRing.from_fd(os.dup(handle.fileno()))


def test_corrupt_content_is_an_error_and_no_crash(value: Latest) -> None:
    value.send(b"x")
    memory = memoryview(bytearray(8))
    memory.cast("Q")[0] = 1 << 40
    os.pwrite(value.fileno(), memory, 4096 + 512 + 1152 + 8)  # the length in buffer 1
    with pytest.raises(LayoutError, match="corrupt"):
        value.read()
    os.pwrite(value.fileno(), memory, 4096 + 128)  # the number of the newest
    with pytest.raises(LayoutError, match="corrupt"):
        value.receive()


def test_threads_of_one_handle_get_each_value_once() -> None:
    interval = sys.getswitchinterval()
    got: list[list[int]] = [[] for _ in range(3)]
    sys.setswitchinterval(1e-6)
    try:
        with Latest.create(max_size=8) as handle, another(handle) as reader:

            def receive(mine: list[int]) -> None:
                mine.extend(int.from_bytes(content, "little") for content in reader)

            threads = [threading.Thread(target=receive, args=(mine,)) for mine in got]
            for thread in threads:
                thread.start()
            for number in range(1, 20_001):
                handle.send(number.to_bytes(8, "little"))
            handle.close()
            for thread in threads:
                thread.join(20)
    finally:
        sys.setswitchinterval(interval)
    everything = sorted(number for mine in got for number in mine)
    assert len(set(everything)) == len(everything)
    assert everything[-1] == 20_000
    assert all(mine == sorted(mine) for mine in got)


def test_threads_that_write_get_busy_and_no_value_is_torn() -> None:
    refused: list[int] = []
    with Latest.create(max_size=64) as handle, another(handle) as reader:

        def write(letter: bytes) -> None:
            for length in range(2000):
                try:
                    handle.send(letter * (length % 64))
                except BusyError:
                    refused.append(1)

        threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b")]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert len(set(reader.read() or b"")) <= 1
        for thread in threads:
            thread.join()
        assert handle.stat().sent == 4000 - len(refused)
