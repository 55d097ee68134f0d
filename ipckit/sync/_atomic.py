"""What integers in shared memory have in common: native/include/ipckit/atomic.h."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from ipckit._native import lib
from ipckit._native_quick import lib as quick
from ipckit.sync._atomic_lane import ClosedLane, lane_of
from ipckit.sync._object import ObjectHandle, Place

if TYPE_CHECKING:
    from typing_extensions import Self

_MASK = (1 << 64) - 1


class Exchanged(NamedTuple):
    """What `compare_exchange` returns."""

    exchanged: bool
    """whether the desired value was stored"""
    seen: int
    """what was there before"""


class AtomicInteger(ObjectHandle):
    """An integer of 64 bits; a subclass says whether it is signed."""

    __slots__ = ("_lane",)

    _WHAT = "atomic integer"
    _SIGNED: ClassVar[bool]

    SIZE: Final[int] = lib.IPK_ATOMIC_SIZE
    """Bytes that it takes within memory of yours, at a multiple of 64."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._lane = lane_of(place.view, signed=self._SIGNED)

    @classmethod
    def create(
        cls,
        name: str | None = None,
        *,
        value: int = 0,
        within: Any = None,
        offset: int = 0,
        mode: int = 0o600,
        unlink_on_close: bool = False,
    ) -> Self:
        """Create an integer, exclusively.

        Args:
            name: "/" and at most 247 more bytes; the file is ``/dev/shm/ipckit.NAME``. None: anonymous, for children
                and for whoever gets its descriptor.
            value: its first value.
            within: memory of yours to put it into instead, zeroed, as for `Mutex.create`.
            offset: bytes from the beginning of *within*, a multiple of 64.
            mode: permission bits of the file, exactly, whatever the umask.
            unlink_on_close: `close` unlinks the name too, in the process that created it.

        Raises:
            AlreadyExistsError: the name is taken, or there is an object at that offset (EEXIST).
            LimitError: /dev/shm, or memory, is full (ENOSPC, ENOMEM).
            OverflowError: *value* does not fit.
        """
        low, high = (-(1 << 63), (1 << 63) - 1) if cls._SIGNED else (0, _MASK)
        if not isinstance(value, int):
            raise TypeError(f"value must be an int, not {type(value).__name__}")
        if not low <= value <= high:
            raise OverflowError(f"value must be {low} to {high}, not {value}")

        def fill(memory: Any) -> None:
            quick.ipk_atomic_format(memory, value & _MASK)

        return cls(cls._make(name, within, offset, mode, unlink_on_close, fill=fill))

    def load(self) -> int:
        """The value."""
        return self._lane.load()

    def store(self, value: int) -> None:
        """Set the value.

        Raises:
            OverflowError: *value* does not fit; so in all methods.
        """
        self._lane.store(value)

    def exchange(self, value: int) -> int:
        """Set the value; return what it was before."""
        return self._lane.exchange(value)

    def compare_exchange(self, expected: int, desired: int) -> Exchanged:
        """Set the value to *desired* if it is *expected*.

        Returns:
            Whether it was, and what it was: what to expect at the next attempt.
        """
        seen = self._lane.compare_exchange(expected, desired)
        return Exchanged(seen == expected, seen)

    def fetch_add(self, delta: int = 1) -> int:
        """Add *delta*; return what the value was before. Beyond its ends it goes on at the other: modulo 2^64."""
        return self._lane.fetch_add(delta)

    def add(self, delta: int = 1) -> int:
        """Add *delta*, as `fetch_add`; return what the value is then."""
        return self._lane.add(delta)

    def _release(self) -> None:
        self._lane = ClosedLane(type(self).__name__)
        super()._release()
