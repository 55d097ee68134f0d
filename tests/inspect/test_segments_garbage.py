"""Files that look like rings and objects of synchronisation, and are torn, copied, changed, or nothing of the kind."""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipckit import sync
from ipckit.inspect._processes.scan import Scan
from ipckit.inspect.segments import Segment, collect
from ipckit.ring import BroadcastRing, Latest, MpmcRing, SpscRing
from tests.examples import examples
from tests.inspect.segment_files import HEADER, NAME, a_name, path_of, unscanned

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def name() -> Iterator[str]:
    with a_name() as name:
        yield name


@pytest.fixture(scope="module")
def originals() -> dict[str, bytes]:
    """A segment of each sort, in bytes."""
    found = {}
    makers: dict[str, Any] = {
        "spsc": lambda name: SpscRing.create(name, capacity=4096),
        "mpmc": lambda name: MpmcRing.create(name, capacity=4096, participants=4),
        "broadcast": lambda name: BroadcastRing.create(name, capacity=4096, participants=4),
        "latest": lambda name: Latest.create(name, max_size=64, buffers=2),
        **{
            cls: lambda name, cls=cls: getattr(sync, cls).create(name)
            for cls in ("Mutex", "RWLock", "Condition", "Once")
        },
        "Barrier": lambda name: sync.Barrier.create(name, parties=3),
        "Tracked": lambda name: sync.Semaphore.create(name, value=3, tracked=True),
    }
    for sort, make in makers.items():
        name = NAME()
        with contextlib.closing(make(name)):
            found[sort] = Path(path_of(name)).read_bytes()
            os.unlink(path_of(name))
    return found


def write(name: str, content: bytes) -> None:
    with open(path_of(name), "wb") as file:
        file.write(content)


def looks(name: str) -> list[Segment]:
    return [record for kind in ("ring", "sync") if (record := unscanned(name, kind)) is not None]


def test_torn_at_any_size(name: str, originals: dict[str, bytes]) -> None:
    content = originals["mpmc"]
    for size in [*range(0, 200, 9), 4088, 4095, *range(HEADER, len(content), 997), len(content) - 1]:
        write(name, content[:size])
        records = looks(name)
        if size < HEADER:
            assert records == []
        else:
            (record,) = records
            assert (record.kind, record.type) == ("ring", None)
            assert record.problem == f"it is torn: it should have {len(content)} bytes"
            assert record.verdict.state == "unknown"
    write(name, content + b"more")
    assert looks(name)[0].verdict.state == "unknown"


def test_another_version_of_the_layout(name: str, originals: dict[str, bytes]) -> None:
    write(name, struct.pack("<H", 999) + originals["Mutex"][2:])
    (record,) = looks(name)
    assert (record.kind, record.layout, record.type) == ("sync", 999, None)
    assert record.problem == "its layout is of version 999, and this ipckit knows version 2"
    assert record.verdict.state == "unknown"


def test_a_copy_of_a_segment(name: str, originals: dict[str, bytes]) -> None:
    write(name, originals["Mutex"])
    assert looks(name)[0].problem == "the object in it was copied from another file"
    write(name, originals["spsc"])
    assert (looks(name)[0].type, looks(name)[0].verdict.state) == ("SpscRing", "idle")


def test_what_is_no_file(name: str) -> None:
    path = path_of(name)
    os.mkfifo(path)
    assert looks(name) == []
    os.unlink(path)
    os.symlink("/dev/zero", path)
    assert looks(name) == []
    os.unlink(path)
    write(name, b"")
    assert looks(name) == []
    write(name, os.urandom(3 * HEADER))
    assert looks(name) == []


WORDS = st.one_of(
    st.sampled_from((0, 1, 2, 5, 8, 4096, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 64) - 1)),
    st.integers(0, (1 << 64) - 1),
)


@settings(max_examples=examples(75), deadline=None)
@given(data=st.data())
def test_garbage_anywhere(data: st.DataObject, originals: dict[str, bytes]) -> None:
    sort = data.draw(st.sampled_from(sorted(originals)))
    content = bytearray(originals[sort])
    end = len(content) // 8 - 1
    places = st.one_of(st.integers(0, 80), st.integers(HEADER // 8, min(HEADER // 8 + 130, end)), st.integers(0, end))
    for place, word in data.draw(st.lists(st.tuples(places, WORDS), min_size=1, max_size=12)):
        struct.pack_into("<Q", content, 8 * place, word)
    if data.draw(st.booleans()):  # what the first look refuses is put right
        content[:24] = originals[sort][:24]
    name = NAME()
    try:
        write(name, bytes(content))
        for record in looks(name):
            assert record.verdict.reason
            assert isinstance(record.use, str)
            assert repr(record)
    finally:
        os.unlink(path_of(name))


def test_what_vanishes_meanwhile_is_left_out(name: str) -> None:
    with SpscRing.create(name, capacity=4096) as ring:
        other = SpscRing.create(NAME(), capacity=4096)
        found = collect(Scan(), "ring")
        first = next(found)
        for each in (ring, other):
            each.unlink()
        left = {record.name for record in found} & {ring.name, other.name} - {first.name}
        assert left == set()
        other.close()
