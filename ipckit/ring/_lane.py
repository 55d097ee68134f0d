"""The hot calls of a ring: the compiled fast lane where it is there, the same calls on cffi where it is not.

Each method returns ``-errno`` where it fails. A deadline is absolute, in nanoseconds of CLOCK_MONOTONIC; a wait ends
with -EBADF when another thread closes the ring, and with the exception of a signal handler that raises.
"""

from __future__ import annotations

import errno
from typing import Any, Protocol

from ipckit._compiled import memory_lane
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit.ring._inplace_lane import AGAIN, CffiInPlace, InPlace

# Copying this many bytes takes longer than to hand the GIL over and get it back. native/lane has the same number.
RELEASE_GIL_ABOVE = 65536
_EAGAIN = -errno.EAGAIN
# For one call of the core, and for one batch; native/lane has the same numbers, and says why.
_BATCH = 64  # messages
_BATCH_BYTES = 262144
_END_LOAN = (quick.ipk_spsc_release, quick.ipk_spsc_return_loan)


class Lane(Protocol):
    """What a ring asks of its lane."""

    def send(self, message: bytes, deadline_ns: int, /) -> int:
        """Append, waiting for room; 0, or -errno."""

    def receive(self, deadline_ns: int, /) -> bytes | int:
        """Remove and return the oldest message, waiting for one, or -errno."""

    def try_send(self, message: bytes, /) -> int:
        """Append; 0, or -errno."""

    def try_receive(self) -> bytes | int:
        """Remove and return the oldest message, or -errno."""

    def try_send_many(self, messages: list[bytes], first: int, /) -> int:
        """Append messages from index *first* on, a batch at the most; how many, or -errno."""

    def try_receive_many(self, n: int, /) -> list[bytes] | int:
        """Remove and return 1 to *n* messages, or -errno."""


class InPlaceLane(Lane, InPlace, Protocol):
    """What it asks for besides where it has messages in place."""


class CffiLane(CffiInPlace):
    """The lane for an installation without the extension: several times slower, and otherwise the same."""

    __slots__ = ("_data", "_ring")

    _STRUCT = "struct ipk_spsc_part *"
    _TAKEN = "offset"

    def __init__(self, ring: Any, capacity: int) -> None:
        self._ring = ring  # keeps the memory mapped as long as a call is inside
        data = quick.ipk_spsc_data(ring)
        self._data: Any = ffi.buffer(data, 2 * capacity) if data else b""

    def send(self, message: bytes, deadline_ns: int, /) -> int:
        while (rc := self.try_send(message)) == _EAGAIN:
            rc = lib.ipk_spsc_wait_room(self._ring, len(message), deadline_ns)
            if rc not in AGAIN:
                break
        return rc

    def receive(self, deadline_ns: int, /) -> bytes | int:
        while (message := self.try_receive()) == _EAGAIN:
            rc = lib.ipk_spsc_wait_message(self._ring, deadline_ns)
            if rc not in AGAIN:
                return rc
        return message

    def try_send(self, message: bytes, /) -> int:
        core = lib if len(message) > RELEASE_GIL_ABOVE else quick
        rc: int = core.ipk_spsc_try_send(self._ring, message, len(message))
        return rc

    def try_receive(self) -> bytes | int:
        batch = self.try_receive_many(1)
        return batch if isinstance(batch, int) else batch[0]

    def commit(self, length: int, /) -> int:
        rc: int = quick.ipk_spsc_commit(self._ring, length)
        return rc

    def abort(self) -> None:
        quick.ipk_spsc_abort(self._ring)

    def release(self) -> None:
        quick.ipk_spsc_release(self._ring)

    def put_back(self) -> None:
        quick.ipk_spsc_return_loan(self._ring)

    def _is_elsewhere(self, lent: Any) -> bool:
        return bool(lent.flags)

    def _try_reserve(self, n: int, given: Any) -> int:
        rc: int = quick.ipk_spsc_try_reserve(self._ring, n, given)
        return rc

    def _wait_room(self, n: int, deadline_ns: int) -> int:
        rc: int = lib.ipk_spsc_wait_room(self._ring, n, deadline_ns)
        return rc

    def _try_lend(self, lent: Any) -> int:
        rc: int = quick.ipk_spsc_try_receive_part(self._ring, lent)
        return rc

    def _wait_message(self, deadline_ns: int) -> int:
        rc: int = lib.ipk_spsc_wait_message(self._ring, deadline_ns)
        return rc

    def try_send_many(self, messages: list[bytes], first: int, /) -> int:
        batch = messages[first : first + _BATCH]
        slices = ffi.new("struct ipk_slice[]", len(batch))
        for at, message in enumerate(batch):
            slices[at].data = ffi.from_buffer(message)  # the list keeps the bytes
            slices[at].length = len(message)
        core = lib if sum(map(len, batch)) > RELEASE_GIL_ABOVE else quick
        sent: int = core.ipk_spsc_try_send_many(self._ring, slices, len(batch))
        return sent

    def try_receive_many(self, n: int, /) -> list[bytes] | int:
        received: list[bytes] = []
        left = _BATCH_BYTES
        bounds = ffi.new("uint64_t[]", 2 * min(n, _BATCH))
        while n > len(received) and left > 0:
            # A signal handler may raise between any two calls: bounds[1] tells whether the core lent us anything.
            bounds[1] = 0
            batch = None
            try:
                count: int = quick.ipk_spsc_try_receive_many(self._ring, bounds, min(n - len(received), _BATCH))
                if count < 0:
                    return received or count
                edges = ffi.unpack(bounds, 2 * count)
                batch = [self._data[edges[i] : edges[i + 1]] for i in range(0, 2 * count, 2)]
            finally:
                if bounds[1]:
                    _END_LOAN[batch is None](self._ring)  # no jump, after which CPython 3.10 runs handlers
            received += batch
            left -= sum(map(len, batch))
        return received


def lane_of(ring: Any) -> InPlaceLane:
    """The fastest lane of this installation for the ring at that pointer."""
    return memory_lane("SpscLane", ring) or CffiLane(ring, quick.ipk_spsc_capacity(ring))
