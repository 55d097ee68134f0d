"""The broadcast as it is written without a library: chunks in `multiprocessing.shared_memory`, flags, and a spin.

Each chunk has a flag "written" and one flag "read" for each place in the crew. The writer waits until all have read the
chunk that it wants, clears "written", copies, clears the "read" flags, and sets "written"; a reader waits for "written"
without its own "read". Whoever waits gives the processor away at each look (sched_yield), but never sleeps. It relies
on stores being seen in order, as x86 does it.

Nobody notices by itself that a worker has died: the scheduler, which is their parent, asks when it has spun for long.
"""

from __future__ import annotations

import struct
from multiprocessing import shared_memory
from os import sched_yield
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

LOOKS_BEFORE_ASKING = 1000
_LENGTH = struct.Struct("<Q")


class Chunks:
    """Where what lies: the flags of all chunks, then the chunks, each behind its length."""

    def __init__(self, chunks: int, places: int, size: int) -> None:
        self.chunks = chunks
        self.places = places
        self.flags = 64 * ((1 + places + 63) // 64)  # bytes of a chunk's flags
        self.size = (size + _LENGTH.size + 63) // 64 * 64
        self.total = chunks * (self.flags + self.size)

    def flags_of(self, number: int) -> int:
        """Where the flags of that message's chunk begin: "written", then one for each place."""
        return number % self.chunks * self.flags

    def data_of(self, number: int) -> int:
        """Where that message's chunk begins."""
        return self.chunks * self.flags + number % self.chunks * self.size


class PlainInbox:
    """A reader with a place of its own."""

    def __init__(self, name: str, layout: Chunks, place: int) -> None:
        self._memory = shared_memory.SharedMemory(name)
        self._bytes: Any = self._memory.buf
        self._layout = layout
        self._place = place
        self._number = 0
        self._view = memoryview(b"")

    def begin(self, ticket: Callable[[], int]) -> None:
        """The ticket is the number of the first message."""
        self._number = ticket()

    def take(self) -> memoryview:
        """Spin until the next message is there."""
        flags = self._layout.flags_of(self._number)
        mine = flags + 1 + self._place
        look = self._bytes
        while not look[flags] or look[mine]:
            sched_yield()
        at = self._layout.data_of(self._number) + _LENGTH.size
        self._view = look[at : at + _LENGTH.unpack_from(look, at - _LENGTH.size)[0]]
        return self._view

    def done(self) -> None:
        """Set our flag."""
        self._view.release()
        self._bytes[self._layout.flags_of(self._number) + 1 + self._place] = 1
        self._number += 1

    def close(self) -> None:
        """Unmap."""
        del self._bytes
        self._memory.close()


class PlainDoor:
    """The name of the memory, and its layout."""

    def __init__(self, name: str, layout: Chunks) -> None:
        self._name = name
        self._layout = layout

    def open(self, place: int) -> PlainInbox:
        """Map the memory."""
        return PlainInbox(self._name, self._layout, place)


class Plain:
    """The writer."""

    title = "plain, spinning"

    def __init__(self, workers: int, largest: int, capacity: int, find_dead: Callable[[], object]) -> None:
        self._layout = Chunks(max(2, capacity // largest), workers, largest)
        self._memory = shared_memory.SharedMemory(create=True, size=self._layout.total)
        self._bytes: Any = self._memory.buf
        self._number = 0
        self._all_read = bytes([1] * workers)
        self._unread = bytearray(self._all_read)  # what the "read" flags become: 0 for each place that is taken
        self._find_dead = find_dead
        self.door = PlainDoor(self._memory.name, self._layout)

    def send(self, message: bytearray) -> None:
        """Spin until all have read what was in the chunk, and replace it."""
        layout, memory = self._layout, self._bytes
        flags = layout.flags_of(self._number)
        end = flags + 1 + layout.places
        looks = 0
        while memory[flags] and memory[flags + 1 : end] != self._all_read:
            sched_yield()
            looks += 1
            if looks % LOOKS_BEFORE_ASKING == 0:
                self._find_dead()
        memory[flags] = 0
        at = layout.data_of(self._number) + _LENGTH.size
        _LENGTH.pack_into(memory, at - _LENGTH.size, len(message))
        memory[at : at + len(message)] = message
        memory[flags + 1 : end] = self._unread
        memory[flags] = 1
        self._number += 1

    def admit(self, place: int) -> int:
        """Its ticket is the number of the next message."""
        self._unread[place] = 0
        return self._number

    def dismiss(self, place: int) -> None:
        """It has read everything."""
        self._unread[place] = 1
        for chunk in range(self._layout.chunks):
            self._bytes[self._layout.flags_of(chunk) + 1 + place] = 1

    def close(self) -> None:
        """Unmap, and destroy."""
        del self._bytes
        self._memory.close()
        self._memory.unlink()
