"""Memory that many small objects share, so that a thousand locks do not take thousands of descriptors.

An arena is anonymous shared memory with objects one after the other. It ends with the last object in it. A process
puts objects only into arenas that it made itself: its children see them too, but know nothing of what comes later.
"""

from __future__ import annotations

import os
import weakref
from typing import Any, NamedTuple

from ipckit._handle import Quiet
from ipckit.mapping import PAGE_SIZE, Mapping

_FIRST = 16 * PAGE_SIZE  # bytes; each further one twice as much
_DOUBLINGS = 4

_arenas: list[weakref.ref[Arena]] = []
_sharings = 0  # how often other processes may have come to know what there is


class Arena(Quiet, Mapping):
    """Memory that is handed out in pieces. Lock-free: a signal handler may make a lock while one is being made."""

    __slots__ = ("_end", "_free")

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self._end = [0]  # of what was ever handed out; whoever moves it takes it out: list.pop is atomic
        self._free: dict[int, list[int]] = {}  # by size

    def take(self, size: int) -> int | None:
        """The offset of *size* bytes of zeros, or None."""
        try:
            offset = self._free[size].pop()
        except LookupError:
            return self._take_new(size)
        self.buf[offset : offset + size] = bytes(size)
        return offset

    def _take_new(self, size: int) -> int | None:
        try:
            start = self._end.pop()
        except IndexError:  # another thread is here, or what this signal handler interrupted
            return None
        fits = start + size <= self.size
        self._end.append(start + size if fits else start)
        return start if fits else None

    def give(self, offset: int, size: int) -> None:
        """Take back what nobody uses any more."""
        self._free.setdefault(size, []).append(offset)


class Room(NamedTuple):
    """A piece of an arena."""

    arena: Arena
    offset: int
    size: int
    sharings: int

    def leave(self) -> None:
        """Give it back, unless another process may still use what is in it: that room goes with the arena."""
        if self.sharings == _sharings:
            self.arena.give(self.offset, self.size)


def room_for(size: int) -> Room:
    """Room for an object.

    Args:
        size: bytes, a multiple of 64.
    """
    sharings = _sharings
    for known in reversed(_arenas.copy()):
        arena = known()
        if arena is not None and (offset := arena.take(size)) is not None:
            return Room(arena, offset, size, sharings)
    capacity = max(_FIRST << min(len(_arenas), _DOUBLINGS), -(-size // PAGE_SIZE) * PAGE_SIZE)
    made = Arena.create(size=capacity)
    offset = made.take(size)
    assert offset is not None
    _arenas.append(weakref.ref(made, _ended))
    return Room(made, offset, size, sharings)


def note_sharing() -> None:
    """From now on another process may know what there is."""
    global _sharings  # noqa: PLW0603
    _sharings += 1


def _ended(arena: weakref.ref[Arena]) -> None:
    try:
        _arenas.remove(arena)
    except ValueError:  # our parent's
        pass


def _after_fork_in_child() -> None:
    note_sharing()
    _arenas.clear()  # our parent goes on using them


# Before, and after: what another thread makes amid the fork may be in the child, or not.
os.register_at_fork(before=note_sharing, after_in_parent=note_sharing, after_in_child=_after_fork_in_child)
