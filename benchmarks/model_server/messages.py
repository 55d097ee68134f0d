"""What the scheduler sends: a header, a payload with a checksum, and the message's number once more at the end.

A message that is torn, or of which an older one shows through, has two numbers; one with a wrong byte has the wrong
checksum; one that is lost or doubled leaves a gap in the numbers.
"""

from __future__ import annotations

import random
import struct
import time
import zlib
from typing import NamedTuple

DATA, REPORT, STOP = range(3)
SMALLEST = 64  # bytes

_HEADER = struct.Struct("<IIQQI4x")  # kind, payload bytes, number, moment of sending in ns, CRC-32 of the payload
_NUMBER = struct.Struct("<Q")
_VARIANTS = 3  # contents for each size


class Corrupt(Exception):
    """A message is not as it was sent."""


class Head(NamedTuple):
    """What a message says about itself."""

    kind: int
    length: int
    number: int
    sent_ns: int
    checksum: int


class Composer:
    """Makes messages in place, so that composing one costs the same whatever its size."""

    def __init__(self) -> None:
        self._random = random.Random(1)
        self._ready: dict[tuple[int, int], tuple[bytearray, int]] = {}
        self.number = 0

    def compose(self, size: int, kind: int = DATA) -> bytearray:
        """The next message, of *size* bytes in all; it is overwritten a few messages later."""
        self.number += 1
        length = size - _HEADER.size - _NUMBER.size
        message, checksum = self._content(size, length)
        _NUMBER.pack_into(message, size - _NUMBER.size, self.number)
        _HEADER.pack_into(message, 0, kind, length, self.number, time.monotonic_ns(), checksum)
        return message

    def _content(self, size: int, length: int) -> tuple[bytearray, int]:
        key = (size, self.number % _VARIANTS)
        if key not in self._ready:
            payload = self._random.randbytes(length)
            message = bytearray(_HEADER.size) + payload + bytes(_NUMBER.size)
            self._ready[key] = message, zlib.crc32(payload)
        return self._ready[key]


def examine(message: memoryview, *, thorough: bool) -> Head:
    """Read the header and check the message; *thorough*: the checksum, too, which takes longer than to send it.

    Raises:
        Corrupt: it is not as it was sent.
    """
    head = Head(*_HEADER.unpack_from(message))
    end = _HEADER.size + head.length
    if end + _NUMBER.size != message.nbytes:
        raise Corrupt(f"message {head.number} has {message.nbytes} bytes, and says {end + _NUMBER.size}")
    if _NUMBER.unpack_from(message, end)[0] != head.number:
        raise Corrupt(f"message {head.number} ends as another one")
    if thorough and zlib.crc32(message[_HEADER.size : end]) != head.checksum:
        raise Corrupt(f"message {head.number} has the wrong checksum")
    return head
