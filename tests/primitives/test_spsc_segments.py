"""What SpscRing opens and what it refuses: foreign files, broken ones, wrong versions, missing rights."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipckit._names import unique_name
from ipckit.errors import AccessError, LayoutError, NotFoundError
from ipckit.ring import SpscRing

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALL = 4096
SIZE = 4096 + 4096 + SMALL  # header of the segment, header of the ring, data


@pytest.fixture
def name() -> Iterator[str]:
    name = unique_name()
    yield name
    path_of(name).unlink(missing_ok=True)


def path_of(name: str) -> Path:
    return Path(f"/dev/shm/ipckit.{name[1:]}")


def live_ring(name: str) -> bytes:
    """The bytes of a ring as it lies in /dev/shm."""
    with SpscRing.create(name, capacity=SMALL, unlink_on_close=True) as ring:
        ring.send(b"message", timeout=0)
        return path_of(name).read_bytes()


def test_file_has_the_documented_size(name: str) -> None:
    assert len(live_ring(name)) == SIZE


@pytest.mark.parametrize(
    "content", [b"", b"x", b"#!/bin/sh\n" * 1000, bytes(SIZE)], ids=["empty", "x", "text", "zeros"]
)
def test_foreign_file_is_no_segment(name: str, content: bytes) -> None:
    path_of(name).write_bytes(content)
    with pytest.raises(LayoutError, match="not a segment of ipckit"):
        SpscRing.open(name)


BROKEN = {
    "another layout version": (0, struct.pack("<Q", 0x69706B6974000001)),
    "another kind": (8, struct.pack("<I", 7)),
    "more participants": (12, struct.pack("<I", 64)),
    "no participants": (12, struct.pack("<I", 0)),
    "smaller than the file": (16, struct.pack("<Q", SIZE - 4096)),
    "larger than the file": (16, struct.pack("<Q", 1 << 62)),
    "no size": (16, struct.pack("<Q", 0)),
    "capacity that is no power of two": (4096, struct.pack("<Q", SMALL - 8)),
    "capacity beyond the file": (4096, struct.pack("<Q", 2 * SMALL)),
    "no capacity": (4096, struct.pack("<Q", 0)),
    "enormous capacity": (4096, struct.pack("<Q", 1 << 63)),
}


@pytest.mark.parametrize(("offset", "value"), BROKEN.values(), ids=BROKEN)
def test_broken_header_is_a_layout_error(name: str, offset: int, value: bytes) -> None:
    content = bytearray(live_ring(name))
    content[offset : offset + len(value)] = value
    path_of(name).write_bytes(content)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(LayoutError, match=r"not a ring of this version: magic 0x69706b697400000[12], kind \d"):
        SpscRing.open(name)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("size", [0, 8, 4095, 4096, 8192, SIZE - 1, SIZE + 1, SIZE + 4096])
def test_truncated_or_grown_file_is_a_layout_error(name: str, size: int) -> None:
    path_of(name).write_bytes(live_ring(name))
    os.truncate(path_of(name), size)
    with pytest.raises(LayoutError):
        SpscRing.open(name)


def test_file_that_was_copied_is_a_ring_all_the_same(name: str) -> None:
    path_of(name).write_bytes(live_ring(name))
    with SpscRing.open(name) as ring:
        assert ring.receive(timeout=0) == b"message"


@pytest.mark.parametrize("kind", ["directory", "fifo", "symlink"])
def test_what_is_no_regular_file_is_refused(name: str, kind: str, tmp_path: Path) -> None:
    path = path_of(name)
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        (tmp_path / "target").write_bytes(live_ring(name))
        path.symlink_to(tmp_path / "target")
    try:
        with pytest.raises((LayoutError, OSError)):
            SpscRing.open(name).close()
    finally:
        path.rmdir() if kind == "directory" else path.unlink()


def test_descriptor_that_is_no_ring_is_refused_and_closed() -> None:
    fd = os.memfd_create("stranger")
    with pytest.raises(LayoutError, match="not a segment"):
        SpscRing.from_fd(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_file_that_may_not_be_written_is_an_access_error(name: str) -> None:
    path_of(name).write_bytes(live_ring(name))
    fd = os.open(path_of(name), os.O_RDONLY | os.O_CLOEXEC)
    with pytest.raises(AccessError):
        SpscRing.from_fd(fd)


def test_anonymous_ring_is_sealed_against_resizing() -> None:
    with SpscRing.create(capacity=SMALL) as ring:
        for size in (0, SIZE * 2):
            with pytest.raises(PermissionError):
                os.ftruncate(ring.fileno(), size)
        os.ftruncate(ring.fileno(), os.fstat(ring.fileno()).st_size)


def test_memory_is_reserved_at_creation() -> None:
    with SpscRing.create(capacity=1 << 20) as ring:
        assert os.fstat(ring.fileno()).st_blocks * 512 >= 1 << 20


def test_name_that_is_gone_is_not_found(name: str) -> None:
    with pytest.raises(NotFoundError):
        SpscRing.open(name)
