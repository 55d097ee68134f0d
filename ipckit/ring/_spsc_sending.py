"""The producer's calls of an SpscRing."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ipckit._arguments import check_int
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._wait import NEVER_NS, PASSED, Deadline
from ipckit.errors import SyscallError
from ipckit.ring._errors import not_data
from ipckit.ring._inplace_lane import AGAIN
from ipckit.ring._lane import RELEASE_GIL_ABOVE
from ipckit.ring._spsc_handle import SpscHandle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer

    from ipckit.ring._inplace import Reservation

_EAGAIN = -errno.EAGAIN
_GONE = (-errno.EPIPE, -errno.EOWNERDEAD)


class SpscSending(SpscHandle):
    """What the producer does with its handle."""

    __slots__ = ()

    def send(self, data: Buffer, timeout: float | None = None) -> None:
        """Append a message, waiting while there is no room.

        Args:
            data: any C-contiguous buffer; sent whole or not at all. (If it is sent in fragments, and the time is up or
                an exception comes in the middle, the consumer throws away what it has.)
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: there was no room in time (ETIMEDOUT).
            MessageTooLargeError: it is longer than `max_message_size`, and the creator chose nothing else (EMSGSIZE).
            LimitError: there is no memory for a file of its own (ENOSPC).
            BusyError: another process, or another thread of this one, is sending (EBUSY).
            BrokenPeerError: there is no room, and the consumer closed its end (EPIPE).
            PeerDiedError: there is no room, and the consumer died.
        """
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        if type(data) is bytes:
            if rc := self._lane.send(data, deadline_ns):
                self._send_otherwise(data, rc, deadline_ns)
        else:
            self._send_buffer(data, deadline_ns)

    def try_send(self, data: Buffer) -> bool:
        """Append a message if there is room now; return whether there was.

        Raises:
            MessageTooLargeError: it is longer than `max_message_size`, and does not go into a file: to send it in
                fragments takes time.
            LimitError, BusyError: as `send`.
        """
        rc = self._lane.try_send(data) if type(data) is bytes else self._try_send_buffer(data)
        if not rc:
            return True
        if rc == _EAGAIN:
            if not self._drops:
                return False
            rc = lib.ipk_spsc_wait_room(self._ring, memoryview(data).nbytes, PASSED.at_ns)  # asks for the consumer
            if rc in AGAIN:
                return self.try_send(data)
        outgoing = self._outgoing
        if rc == -errno.EMSGSIZE and outgoing is not None and outgoing.in_parts:
            raise self._sending_failure(rc, memoryview(data).nbytes)
        if rc != -errno.ETIMEDOUT:
            rc = self._send_by_choice(data, rc, PASSED.at_ns)
        if rc and rc != -errno.ETIMEDOUT:
            raise self._sending_failure(rc, memoryview(data).nbytes)
        return not rc

    def send_many(self, messages: Iterable[Buffer], timeout: float | None = None) -> None:
        """Append all *messages*, as many at once as there is room for; it pays from about four messages on.

        Raises:
            TimeoutExpired, MessageTooLargeError, LimitError, BusyError, BrokenPeerError, PeerDiedError: as `send`. All
                but the last tell in `completed` how many were sent.
        """
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        batch = [data if type(data) is bytes else bytes(memoryview(data)) for data in messages]
        sent = 0
        while sent < len(batch):
            rc = self._lane.try_send_many(batch, sent)
            if rc >= 0:
                sent += rc
                continue
            if rc == _EAGAIN:
                rc = lib.ipk_spsc_wait_room(self._ring, len(batch[sent]), deadline_ns)
                if rc in AGAIN:
                    continue
            try:
                self._send_otherwise(batch[sent], rc, deadline_ns)
            except SyscallError as error:
                error.completed = sent
                raise
            sent += 1

    def reserve(self, n: int, timeout: float | None = None) -> Reservation:
        """Claim room for a message of *n* bytes, to be written in place, waiting while there is no room.

        Until it is committed or aborted nothing else can be sent. A message in place is never longer than
        `max_message_size`, whatever the creator chose.

        Args:
            n: bytes; `Reservation.commit` may send fewer.
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired, MessageTooLargeError, BusyError, BrokenPeerError, PeerDiedError: as `send`.
        """
        if type(n) is not int or not 0 <= n <= NEVER_NS:
            check_int(n, "n", 0, NEVER_NS, "bytes")
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        made = self._claims.reserve(self._lane, n, deadline_ns)
        if not isinstance(made, int):
            return made
        if made in _GONE and self._drops:
            return self._claims.reservation(0, n, self._drop, _nothing, memory=bytearray(n))
        raise self._sending_failure(made, n)

    def _send_buffer(self, data: Buffer, deadline_ns: int) -> None:
        while rc := self._try_send_buffer(data):
            if rc == _EAGAIN:
                rc = lib.ipk_spsc_wait_room(self._ring, memoryview(data).nbytes, deadline_ns)
                if rc in AGAIN:
                    continue
            self._send_otherwise(data, rc, deadline_ns)
            return

    def _try_send_buffer(self, data: Buffer) -> int:
        try:
            buffer = ffi.from_buffer(data)
        except (BufferError, TypeError):
            raise not_data(data) from None
        core = lib if len(buffer) > RELEASE_GIL_ABOVE else quick
        rc: int = core.ipk_spsc_try_send(self._ring, buffer, len(buffer))
        return rc

    def _send_otherwise(self, data: Buffer, rc: int, deadline_ns: int) -> None:
        """Do what was chosen for a message that the core has refused with *rc*, or raise the exception for that."""
        rc = self._send_by_choice(data, rc, deadline_ns)
        if rc:
            raise self._sending_failure(rc, memoryview(data).nbytes)

    def _send_by_choice(self, data: Buffer, rc: int, deadline_ns: int) -> int:
        outgoing = self._outgoing
        if rc == -errno.EMSGSIZE and outgoing is not None:
            rc = outgoing.send(memoryview(data).cast("B"), deadline_ns)
        if rc in _GONE and self._drops:
            rc = quick.ipk_spsc_drop(self._ring)
        return rc

    def _drop(self, _length: int) -> None:
        rc = quick.ipk_spsc_drop(self._ring)
        if rc:
            raise self._sending_failure(rc)


def _nothing() -> None:
    """There is nothing to undo."""
