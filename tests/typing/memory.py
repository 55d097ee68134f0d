"""A user's program under ``mypy --strict``: memory, mapped and other processes'. It is checked, and never run."""

from __future__ import annotations

import ctypes
from pathlib import Path

from typing_extensions import assert_type

from ipckit import Mapping, Memfd, ProcessMemory
from ipckit.compat import shared_memory
from ipckit.mapping import Advice
from ipckit.memfd import Seal
from ipckit.posix import SharedMemory

memory = SharedMemory.open("/memory")
assert_type(memory.read_only, bool)


class Point(ctypes.Structure):
    """A user's structure."""


assert_type(memory.structure(Point), Point)
assert_type(memory.structure(Point, offset=8), Point)
assert_type(memory.structure(Point * 3)[1], Point)
memory.structure(int)  # type: ignore[type-var]
memory.view(8)  # type: ignore[arg-type]

mapping = Mapping.create(Path("/tmp/file"), size=10, populate=True)
assert_type(mapping, Mapping)
assert_type(Mapping.open("/tmp/file", offset=4096, shared=False), Mapping)
assert_type(Mapping.of(memory), Mapping)
assert_type(mapping.buf, memoryview)
mapping.advise(Advice.HUGEPAGE)
mapping.lock(on_fault=True)
mapping.advise("hugepage")  # type: ignore[arg-type]
Mapping.create()  # type: ignore[call-arg]
with mapping as entered:
    assert_type(entered.refresh(), int)

memfd = Memfd.create("name", size=10, mode=0o640)
memfd.add_seals(Seal.WRITE | Seal.SHRINK)
assert_type(memfd.seals, Seal)
assert_type(memfd.map(read_only=True), Mapping)
assert_type(memfd.read(), bytes)
assert_type(Memfd.from_fd(3), Memfd)
memfd.write("text")  # type: ignore[arg-type]

remote = ProcessMemory.open(5)
assert_type(remote.read(0x1000, 10), bytes)
assert_type(remote.readv([(0x1000, 10)]), list[bytes])
assert_type(remote.writev([(0x1000, b"x")]), int)
remote.read("0x1000", 10)  # type: ignore[arg-type]

segment = shared_memory.SharedMemory(create=True, size=10, track=False)
assert_type(segment.buf, memoryview)
numbers = shared_memory.ShareableList([1, 2])
assert_type(numbers[0], int)
numbers[0] = "text"  # type: ignore[assignment]
