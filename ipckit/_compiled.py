"""Which lanes this installation has."""

from __future__ import annotations

from typing import Any

from ipckit._native import ffi


def memory_lane(kind: str, pointer: Any) -> Any:
    """The compiled lane of that kind for the object at *pointer*; None in an installation without the extension.

    Args:
        kind: the name of the type in `ipckit._lane`.
        pointer: a cffi pointer whose owner keeps the memory; the lane keeps the pointer.
    """
    try:
        import ipckit._lane as lanes
    except ImportError:
        return None
    return getattr(lanes, kind)(pointer, address_of(pointer))


def address_of(pointer: Any) -> int:
    """What a cffi pointer points to, as a lane takes it."""
    return int(ffi.cast("uintptr_t", pointer))
