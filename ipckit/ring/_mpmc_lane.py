"""The hot calls of a ring for many: the compiled fast lane where it is there, the same calls on cffi where it is not.

Each method returns ``-errno`` where it fails. A deadline is absolute, in nanoseconds of CLOCK_MONOTONIC; a wait that a
claim of another process has held up all the time returns ``-(pid << 16 | ETIMEDOUT)``. Any number of threads may call.
"""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from ipckit._compiled import address_of, memory_lane
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit.ring._inplace_lane import AGAIN, CffiInPlace
from ipckit.ring._lane import RELEASE_GIL_ABOVE

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.ring._inplace_lane import InPlace

_BATCH = 64  # messages for one call of the core; native/lane has the same number
_EAGAIN = -errno.EAGAIN
_TIMED_OUT = -errno.ETIMEDOUT
_INSIDE: int = lib.IPK_MPMC_INSIDE
_INSIDE_MANY: int = lib.IPK_MPMC_INSIDE_MANY
_END_LOAN = (quick.ipk_mpmc_release, quick.ipk_mpmc_return_loan)


class MpmcLane(Protocol):
    """What a ring asks of its lane."""

    def send(self, message: bytes, deadline_ns: int, /) -> int:
        """Append, waiting for room; 0, 1 if it was dropped, or -errno."""

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


class CffiMpmcLane:
    """The lane for an installation without the extension: several times slower, and otherwise the same."""

    __slots__ = ("_data", "_ring")

    def __init__(self, ring: Any) -> None:
        self._ring = ring  # keeps the memory mapped as long as a call is inside
        self._data: Any = ffi.cast("char *", quick.ipk_mpmc_data(ring))

    def send(self, message: bytes, deadline_ns: int, /) -> int:
        while (rc := self.try_send(message)) == _EAGAIN:
            rc = wait_room(self._ring, len(message), deadline_ns)
            if rc not in AGAIN:
                break
        return rc

    def receive(self, deadline_ns: int, /) -> bytes | int:
        while (message := self.try_receive()) == _EAGAIN:
            rc = wait_message(self._ring, deadline_ns)
            if rc not in AGAIN:
                return rc
        return message

    def try_send(self, message: bytes, /) -> int:
        core = lib if len(message) > RELEASE_GIL_ABOVE else quick
        rc: int = core.ipk_mpmc_try_send(self._ring, message, len(message), 0)
        return rc

    def try_receive(self) -> bytes | int:
        copy = ffi.new("char[]", _INSIDE)
        length = ffi.new("uint32_t *")
        rc: int = quick.ipk_mpmc_try_copy(self._ring, copy, _INSIDE, length, 1)
        if rc == 1:
            message: bytes = ffi.unpack(copy, length[0])
            return message
        return self._take_on_loan() if rc == -errno.EMSGSIZE else rc

    def try_send_many(self, messages: list[bytes], first: int, /) -> int:
        batch = messages[first : first + _BATCH]
        slices = ffi.new("struct ipk_slice[]", len(batch))
        for at, message in enumerate(batch):
            slices[at].data = ffi.from_buffer(message)  # the list keeps the bytes
            slices[at].length = len(message)
        core = lib if sum(map(len, batch)) > RELEASE_GIL_ABOVE else quick
        sent: int = core.ipk_mpmc_try_send_many(self._ring, slices, len(batch))
        return sent

    def try_receive_many(self, n: int, /) -> list[bytes] | int:
        received: list[bytes] = []
        copies = ffi.new("char[]", _INSIDE_MANY)
        lengths = ffi.new("uint32_t[]", _BATCH)
        while n > len(received):
            most = min(n - len(received), _BATCH)
            count: int = quick.ipk_mpmc_try_copy(self._ring, copies, _INSIDE_MANY, lengths, most)
            if count == -errno.EMSGSIZE:
                message = self._take_on_loan()
                if isinstance(message, int):
                    return received or message
                received.append(message)
                continue
            if count < 0:
                return received or count
            at = 0
            for length in ffi.unpack(lengths, count):
                received.append(ffi.unpack(copies + at, length))
                at += length
        return received

    def _take_on_loan(self) -> bytes | int:
        loan = ffi.new("struct ipk_mpmc_claim *")
        message: bytes | None = None
        try:
            rc: int = quick.ipk_mpmc_try_receive(self._ring, loan, 1)
            if rc < 0:
                return rc
            if loan.tag:
                return -errno.EOVERFLOW
            message = ffi.unpack(self._data + loan.offset, loan.length)
        finally:
            if loan.member:  # a signal handler may raise between any two calls
                _END_LOAN[message is None](self._ring, loan, 1)
        assert message is not None
        return message


class CffiMpmcClaim(CffiInPlace):
    """One claim, of which a ring may have any number: its messages in place, where there is no extension."""

    __slots__ = ("_claim", "_ring")

    _STRUCT = "struct ipk_mpmc_claim *"
    _TAKEN = "member"

    def __init__(self, ring: Any) -> None:
        self._ring = ring
        self._claim = ffi.new(self._STRUCT)

    def commit(self, length: int, /) -> int:
        rc: int = quick.ipk_mpmc_commit(self._ring, self._claim, length, 0)
        return rc

    def abort(self) -> None:
        quick.ipk_mpmc_abort(self._ring, self._claim)

    def release(self) -> None:
        quick.ipk_mpmc_release(self._ring, self._claim, 1)

    def put_back(self) -> None:
        quick.ipk_mpmc_return_loan(self._ring, self._claim, 1)

    def _new(self) -> Any:
        return self._claim

    def _is_elsewhere(self, lent: Any) -> bool:
        return bool(lent.tag)

    def _try_reserve(self, n: int, given: Any) -> int:
        rc: int = quick.ipk_mpmc_try_reserve(self._ring, n, given)
        return rc

    def _wait_room(self, n: int, deadline_ns: int) -> int:
        return wait_room(self._ring, n, deadline_ns)

    def _try_lend(self, lent: Any) -> int:
        rc: int = quick.ipk_mpmc_try_receive(self._ring, lent, 1)
        return min(rc, 0)

    def _wait_message(self, deadline_ns: int) -> int:
        return wait_message(self._ring, deadline_ns)


def wait_room(ring: Any, length: int, deadline_ns: int) -> int:
    """Wait until *length* bytes may fit; what the core says, and a process that holds it up as methods here do."""
    stalled = ffi.new("uint32_t *")
    rc: int = lib.ipk_mpmc_wait_room(ring, length, deadline_ns, stalled)
    return -(stalled[0] << 16 | errno.ETIMEDOUT) if rc == _TIMED_OUT else rc


def wait_message(ring: Any, deadline_ns: int) -> int:
    """Wait until there may be a message; the same."""
    stalled = ffi.new("uint32_t *")
    rc: int = lib.ipk_mpmc_wait_message(ring, deadline_ns, stalled)
    return -(stalled[0] << 16 | errno.ETIMEDOUT) if rc == _TIMED_OUT else rc


def lane_of(ring: Any) -> MpmcLane:
    """The fastest lane of this installation for the ring at that pointer."""
    return memory_lane("MpmcLane", ring) or CffiMpmcLane(ring)


def claims_of(ring: Any, lane: MpmcLane) -> Callable[[], InPlace]:
    """What makes claims of the ring at that pointer, in the language of the lane."""
    if isinstance(lane, CffiMpmcLane):
        return partial(CffiMpmcClaim, ring)
    from ipckit._lane import MpmcClaim

    return partial(MpmcClaim, ring, address_of(ring))
