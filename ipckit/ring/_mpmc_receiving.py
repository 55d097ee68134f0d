"""The consumers' calls of an MpmcRing."""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING, Any

from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._wait import NEVER_NS, PASSED, Deadline
from ipckit.errors import EndOfStreamError, TimeoutExpired
from ipckit.ring._errors import buffer_too_small, not_writable
from ipckit.ring._inplace_lane import AGAIN
from ipckit.ring._lane import RELEASE_GIL_ABOVE
from ipckit.ring._mpmc_handle import MpmcHandle
from ipckit.ring._mpmc_lane import wait_message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

    from ipckit._spill import Spilled
    from ipckit.ring._inplace import Loan
    from ipckit.ring._mpmc_oversize import LongMessages

_EAGAIN = -errno.EAGAIN
_LONG = -errno.EOVERFLOW  # the oldest message is in a file


class MpmcReceiving(MpmcHandle):
    """What a consumer does with its handle."""

    __slots__ = ()

    def receive(self, timeout: float | None = None) -> bytes:
        """Remove and return the oldest message, waiting while there is none.

        Args:
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: no message came in time (ETIMEDOUT).
            StalledError: the same, and a process that lives has had the next one uncommitted all the time.
            EndOfStreamError: the last producer closed, and nothing that was sent is left to take.
            PeerDiedError: the last producer died, and nothing that was sent is left to take.
            LimitError: there are as many participants as the creator allowed (ENOSPC).
            LayoutError: the segment's content is corrupt.
        """
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        message = self._lane.receive(deadline_ns)
        while isinstance(message, int):
            if message == _LONG:
                message = self._long_messages().receive()
            if message in AGAIN:
                message = self._lane.receive(deadline_ns)
            elif isinstance(message, int) and message != _LONG:
                raise self._failure(message, receiving=True)
        return message

    def try_receive(self) -> bytes | None:
        """Remove and return the oldest message, or None if there is none now (``b""`` is a message).

        None also where another process is in the middle of a receive and does not go on.

        Raises:
            EndOfStreamError, PeerDiedError, LimitError, LayoutError: as `receive`.
        """
        message = self._take()
        if message == _EAGAIN:
            message = wait_message(self._ring, PASSED.at_ns)  # asks for the producers
            if message in AGAIN:
                message = self._take()
        if not isinstance(message, int):
            return message
        if message == _EAGAIN:
            return None
        error = self._failure(message, receiving=True)
        if isinstance(error, TimeoutExpired):
            return None
        raise error

    def _take(self) -> bytes | int:
        """The oldest message, from the ring or from its file; or ``-errno``."""
        message = self._lane.try_receive()
        if isinstance(message, int) and message == _LONG:
            message = self._long_messages().receive()
        return message

    def receive_into(self, buffer: Buffer, timeout: float | None = None) -> int:
        """Remove the oldest message and copy it into *buffer*, waiting while there is none.

        Args:
            buffer: writable and C-contiguous.
            timeout: seconds; None waits for ever, 0 never waits.

        Returns:
            Bytes of the message.

        Raises:
            MessageTooLargeError: the message is longer than *buffer*; it stays the next one to be received (EMSGSIZE).
            TimeoutExpired, StalledError, EndOfStreamError, PeerDiedError, LimitError, LayoutError: as `receive`.
        """
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        try:
            into = ffi.from_buffer(buffer, require_writable=True)
        except (BufferError, TypeError):
            raise not_writable(buffer) from None
        with into:
            size = len(into)
            while True:
                length = self._try_receive_into(into)
                if length >= 0:
                    return length
                if length == -errno.EMSGSIZE:
                    length = self._length_of_next()
                    if length > size:
                        raise buffer_too_small(length, size, self._name)
                    length = min(length, 0)  # another one has received that: this one may go in
                if length == _LONG:
                    return self._receive_long_into(into)
                if length == _EAGAIN:
                    length = wait_message(self._ring, deadline_ns)
                if length in AGAIN:
                    continue
                raise self._failure(length, receiving=True)

    def _receive_long_into(self, into: Any) -> int:
        with self.peek(0) as loan:
            length = len(loan.buf)
            if length > len(into):
                raise buffer_too_small(length, len(into), self._name)
            ffi.memmove(into, loan.buf, length)
            return length

    def receive_many(self, n: int, timeout: float | None = None) -> list[bytes]:
        """Remove and return what is there, at most *n* messages, waiting only while there is none at all.

        Raises:
            TimeoutExpired, StalledError, EndOfStreamError, PeerDiedError, LimitError, LayoutError: as `receive`.
        """
        if isinstance(n, bool) or not isinstance(n, int):
            raise TypeError(f"n must be an int, not {n!r}")
        if n < 1:
            raise ValueError(f"n must be 1 or more, not {n}")
        n = min(n, self._capacity)  # more there cannot be
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        while isinstance(batch := self._lane.try_receive_many(n), int):
            if batch == _LONG:
                message = self._long_messages().receive()
                if not isinstance(message, int):
                    return [message]
                batch = message
            if batch == _EAGAIN:
                batch = wait_message(self._ring, deadline_ns)
            if batch not in AGAIN:
                raise self._failure(batch, receiving=True)
        return batch

    def peek(self, timeout: float | None = None) -> Loan:
        """Lend the oldest message, to be read in place, waiting while there is none; `Loan.release` receives it.

        Any number of loans may be open; others receive what comes after them. The room of a message, and of those
        behind it, is free again when it was released. If this process is killed, another one receives it, or it is
        lost, as the creator chose.

        Args:
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired, StalledError, EndOfStreamError, PeerDiedError, LimitError, LayoutError: as `receive`.
        """
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        while isinstance(lent := self._claims.lend(self._new_claim(), deadline_ns), int):
            if lent == _LONG:
                lent = self._lend_long()
                if not isinstance(lent, int):
                    break
            if lent not in AGAIN:
                raise self._failure(lent, receiving=True)
        return lent

    def _lend_long(self) -> Loan | int:
        """The loan of a message that lies in a file: of a copy. It is the oldest, which another one may have by now."""
        ring, messages = self._ring, self._long_messages()
        loan = ffi.new("struct ipk_mpmc_claim *")
        try:
            rc: int = quick.ipk_mpmc_try_receive(ring, loan, 1)
            if rc < 0:
                return rc
            message, key = messages.read(loan)
            if message is None:
                message = b""
            release = partial(_received_long, ring, loan, messages, key)
            return self._claims.loan(0, len(message), release, partial(_put_back, ring, loan), memory=message)
        except BaseException:
            if loan.member:
                _put_back(ring, loan)
            raise

    def __iter__(self) -> Iterator[bytes]:
        """Receive until the end of the stream."""
        while True:
            try:
                yield self.receive()
            except EndOfStreamError:
                return

    def _try_receive_into(self, into: Any) -> int:
        size = len(into)
        length: int = quick.ipk_mpmc_try_receive_into(self._ring, into, min(size, RELEASE_GIL_ABOVE))
        if length == -errno.EMSGSIZE and size > RELEASE_GIL_ABOVE:
            length = lib.ipk_mpmc_try_receive_into(self._ring, into, size)
        return length

    def _length_of_next(self) -> int:
        """The length of the oldest message, or ``-errno``."""
        ring = self._ring
        loan = ffi.new("struct ipk_mpmc_claim *")
        try:
            rc: int = quick.ipk_mpmc_try_receive(ring, loan, 1)
        finally:
            if loan.member:
                _put_back(ring, loan)
        return loan.length if rc == 1 else rc


def _received_long(ring: Any, loan: Any, messages: LongMessages, key: Spilled | None) -> None:
    messages.remove(key)
    quick.ipk_mpmc_release(ring, loan, 1)


def _put_back(ring: Any, loan: Any) -> None:
    quick.ipk_mpmc_return_loan(ring, loan, 1)
