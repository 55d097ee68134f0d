"""Record marking: every split of the bytes gives the same records, and what is announced costs nothing."""

from __future__ import annotations

import errno
import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipckit.errors import MessageTooLargeError, RpcProtocolError
from ipckit.rpc._wire.record import LAST, MOST_EMPTY, RecordReader, as_record
from tests.examples import examples


def mark(length: int, *, last: bool) -> bytes:
    return struct.pack(">I", length | (LAST if last else 0))


def test_a_record_in_one_fragment_and_in_several() -> None:
    assert as_record(b"hello") == b"\x80\0\0\5hello"
    assert as_record(b"") == b"\x80\0\0\0"
    assert as_record(b"hello", 2) == b"\0\0\0\2he\0\0\0\2ll\x80\0\0\1o"
    assert as_record(b"hell", 2) == b"\0\0\0\2he\x80\0\0\2ll"


@pytest.mark.slow
@given(st.data())
@settings(max_examples=examples(100), deadline=None)
def test_any_split_of_any_fragments_gives_the_records(data: st.DataObject) -> None:
    records = data.draw(st.lists(st.binary(max_size=60), max_size=5))
    stream = b"".join(as_record(record, data.draw(st.integers(1, 70))) for record in records)
    reader, got, at = RecordReader(), [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, len(stream) - at))
        reader.feed(stream[at : at + size])
        got += reader.records()
        at += size
    assert got == records
    assert all(type(record) is bytes for record in got)
    assert not reader.begun
    assert reader.records() == []


@pytest.mark.parametrize("size", [1, 3, 5, 4096, 10_000], ids=str)
def test_large_records_dribbled(size: int) -> None:
    records = [bytes(range(256)) * 200, b"", b"x" * 9000]
    stream = b"".join(as_record(record, 7000) for record in records)
    reader, got = RecordReader(), []
    for at in range(0, len(stream), size):
        reader.feed(stream[at : at + size])
        got += reader.records()
    assert got == records


def test_it_knows_whether_it_is_inside_a_record() -> None:
    reader = RecordReader()
    stream = as_record(b"abcdef", 3)
    for index, byte in enumerate(stream, 1):
        assert reader.begun == (index > 1)
        reader.feed(bytes([byte]))
    assert not reader.begun
    assert reader.records() == [b"abcdef"]
    reader.feed(mark(0, last=False))
    assert reader.begun
    reader.feed(mark(9, last=True))
    assert reader.wanted == 9
    assert "9 more" in repr(reader)


def test_fragments_without_a_byte_are_borne_and_counted() -> None:
    reader = RecordReader()
    empty = mark(0, last=False)
    for _ in range(2):  # each record is counted for itself
        reader.feed(empty * MOST_EMPTY + mark(1, last=True) + b"a")
        assert reader.records() == [b"a"]
    with pytest.raises(RpcProtocolError, match=str(MOST_EMPTY)):
        reader.feed(empty * (MOST_EMPTY + 1))


def test_an_announcement_above_the_limit_is_refused_before_its_bytes_come() -> None:
    for stream in (
        mark(101, last=True),
        mark((1 << 31) - 1, last=False),
        mark(60, last=False) + b"a" * 60 + mark(41, last=True),
    ):
        reader = RecordReader(100)
        with pytest.raises(MessageTooLargeError) as caught:
            reader.feed(as_record(b"before") + stream)
        assert caught.value.errno == errno.EMSGSIZE
        assert "max_message_size is 100" in str(caught.value)
        assert reader.records() == [b"before"]
    reader = RecordReader(100)
    reader.feed(as_record(b"a" * 100))
    reader.feed(as_record(b"b" * 100, 30))
    assert reader.records() == [b"a" * 100, b"b" * 100]


def test_memory_follows_what_came_and_not_what_was_announced() -> None:
    reader = RecordReader(1 << 30)
    tracemalloc.start()
    try:
        reader.feed(mark(1 << 30, last=True))
        reader.feed(b"x" * 1000)
        assert tracemalloc.get_traced_memory()[1] < 20_000
    finally:
        tracemalloc.stop()


def test_memory_of_a_dribble_is_that_of_its_bytes() -> None:
    reader = RecordReader()
    pieces = 5000
    fragment = mark(2, last=False) + b"ab"
    tracemalloc.start()
    try:
        reader.feed(fragment * pieces)
        assert tracemalloc.get_traced_memory()[1] < 8 * len(fragment) * pieces
        assert tracemalloc.get_traced_memory()[0] < 4 * 2 * pieces
    finally:
        tracemalloc.stop()
    reader.feed(mark(0, last=True))
    assert reader.records() == [b"ab" * pieces]


@pytest.mark.parametrize("limit", [0, -1, 1 << 31, True, 1.5, None], ids=repr)
def test_limits_are_checked(limit: object) -> None:
    with pytest.raises((ValueError, TypeError), match="max_size"):
        RecordReader(limit)  # type: ignore[arg-type]
