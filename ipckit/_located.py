"""Objects at an offset of memory of the user's."""

from __future__ import annotations

from typing import Any

from ipckit._arguments import check_int
from ipckit._handle import Handle
from ipckit._native import ffi
from ipckit.errors import ClosedError


def located(within: Any, offset: int, size: int, alignment: int) -> Any:
    """A pointer to *size* bytes at *offset* of *within*; the memory stays as long as the pointer.

    Args:
        within: a handle with a `buf`, or any writable buffer.

    Raises:
        ValueError: the bytes would not fit, or not be aligned.
    """
    if isinstance(within, Handle) and within.closed:
        raise ClosedError(f"{type(within).__name__} is closed")
    buffer = getattr(within, "buf", within)
    try:
        memory = ffi.from_buffer("char[]", buffer, require_writable=True)
    except (TypeError, BufferError) as error:
        raise type(error)(f"within must be shared memory that can be written: {error}") from None
    check_int(offset, "offset", 0, max(len(memory) - size, 0), "bytes")
    if len(memory) < size:
        raise ValueError(f"within must have at least {size} bytes, and has {len(memory)}")
    if (int(ffi.cast("uintptr_t", memory)) + offset) % alignment:
        raise ValueError(f"offset must make an address that is a multiple of {alignment}, and {offset} does not")
    return ffi.gc(ffi.cast("void *", memory + offset), lambda _: memory)  # the pointer keeps the memory
