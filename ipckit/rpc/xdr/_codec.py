"""Codecs: RFC 4506 encodings of one type, compiled when the type is first used."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from ipckit.errors import XdrError
from ipckit.rpc.xdr._annotations import parse
from ipckit.rpc.xdr._decoder import compile_decoder
from ipckit.rpc.xdr._encoder import compile_encoder
from ipckit.rpc.xdr._source import Broken, called
from ipckit.rpc.xdr._walk_decoder import walk_decoding
from ipckit.rpc.xdr._walk_encoder import walk_encoding

if TYPE_CHECKING:
    from typing import NoReturn

    from typing_extensions import Buffer

__all__ = ["MAX_DEPTH", "MAX_SIZE", "Codec", "codec"]

T = TypeVar("T")

# Bytes of an encoding.
MAX_SIZE = 64 * 2**20

# Levels of a value inside one of the same type, each of which takes a frame of the interpreter's stack.
MAX_DEPTH = 100

# What compiled code raises for a value or bytes that do not fit; classes of users may raise the rest.
_MISFITS = (
    Broken,
    struct.error,
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RecursionError,
)


class Codec(Generic[T]):
    """The encoding of one type; `codec` makes it.

    It is immutable: threads and forked children share it freely. Nothing of a value is kept.

    >>> from dataclasses import dataclass
    >>> from ipckit.rpc import xdr
    >>> @dataclass(slots=True)
    ... class File:
    ...     name: str
    ...     size: xdr.UHyper
    >>> files = xdr.codec(list[File])
    >>> data = files.encode([File("notes", 1024)])
    >>> data.hex(" ", 4)
    '00000001 00000005 6e6f7465 73000000 00000000 00000400'
    >>> files.decode(data)
    [File(name='notes', size=1024)]
    >>> files.decode(data[:-1])
    Traceback (most recent call last):
    ...
    ipckit.errors.XdrError: [0].size: 8 bytes are to follow, 7 are left (at byte 16)
    """

    __slots__ = ("_decode", "_encode", "_max_depth", "_max_size", "_recursive", "_root", "type")

    def __init__(self, type_: object, max_size: int, max_depth: int) -> None:
        self.type = type_
        self._max_size = max_size
        self._max_depth = max_depth
        self._root = parse(type_)
        self._recursive = called(self._root)
        # A part is two bytes at least, on average.
        self._encode = compile_encoder(self._root, max_depth, max_size // 2)
        self._decode = compile_decoder(self._root, max_depth)

    def __repr__(self) -> str:
        return f"<xdr codec of {getattr(self.type, '__qualname__', self.type)}>"

    def encode(self, value: T) -> bytes:
        """Encode *value*.

        Raises:
            XdrError: it does not fit the type, or its encoding is larger than `max_size`.
        """
        try:
            data = b"".join(self._encode(value))
        except _MISFITS as error:
            self._explain_value(value, error)
        if len(data) > self._max_size:
            raise _too_large(len(data), self._max_size)
        return data

    def encode_into(self, out: bytearray, value: T) -> None:
        """Append the encoding of *value* to *out*, which is as it was where that fails.

        Raises:
            XdrError: as `encode` does.
        """
        out += self.encode(value)

    def decode(self, data: Buffer, *, trailing: bool = False) -> T:
        """Decode *data*, all of it.

        Args:
            data: fastest from bytes; anything else is copied once.
            trailing: whether bytes may follow the value.

        Raises:
            XdrError: it is no encoding of the type, or larger than `max_size`.
        """
        whole = data if type(data) is bytes else bytes(memoryview(data))
        size = len(whole)
        if size > self._max_size and not trailing:
            raise _too_large(size, self._max_size)
        value, offset = self._decoded(whole, 0)
        if offset != size and not trailing:
            raise _at(offset, f"{size - offset} bytes follow the value")
        return value

    def decode_from(self, data: Buffer, offset: int = 0) -> tuple[T, int]:
        """Decode the value that begins at *offset*, and return it with the offset after it.

        Args:
            data: fastest from bytes; of anything else, what follows the offset is copied.
            offset: bytes from the begin of *data*.

        Raises:
            XdrError: what is there is no encoding of the type, or larger than `max_size`.
        """
        if type(data) is bytes:
            if not 0 <= offset <= len(data):
                raise ValueError(f"offset: between 0 and {len(data)}, the size of data, not {offset}")
            return self._decoded(data, offset)
        view = memoryview(data).cast("B")
        if not 0 <= offset <= len(view):
            raise ValueError(f"offset: between 0 and {len(view)}, the size of data, not {offset}")
        value, used = self._decoded(bytes(view[offset:]), 0)
        return value, offset + used

    def _decoded(self, data: bytes, offset: int) -> tuple[T, int]:
        try:
            value, stop = self._decode(data, offset, len(data))
        except _MISFITS as error:
            self._explain_bytes(data, offset, error)
        if stop - offset > self._max_size:
            raise _too_large(stop - offset, self._max_size)
        return value, stop

    def _explain_value(self, value: object, error: Exception) -> NoReturn:
        """Raise what says where in *value* the compiled encoder failed."""
        try:
            walk_encoding(self._root, value, self._recursive, self._max_depth, self._max_size)
        except RecursionError:
            pass
        except XdrError as explained:
            raise explained from None
        raise _at(0, f"cannot be encoded: {error or type(error).__name__}") from error

    def _explain_bytes(self, data: bytes, offset: int, error: Exception) -> NoReturn:
        try:
            walk_decoding(self._root, data, offset, self._recursive, self._max_depth)
        except RecursionError:
            pass
        except XdrError as explained:
            raise explained from None
        raise _at(offset, f"cannot be decoded: {error or type(error).__name__}") from error


def _at(offset: int, what: str) -> XdrError:
    error = XdrError(f"value: {what} (at byte {offset})")
    error.offset = offset
    return error


def _too_large(size: int, limit: int) -> XdrError:
    return _at(limit, f"{size} bytes, where {limit} are the most (max_size)")


@overload
def codec(type_: type[T], *, max_size: int = MAX_SIZE, max_depth: int = MAX_DEPTH) -> Codec[T]: ...
@overload
def codec(type_: None, *, max_size: int = MAX_SIZE, max_depth: int = MAX_DEPTH) -> Codec[None]: ...
@overload
def codec(type_: object, *, max_size: int = MAX_SIZE, max_depth: int = MAX_DEPTH) -> Codec[Any]: ...
def codec(type_: object, *, max_size: int = MAX_SIZE, max_depth: int = MAX_DEPTH) -> Codec[Any]:
    """The codec of a type, compiled at the first call and then always the same.

    Args:
        type_: an annotation: a dataclass, an enum, ``list[xdr.Int]``, ``Annotated[str, xdr.Max(255)]``, None for void.
        max_size: bytes of the largest encoding that is written or read.
        max_depth: how often a value of a type may be nested in one of the same type. The links of a chain, whose last
            field is ``Link | None``, are not nested, and are not limited.

    Raises:
        TypeError: the annotation, or one inside it, stands for no type of XDR.
        ValueError: a limit is negative.
    """
    return _codec(type_, max_size, max_depth)


@lru_cache(maxsize=1024)
def _codec(type_: object, max_size: int, max_depth: int) -> Codec[Any]:
    for name, limit in (("max_size", max_size), ("max_depth", max_depth)):
        if limit < 0:
            raise ValueError(f"{name}: 0 or more, not {limit}")
    return Codec(type_, max_size, max_depth)
