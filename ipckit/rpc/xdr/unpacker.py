"""The `Unpacker` of the module xdrlib, which Python 3.13 no longer has."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, TypeVar

from ipckit.rpc.xdr._legacy_errors import ConversionError, Error

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Unpacker"]

T = TypeVar("T")

_INT = struct.Struct(">l").unpack
_UINT = struct.Struct(">L").unpack
_FLOAT = struct.Struct(">f").unpack
_DOUBLE = struct.Struct(">d").unpack


class Unpacker:
    r"""Unpacks one value after the other from a buffer: in every method as xdrlib did.

    As little is checked as there: the bytes that fill a last word may be anything, and so may a bool.
    `ipckit.rpc.xdr.codec` is strict. One thread at a time uses it; a forked child has its own copy.

    >>> from ipckit.rpc import xdr
    >>> unpacker = xdr.Unpacker(b"\0\0\0\7\0\0\0\5hello\0\0\0")
    >>> unpacker.unpack_uint(), unpacker.unpack_string()
    (7, b'hello')
    >>> unpacker.done()
    """

    def __init__(self, data: bytes) -> None:
        self.reset(data)

    def reset(self, data: bytes) -> None:
        """Begin with *data*."""
        self._data = data
        self._position = 0

    def get_position(self) -> int:
        """Bytes from the begin of the buffer to the next value."""
        return self._position

    def set_position(self, position: int) -> None:
        """Unpack the next value from there."""
        self._position = position

    def get_buffer(self) -> bytes:
        """All of the data."""
        return self._data

    def done(self) -> None:
        """Raise `Error` if data is left."""
        if self._position < len(self._data):
            raise Error("unextracted data remains")

    def _unpack(self, unpack: Callable[[bytes], tuple[Any, ...]], size: int) -> Any:
        start = self._position
        # Moved even where too few bytes are left, as users of xdrlib know it.
        self._position = start + size
        content = self._data[start : start + size]
        if len(content) < size:
            raise EOFError
        return unpack(content)[0]

    def unpack_uint(self) -> int:
        """Unpack an unsigned int of 32 bits."""
        value: int = self._unpack(_UINT, 4)
        return value

    def unpack_int(self) -> int:
        """Unpack an int of 32 bits."""
        value: int = self._unpack(_INT, 4)
        return value

    unpack_enum = unpack_int

    def unpack_bool(self) -> bool:
        """Unpack an int; whether it is not zero."""
        return bool(self.unpack_int())

    def unpack_uhyper(self) -> int:
        """Unpack an unsigned int of 64 bits."""
        high = self.unpack_uint()
        return high << 32 | self.unpack_uint()

    def unpack_hyper(self) -> int:
        """Unpack an int of 64 bits."""
        value = self.unpack_uhyper()
        return value - 2**64 if value >= 2**63 else value

    def unpack_float(self) -> float:
        """Unpack a float of 32 bits."""
        value: float = self._unpack(_FLOAT, 4)
        return value

    def unpack_double(self) -> float:
        """Unpack a float of 64 bits."""
        value: float = self._unpack(_DOUBLE, 8)
        return value

    def unpack_fstring(self, n: int) -> bytes:
        """Unpack *n* bytes, and go to the next multiple of four."""
        if n < 0:
            raise ValueError("fstring size must be nonnegative")
        start = self._position
        stop = start + (n + 3) // 4 * 4
        if stop > len(self._data):
            raise EOFError
        self._position = stop
        return self._data[start : start + n]

    unpack_fopaque = unpack_fstring

    def unpack_string(self) -> bytes:
        """Unpack a length and so many bytes."""
        return self.unpack_fstring(self.unpack_uint())

    unpack_opaque = unpack_string
    unpack_bytes = unpack_string

    def unpack_list(self, unpack_item: Callable[[], T]) -> list[T]:
        """Unpack a linked list: while there is a 1 before an item, until there is a 0."""
        items = []
        while (more := self.unpack_uint()) != 0:
            if more != 1:
                raise ConversionError(f"0 or 1 expected, got {more!r}")
            items.append(unpack_item())
        return items

    def unpack_farray(self, n: int, unpack_item: Callable[[], T]) -> list[T]:
        """Unpack *n* items."""
        return [unpack_item() for _ in range(n)]

    def unpack_array(self, unpack_item: Callable[[], T]) -> list[T]:
        """Unpack how many items there are, and those."""
        return self.unpack_farray(self.unpack_uint(), unpack_item)
