"""The hot calls of a BroadcastRing: the compiled fast lane, or the same calls on cffi where it is not installed."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from ipckit._compiled import memory_lane
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit.ring._inplace_lane import AGAIN, CffiInPlace
from ipckit.ring._lane import RELEASE_GIL_ABOVE

if TYPE_CHECKING:
    from ipckit.ring._lane import InPlaceLane

WAIT = (-errno.EAGAIN, -errno.EALREADY)  # there is nothing, or another thread is inside with the handle
_EAGAIN = -errno.EAGAIN
_EMSGSIZE = -errno.EMSGSIZE
_BATCH = 64  # messages for one call of the core; native/lane has the same number
_ROOM = 8192  # bytes for one call


class _Room:
    """Where the core copies messages to."""

    __slots__ = ("buffer", "ends")

    def __init__(self) -> None:
        self.buffer: Any = ffi.new("char[]", _ROOM)
        self.ends: Any = ffi.new("uint64_t[]", _BATCH)


class CffiLane(CffiInPlace):
    """The lane for an installation without the extension: several times slower, and otherwise the same.

    A message is out of the ring when the core has copied it: the exception of a signal handler that comes at that very
    moment takes it along.
    """

    __slots__ = ("_ring", "_spare")

    _STRUCT = "struct ipk_broadcast_claim *"
    _TAKEN = "taken"

    def __init__(self, ring: Any) -> None:
        self._ring = ring  # keeps the memory mapped as long as a call is inside
        self._spare: list[_Room] = []  # one for each thread that is inside at a time

    def send(self, message: bytes, deadline_ns: int, /) -> int:
        while (rc := self.try_send(message)) == _EAGAIN:
            rc = lib.ipk_broadcast_wait_room(self._ring, len(message), deadline_ns)
            if rc not in AGAIN:
                break
        return rc

    def receive(self, deadline_ns: int, /) -> bytes | int:
        while (message := self.try_receive()) in WAIT:
            rc = lib.ipk_broadcast_wait_message(self._ring, deadline_ns)
            if rc not in AGAIN:
                return rc
        return message

    def try_send(self, message: bytes, /) -> int:
        core = lib if len(message) > RELEASE_GIL_ABOVE else quick
        rc: int = core.ipk_broadcast_try_send(self._ring, message, len(message))
        return rc

    def try_receive(self) -> bytes | int:
        batch = self._receive(1)
        return batch if isinstance(batch, int) else batch[0]

    def try_send_many(self, messages: list[bytes], first: int, /) -> int:
        batch = messages[first : first + _BATCH]
        slices = ffi.new("struct ipk_slice[]", len(batch))
        for at, message in enumerate(batch):
            slices[at].data = ffi.from_buffer(message)  # the list keeps the bytes
            slices[at].length = len(message)
        core = lib if sum(map(len, batch)) > RELEASE_GIL_ABOVE else quick
        sent: int = core.ipk_broadcast_try_send_many(self._ring, slices, len(batch))
        return sent

    def try_receive_many(self, n: int, /) -> list[bytes] | int:
        received: list[bytes] = []
        while n > len(received):
            batch = self._receive(n - len(received))
            if isinstance(batch, int):
                return received or batch
            received += batch
        return received

    def commit(self, length: int, /) -> int:
        rc: int = quick.ipk_broadcast_commit(self._ring, length)
        return rc

    def abort(self) -> None:
        quick.ipk_broadcast_abort(self._ring)

    def release(self) -> None:
        quick.ipk_broadcast_release(self._ring)

    def put_back(self) -> None:
        quick.ipk_broadcast_return_loan(self._ring)

    def _is_elsewhere(self, _lent: Any) -> bool:
        return False  # the core refuses

    def _try_reserve(self, n: int, given: Any) -> int:
        rc: int = quick.ipk_broadcast_try_reserve(self._ring, n, given)
        return rc

    def _wait_room(self, n: int, deadline_ns: int) -> int:
        rc: int = lib.ipk_broadcast_wait_room(self._ring, n, deadline_ns)
        return rc

    def _try_lend(self, lent: Any) -> int:
        rc: int = quick.ipk_broadcast_try_lend(self._ring, lent)
        return _EAGAIN if rc in WAIT else rc

    def _wait_message(self, deadline_ns: int) -> int:
        rc: int = lib.ipk_broadcast_wait_message(self._ring, deadline_ns)
        return rc

    def _receive(self, n: int) -> list[bytes] | int:
        room = self._spare.pop() if self._spare else _Room()
        count: int = quick.ipk_broadcast_try_receive_many(self._ring, room.buffer, _ROOM, room.ends, min(n, _BATCH))
        if count == _EMSGSIZE:
            long = self._receive_long()
            return long if isinstance(long, int) else [long]
        if count < 0:
            return count
        ends = ffi.unpack(room.ends, count)
        whole = ffi.buffer(room.buffer)
        batch = [whole[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
        self._spare.append(room)
        return batch

    def _receive_long(self) -> bytes | int:
        length: int = quick.ipk_broadcast_next_length(self._ring)
        while length >= 0:
            buffer = ffi.new("char[]", max(length, 1))
            core = lib if length > RELEASE_GIL_ABOVE else quick
            received: int = core.ipk_broadcast_try_receive(self._ring, buffer, length)
            if received >= 0:
                return bytes(ffi.buffer(buffer, received))
            # another thread of ours, or a writer, was faster: this is another message, or none
            length = quick.ipk_broadcast_next_length(self._ring) if received == _EMSGSIZE else received
        return length


def lane_of(ring: Any) -> InPlaceLane:
    """The fastest lane of this installation for the ring at that pointer."""
    return memory_lane("BroadcastLane", ring) or CffiLane(ring)
