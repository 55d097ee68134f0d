"""The `Packer` of the module xdrlib, which Python 3.13 no longer has."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, TypeVar

from ipckit.rpc.xdr._legacy_errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Sequence as Items

__all__ = ["Packer"]

T = TypeVar("T")

_INT = struct.Struct(">l").pack
_UINT = struct.Struct(">L").pack
_FLOAT = struct.Struct(">f").pack
_DOUBLE = struct.Struct(">d").pack
_TRUE = _INT(1)
_FALSE = _INT(0)
_WORD = 2**32 - 1


class Packer:
    r"""Packs one value after the other into a buffer: in every method as xdrlib did.

    One thread at a time uses it; a forked child has its own copy.

    >>> from ipckit.rpc import xdr
    >>> packer = xdr.Packer()
    >>> packer.pack_uint(7)
    >>> packer.pack_string(b"hello")
    >>> packer.get_buffer()
    b'\x00\x00\x00\x07\x00\x00\x00\x05hello\x00\x00\x00'
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Empty the buffer."""
        self._buffer = bytearray()

    def get_buffer(self) -> bytes:
        """What was packed so far."""
        return bytes(self._buffer)

    get_buf = get_buffer

    def _pack(self, pack: Callable[[Any], bytes], x: object) -> None:
        try:
            self._buffer += pack(x)
        except struct.error as error:
            raise ConversionError(error.args[0]) from None

    def pack_uint(self, x: int) -> None:
        """Pack an unsigned int.

        Raises:
            ConversionError: it does not fit into 32 bits.
        """
        self._pack(_UINT, x)

    def pack_int(self, x: int) -> None:
        """Pack an int.

        Raises:
            ConversionError: it does not fit into 32 bits.
        """
        self._pack(_INT, x)

    pack_enum = pack_int

    def pack_bool(self, x: object) -> None:
        """Pack whether *x* is true."""
        self._buffer += _TRUE if x else _FALSE

    def pack_uhyper(self, x: int) -> None:
        """Pack the lowest 64 bits of *x*; it is not checked that there are no others."""
        try:
            words = (x >> 32 & _WORD, x & _WORD)
        except TypeError as error:
            raise ConversionError(error.args[0]) from None
        for word in words:
            self.pack_uint(word)

    pack_hyper = pack_uhyper

    def pack_float(self, x: float) -> None:
        """Pack a float of 32 bits.

        Raises:
            OverflowError: it is too large.
        """
        self._pack(_FLOAT, x)

    def pack_double(self, x: float) -> None:
        """Pack a float of 64 bits."""
        self._pack(_DOUBLE, x)

    def pack_fstring(self, n: int, s: bytes) -> None:
        """Pack *n* bytes of *s*, filled with zeros to a multiple of four; no length goes before them."""
        if n < 0:
            raise ValueError("fstring size must be nonnegative")
        content = s[:n]
        self._buffer += content + ((n + 3) // 4 * 4 - len(content)) * b"\0"

    pack_fopaque = pack_fstring

    def pack_string(self, s: bytes) -> None:
        """Pack the length of *s* and its bytes."""
        length = len(s)
        self.pack_uint(length)
        self.pack_fstring(length, s)

    pack_opaque = pack_string
    pack_bytes = pack_string

    def pack_list(self, list: Items[T], pack_item: Callable[[T], object]) -> None:
        """Pack a linked list: a 1 before each item, a 0 after the last."""
        for item in list:
            self.pack_uint(1)
            pack_item(item)
        self.pack_uint(0)

    def pack_farray(self, n: int, list: Items[T], pack_item: Callable[[T], object]) -> None:
        """Pack the *n* items of *list*."""
        if len(list) != n:
            raise ValueError("wrong array size")
        for item in list:
            pack_item(item)

    def pack_array(self, list: Items[T], pack_item: Callable[[T], object]) -> None:
        """Pack how many items *list* has, and those."""
        length = len(list)
        self.pack_uint(length)
        self.pack_farray(length, list, pack_item)
