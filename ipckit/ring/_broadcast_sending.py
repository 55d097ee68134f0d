"""The writer's calls of a BroadcastRing."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ipckit._arguments import check_int
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._wait import NEVER_NS, PASSED, Deadline
from ipckit.errors import BusyError, ClosedError, IPCError, StalledError, SyscallError, syscall_error
from ipckit.ring._broadcast_handle import BroadcastHandle
from ipckit.ring._errors import not_data, sending_failure, too_large
from ipckit.ring._inplace_lane import AGAIN
from ipckit.ring._lane import RELEASE_GIL_ABOVE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer

    from ipckit.ring._inplace import Reservation

_EAGAIN = -errno.EAGAIN
_TOO_LONG = -errno.EMSGSIZE
_TIME_IS_UP = (-errno.ETIMEDOUT, -errno.ETIME)


class BroadcastSending(BroadcastHandle):
    """What a writer does with its handle."""

    __slots__ = ()

    def send(self, data: Buffer, timeout: float | None = None) -> None:
        """Append a message, waiting while another writer is at work, or a slow reader is in the way.

        Args:
            data: any C-contiguous buffer; sent whole or not at all. (If it is sent in fragments, and the time is up or
                an exception comes in the middle, the readers throw away what they have.)
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: a reader that lives was in the way all the time (ETIMEDOUT).
            StalledError: another writer did not finish its message: it has a reservation, or was stopped (ETIMEDOUT).
            MessageTooLargeError: it is longer than `max_message_size`, and the creator chose nothing else (EMSGSIZE).
            BusyError: this thread has a reservation of the ring (EBUSY).
            LimitError: the ring has as many participants as it may, and all live; or there is no memory for a file of
                its own (ENOSPC).
        """
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        if type(data) is bytes:
            if rc := self._lane.send(data, deadline_ns):
                self._send_otherwise(data, rc, deadline_ns)
        else:
            while rc := self._try_send_buffer(data):
                if rc != _EAGAIN:
                    self._send_otherwise(data, rc, deadline_ns)
                    return
                self._wait_for_room(rc, memoryview(data).nbytes, deadline_ns)

    def try_send(self, data: Buffer) -> bool:
        """Append a message if that is possible now; return whether it was.

        Raises:
            MessageTooLargeError: it is longer than `max_message_size`, and does not go into a file: to send it in
                fragments takes time.
            BusyError, LimitError: as `send`.
        """
        rc = self._try_send(data)
        if rc == _TOO_LONG and self._long is not None and not self._long.in_parts:
            rc = self._long.send(memoryview(data).cast("B"), PASSED.at_ns)
            if rc in _TIME_IS_UP:
                return False
        if rc == _EAGAIN:
            # asks the kernel whether a reader that is in the way, or the writer, lives
            rc = lib.ipk_broadcast_wait_room(self._ring, memoryview(data).nbytes, PASSED.at_ns)
            if rc in _TIME_IS_UP:
                return False
            rc = self._try_send(data) if rc in AGAIN else rc
        if rc and rc != _EAGAIN:
            raise self._sending_failure(rc, memoryview(data).nbytes)
        return not rc

    def send_many(self, messages: Iterable[Buffer], timeout: float | None = None) -> None:
        """Append all *messages*, as many at once as there is room for; it pays from about four messages on.

        Messages of other writers may come between any two.

        Raises:
            TimeoutExpired, StalledError, MessageTooLargeError, BusyError, LimitError: as `send`. They tell in
                `completed` how many were sent.
        """
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        batch = [data if type(data) is bytes else bytes(memoryview(data)) for data in messages]
        sent = 0
        while sent < len(batch):
            rc = self._lane.try_send_many(batch, sent)
            if rc >= 0:
                sent += rc
                continue
            try:
                if rc == _EAGAIN:
                    self._wait_for_room(rc, len(batch[sent]), deadline_ns)
                    continue
                self._send_otherwise(batch[sent], rc, deadline_ns)
            except SyscallError as error:
                error.completed = sent
                raise
            sent += 1

    def reserve(self, n: int, timeout: float | None = None) -> Reservation:
        """Claim room for a message of *n* bytes, to be written in place; until its end other writers wait.

        A message in place is never longer than `max_message_size`, whatever the creator chose.

        Args:
            n: bytes; `Reservation.commit` may send fewer.
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired, StalledError, MessageTooLargeError, BusyError, LimitError: as `send`.
        """
        check_int(n, "n", 0, NEVER_NS, "bytes")
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        made = self._claims.reserve(self._lane, n, deadline_ns)
        if isinstance(made, int):
            raise self._sending_failure(made, n)
        return made

    def _try_send(self, data: Buffer) -> int:
        return self._lane.try_send(data) if type(data) is bytes else self._try_send_buffer(data)

    def _try_send_buffer(self, data: Buffer) -> int:
        try:
            buffer = ffi.from_buffer(data)
        except (BufferError, TypeError):
            raise not_data(data) from None
        core = lib if len(buffer) > RELEASE_GIL_ABOVE else quick
        rc: int = core.ipk_broadcast_try_send(self._ring, buffer, len(buffer))
        return rc

    def _send_otherwise(self, data: Buffer, rc: int, deadline_ns: int) -> None:
        """Do what was chosen for a message that the core has refused with *rc*, or raise the exception for that."""
        if rc == _TOO_LONG and self._long is not None:
            rc = self._long.send(memoryview(data).cast("B"), deadline_ns)
        if rc:
            raise self._sending_failure(rc, memoryview(data).nbytes)

    def _wait_for_room(self, rc: int, length: int, deadline_ns: int) -> None:
        """Wait until *length* bytes may fit; *rc* is why a send failed, and must be -EAGAIN for that."""
        if rc == _EAGAIN:
            rc = lib.ipk_broadcast_wait_room(self._ring, length, deadline_ns)
        if rc not in AGAIN:
            raise self._sending_failure(rc, length)

    def _sending_failure(self, rc: int, length: int = 0) -> IPCError:
        """The exception for what a call of the core returned about a message of *length* bytes."""
        name = self._name or "anonymous ring"
        if rc == -errno.EBADF and self._closed:
            return ClosedError(f"{type(self).__name__} is closed")
        if rc == -errno.EMSGSIZE:
            return too_large(length, self.max_message_size, self._name)
        if rc == -errno.EBUSY:
            return BusyError(errno.EBUSY, "this thread has a reservation of the ring; commit or abort it first", name)
        if rc == -errno.ETIME:
            return self._stalled("send")
        remedies = {
            -errno.ENOSPC: "the ring has as many participants as it may, and all live; create it with more",
            -errno.EPERM: "others took this process for dead: somebody closed the ring's descriptors behind its back",
        }
        if rc == -errno.ETIMEDOUT and (pid := quick.ipk_broadcast_slowest(self._ring)):
            remedies[rc] = f"the reader that is the furthest behind is process {pid}"
        if rc in remedies:
            return syscall_error(-rc, "send", name, remedy=remedies[rc])
        return sending_failure(rc, self._name)

    def _stalled(self, verb: str) -> StalledError:
        """The exception for a wait behind a writer that does not finish."""
        pid: int = quick.ipk_broadcast_holder(self._ring)
        who = f"process {pid}" if pid else "another writer"
        name = self._name or "anonymous ring"
        error = StalledError(errno.ETIMEDOUT, f"The time given is up ({who} has not finished its message)", name)
        error.syscall = verb
        error.pid = pid
        return error
