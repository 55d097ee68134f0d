"""Which lanes this installation has."""

from __future__ import annotations

from typing import Any, TypeVar

from ipckit._native import ffi

T = TypeVar("T")


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


def methods_in_c(cls: type[T]) -> type[T]:
    """*cls* with its commonest methods in C, which leave all that is not common to its own; else *cls* itself.

    A method in C is one step for a signal handler, and for another thread: it has returned, or not begun.
    """
    try:
        from ipckit._lane import derived
    except ImportError:
        return cls
    made = derived(cls)
    if made is not cls:  # so that one knows one from the other
        cls.__name__ = cls.__qualname__ = f"_{cls.__name__}"
    return made
