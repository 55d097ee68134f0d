"""A message too long for a ring in parts, one record each: how it is cut, and put together again."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from ipckit._native import ffi
from ipckit.errors import LayoutError

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOTAL = struct.Struct("=Q")  # a first part begins with the length of the message, in bytes
_LONGEST = 1 << 47  # bytes; more than that fits into no address space
_LONGEST_PART = 1 << 18  # bytes; copied out with the GIL held


class Part(NamedTuple):
    """What one record is to hold."""

    content: bytes | memoryview
    size: int
    """bytes of the message in it"""
    first: bool
    more: bool


def part_size(capacity: int) -> int:
    """Bytes of a message for one record of a ring: few enough that both sides copy at the same time."""
    return min(capacity // 4 - 64, _LONGEST_PART)


def parts_of(data: memoryview, size: int) -> Iterator[Part]:
    """The parts of the message *data*, bytes, *size* bytes of it in each but the last."""
    total = len(data)
    yield Part(_TOTAL.pack(total) + data[:size], min(size, total), first=True, more=total > size)
    for done in range(size, total, size):
        length = min(size, total - done)
        yield Part(data[done : done + length], length, first=False, more=done + length < total)


class Assembly:
    """The message of which a beginning is here; one at the most.

    Where a part is in the stream tells whether it is the one that was added last, come again as its record was not
    released: so an exception between the two calls does no harm.
    """

    __slots__ = ("kept",)

    def __init__(self) -> None:
        # The message, where its last part is, where the next one will be, bytes that are here without that and with it.
        self.kept: tuple[bytearray | None, int, int, int, int] = (None, 0, 0, 0, 0)

    @property
    def begun(self) -> bool:
        """Whether there is one."""
        return self.kept[0] is not None

    def goes_on_at(self, place: int) -> bool:
        """Whether a part at that place belongs to the message."""
        message, at, after, _, _ = self.kept
        return message is not None and place in (at, after)

    def add(self, place: int, after: int, content: Any, length: int, *, first: bool, more: bool) -> bytearray | None:
        """Add a part; return the message if that makes it complete: it stays here until `forget`.

        Args:
            place: of the record.
            after: where the next one will be.
            content: a cffi pointer to what lies in the record.
            length: bytes of that.
            first: it begins a message.
            more: others follow.

        Raises:
            LayoutError: it does not go with the others; the message is forgotten.
        """
        message, at, _, before, filled = self.kept
        if first:
            total = _TOTAL.unpack(ffi.buffer(content, _TOTAL.size))[0] if length >= _TOTAL.size else _LONGEST + 1
            message = bytearray(total) if total <= _LONGEST else None
            filled, content, length = 0, content + _TOTAL.size, length - _TOTAL.size
        elif at == place:
            filled = before
        if message is None or filled + length > len(message) or (filled + length < len(message)) != more:
            self.forget()
            raise LayoutError("the parts of a message do not make one")
        with ffi.from_buffer(message) as whole:
            ffi.memmove(whole + filled, content, length)
        self.kept = (message, place, after, filled, filled + length)
        return None if more else message

    def forget(self) -> None:
        """It is received, or nobody will send the rest."""
        self.kept = (None, 0, 0, 0, 0)
