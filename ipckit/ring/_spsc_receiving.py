"""The consumer's calls of an SpscRing."""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._wait import NEVER_NS, PASSED, Deadline
from ipckit.errors import EndOfStreamError, TimeoutExpired
from ipckit.ring._errors import buffer_too_small, not_writable
from ipckit.ring._inplace_lane import AGAIN
from ipckit.ring._lane import RELEASE_GIL_ABOVE
from ipckit.ring._spsc_handle import SpscHandle
from ipckit.ring._spsc_oversize import Roundabout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Buffer

    from ipckit.errors import IPCError
    from ipckit.ring._inplace import Loan
    from ipckit.ring._spsc_oversize import Incoming

_T = TypeVar("_T")

_EAGAIN = -errno.EAGAIN
_GONE = (-errno.EPIPE, -errno.EOWNERDEAD)


class SpscReceiving(SpscHandle):
    """What the consumer does with its handle."""

    __slots__ = ()

    def receive(self, timeout: float | None = None) -> bytes:
        """Remove and return the oldest message, waiting while there is none.

        Args:
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: no message came in time (ETIMEDOUT).
            EndOfStreamError: the producer closed its end, and all that it sent has been received.
            PeerDiedError: the producer died, and all that it sent has been received.
            BusyError: another process, or another thread of this one, is receiving (EBUSY).
            LayoutError: the segment's content is corrupt.
        """
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        message = self._lane.receive(deadline_ns)
        return self._receive_otherwise(message, deadline_ns) if isinstance(message, int) else message

    def try_receive(self) -> bytes | None:
        """Remove and return the oldest message, or None if there is none now (``b""`` is a message).

        Raises:
            EndOfStreamError, PeerDiedError, BusyError, LayoutError: as `receive`.
        """
        message = self._lane.try_receive()
        if not isinstance(message, int):
            return message
        if message == _EAGAIN:
            message = lib.ipk_spsc_wait_message(self._ring, PASSED.at_ns)  # asks for the producer
            if message in AGAIN:
                return self.try_receive()
        try:
            return self._receive_otherwise(message, PASSED.at_ns)
        except TimeoutExpired:
            return None

    def receive_into(self, buffer: Buffer, timeout: float | None = None) -> int:
        """Remove the oldest message and copy it into *buffer*, waiting while there is none.

        Args:
            buffer: writable and C-contiguous.
            timeout: seconds; None waits for ever, 0 never waits.

        Returns:
            Bytes of the message.

        Raises:
            MessageTooLargeError: the message is longer than *buffer*; it stays in the ring (EMSGSIZE).
            TimeoutExpired, EndOfStreamError, PeerDiedError, BusyError, LayoutError: as `receive`.
        """
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        try:
            into = ffi.from_buffer(buffer, require_writable=True)
        except (BufferError, TypeError):
            raise not_writable(buffer) from None
        with into:
            if self._has_beginning():
                return self._receive_otherwise_into(into, -errno.EOVERFLOW, deadline_ns)
            size = len(into)
            while (length := quick.ipk_spsc_try_receive_into(self._ring, into, min(size, RELEASE_GIL_ABOVE))) < 0:
                if length == -errno.EMSGSIZE:
                    if size <= RELEASE_GIL_ABOVE:
                        raise self._too_small(size)
                    length = lib.ipk_spsc_try_receive_into(self._ring, into, size)
                    if length >= 0:
                        break
                    if length == -errno.EMSGSIZE:
                        raise self._too_small(size)
                if length == _EAGAIN:
                    length = lib.ipk_spsc_wait_message(self._ring, deadline_ns)
                    if length in AGAIN:
                        continue
                return self._receive_otherwise_into(into, length, deadline_ns)
            return length

    def receive_many(self, n: int, timeout: float | None = None) -> list[bytes]:
        """Remove and return what is there, at most *n* messages, waiting only while there is none at all.

        It is no more than some 256 KiB at a time, as more would only be slower.

        If this process is killed meanwhile, the whole batch goes to its successor, or was received. A message that
        came in fragments or in a file comes alone.

        Raises:
            TimeoutExpired, EndOfStreamError, PeerDiedError, BusyError, LayoutError: as `receive`.
        """
        if isinstance(n, bool) or not isinstance(n, int):
            raise TypeError(f"n must be an int, not {n!r}")
        if n < 1:
            raise ValueError(f"n must be 1 or more, not {n}")
        n = min(n, self._capacity)  # more there cannot be
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        while isinstance(batch := self._lane.try_receive_many(n), int):
            if batch == _EAGAIN:
                batch = lib.ipk_spsc_wait_message(self._ring, deadline_ns)
            if batch not in AGAIN:
                return [self._receive_otherwise(batch, deadline_ns)]
        return batch

    def peek(self, timeout: float | None = None) -> Loan:
        """Lend the oldest message, to be read in place, waiting while there is none; `Loan.release` receives it.

        Until then nothing else can be received. (One that came in fragments or in a file is copied first.)

        Args:
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired, EndOfStreamError, PeerDiedError, BusyError, LayoutError: as `receive`.
        """
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        lent = self._claims.lend(self._lane, deadline_ns)
        if not isinstance(lent, int):
            return lent
        if lent != -errno.EOVERFLOW:
            raise self._ended(lent)
        incoming = self._for_long()
        try:
            lent = incoming.lend(deadline_ns, self._claims, partial(self._take_way, incoming))
        finally:
            self._take_way(incoming)
        if isinstance(lent, int):
            raise self._receiving_failure(lent)
        return lent

    def __iter__(self) -> Iterator[bytes]:
        """Receive until the end of the stream."""
        while True:
            try:
                yield self.receive()
            except EndOfStreamError:
                return

    def _receive_otherwise(self, rc: int, deadline_ns: int) -> bytes:
        """Receive what is no plain message, as *rc* says, or raise the exception for it."""
        if rc != -errno.EOVERFLOW:
            raise self._ended(rc)
        message = self._receive_long(bytes, deadline_ns)
        if isinstance(message, int):
            raise self._receiving_failure(message)
        return message

    def _receive_otherwise_into(self, into: Any, rc: int, deadline_ns: int) -> int:
        if rc != -errno.EOVERFLOW:
            raise self._ended(rc)
        length = self._receive_long(partial(self._copy, into), deadline_ns)
        if length < 0:
            raise self._receiving_failure(length)
        return length

    def _receive_long(self, copy: Callable[[bytes | bytearray], _T], deadline_ns: int) -> _T | int:
        """What *copy* makes of the oldest message, of any kind, which is received; or ``-errno``."""
        incoming = self._for_long()
        try:
            return incoming.receive(deadline_ns, copy)
        finally:
            self._take_way(incoming)

    def _copy(self, into: Any, message: bytes | bytearray) -> int:
        if len(message) > len(into):
            raise buffer_too_small(len(message), len(into), self._name)
        ffi.memmove(into, message, len(message))
        return len(message)

    def _has_beginning(self) -> bool:
        incoming = self._incoming
        return incoming is not None and incoming.begun

    def _for_long(self) -> Incoming:
        incoming = self._incoming
        if incoming is None:
            raise self._receiving_failure(-errno.EBADF)
        return incoming

    def _take_way(self, incoming: Incoming) -> None:
        """Receive plain messages by the lane or, where there is the beginning of a message, by way of that."""
        lane, around = self._lane, incoming.begun
        if around and not isinstance(lane, Roundabout):
            self._lane = Roundabout(lane)
        elif isinstance(lane, Roundabout) and not around:
            self._lane = lane.plain

    def _ended(self, rc: int) -> IPCError:
        incoming = self._incoming
        if rc in _GONE and incoming is not None:
            incoming.forget()
        return self._receiving_failure(rc)

    def _too_small(self, size: int) -> IPCError:
        """The exception for a buffer of *size* bytes into which the oldest message does not go."""
        lent = ffi.new("struct ipk_spsc_part *")
        try:
            rc = quick.ipk_spsc_try_receive_part(self._ring, lent)
        finally:
            if lent.offset:
                quick.ipk_spsc_return_loan(self._ring)
        if rc:
            return self._receiving_failure(rc)
        return buffer_too_small(lent.length, size, self._name)
