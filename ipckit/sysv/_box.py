"""What msgop(2) calls struct msgbuf: a message's type in 8 bytes, and then its data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ipckit._native import ffi, lib

if TYPE_CHECKING:
    from typing_extensions import Buffer

SMALL: int = lib.IPK_SYSV_MSG_SMALL
_WORD = 8  # bytes


class Box(NamedTuple):
    """Room for a received message; the C core fills it."""

    words: Any  # the type, then the data
    data: Any
    capacity: int  # bytes of data


def empty_box(capacity: int) -> Box:
    """Room for *capacity* bytes of data."""
    words = ffi.new("int64_t[]", 1 + -(-capacity // _WORD))
    return Box(words, ffi.buffer(words + 1, capacity), capacity)


def packed(data: bytes, type: int) -> Any:
    """A message to send."""
    words = ffi.new("int64_t[]", 1 + -(-len(data) // _WORD))
    words[0] = type
    ffi.memmove(words + 1, data, len(data))
    return words


def contiguous(data: Buffer) -> bytes:
    """The bytes of any buffer that has them in one piece."""
    view = memoryview(data)
    if not view.c_contiguous:
        raise TypeError("data must be a C-contiguous buffer; pass bytes(data)")
    return view.tobytes()
