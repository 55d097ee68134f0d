"""Operations on a shared integer: the compiled fast lane where it is there, the same calls on cffi where it is not."""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

from ipckit._compiled import memory_lane
from ipckit._native import ffi
from ipckit._native_quick import lib as quick
from ipckit.errors import ClosedError

_RANGE = 1 << 64
_HALF = 1 << 63


class Lane(Protocol):
    """What an atomic integer asks of its lane. An int that does not fit is an OverflowError."""

    def load(self) -> int:
        """The value."""

    def store(self, value: int, /) -> None:
        """Set the value."""

    def exchange(self, value: int, /) -> int:
        """Set the value; what it was."""

    def compare_exchange(self, expected: int, desired: int, /) -> int:
        """Set the value if it is *expected*; what it was."""

    def fetch_add(self, delta: int, /) -> int:
        """Add, modulo 2^64; what it was."""

    def add(self, delta: int, /) -> int:
        """Add, modulo 2^64; what it is then."""


class CffiLane:
    """The lane for an installation without the extension: an operation takes longer; otherwise the same."""

    __slots__ = ("_signed", "_view")

    def __init__(self, view: Any, *, signed: bool) -> None:
        self._view = view  # keeps its memory while a call is inside
        self._signed = signed

    def load(self) -> int:
        return self._out(quick.ipk_atomic_load(self._view))

    def store(self, value: int) -> None:
        quick.ipk_atomic_store(self._view, self._in(value))

    def exchange(self, value: int) -> int:
        return self._out(quick.ipk_atomic_exchange(self._view, self._in(value)))

    def compare_exchange(self, expected: int, desired: int) -> int:
        seen = ffi.new("uint64_t *", self._in(expected))
        quick.ipk_atomic_compare_exchange(self._view, seen, self._in(desired))
        return self._out(seen[0])

    def fetch_add(self, delta: int) -> int:
        return self._out(quick.ipk_atomic_fetch_add(self._view, self._delta(delta)))

    def add(self, delta: int) -> int:
        bits = self._delta(delta)
        return self._out((quick.ipk_atomic_fetch_add(self._view, bits) + bits) % _RANGE)

    def _out(self, bits: int) -> int:
        return bits - _RANGE if self._signed and bits >= _HALF else bits

    def _in(self, value: int) -> int:
        low = -_HALF if self._signed else 0
        return _bits(value, low, low + _RANGE)

    def _delta(self, value: int) -> int:
        return _bits(value, -_HALF, _HALF if self._signed else _RANGE)


class ClosedLane:
    """The lane of a closed handle."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def _closed(self, *_: int) -> NoReturn:
        raise ClosedError(f"{self._name} is closed")

    load = store = exchange = compare_exchange = fetch_add = add = _closed


def _bits(value: int, low: int, end: int) -> int:
    if not isinstance(value, int):
        raise TypeError(f"an int is required, not {type(value).__name__}")
    if not low <= value < end:
        raise OverflowError(f"an int from {low} to {end - 1} is required, not {value}")
    return value % _RANGE


def lane_of(view: Any, *, signed: bool) -> Lane:
    """The fastest lane of this installation.

    Args:
        view: the cffi pointer of the view, whose owner keeps the memory; the lane keeps the pointer.
        signed: whether the integer may be negative.
    """
    kind = "AtomicInt64Lane" if signed else "AtomicUInt64Lane"
    return memory_lane(kind, view) or CffiLane(view, signed=signed)
