"""The producers' calls of an MpmcRing."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ipckit._arguments import check_int
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._wait import NEVER_NS, PASSED, Deadline
from ipckit.errors import IPCError, SyscallError
from ipckit.ring._errors import not_data
from ipckit.ring._inplace_lane import AGAIN
from ipckit.ring._lane import RELEASE_GIL_ABOVE
from ipckit.ring._mpmc_handle import MpmcHandle
from ipckit.ring._mpmc_lane import wait_room

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer

    from ipckit.ring._inplace import Reservation

_EAGAIN = -errno.EAGAIN
_TOO_LONG = -errno.EMSGSIZE
_DROPPED = 1


class MpmcSending(MpmcHandle):
    """What a producer does with its handle."""

    __slots__ = ()

    def join(self) -> None:
        """Become a producer now, and not with the first message: for consumers the stream is not at its end then.

        Raises:
            LimitError: there are as many participants as the creator allowed (ENOSPC).
        """
        rc = quick.ipk_mpmc_join(self._ring, lib.IPK_ROSTER_PRODUCER)
        if rc:
            raise self._failure(rc)

    def send(self, data: Buffer, timeout: float | None = None) -> None:
        """Append a message, waiting while there is no room.

        Args:
            data: any C-contiguous buffer of at most `max_message_size` bytes; sent whole or not at all.
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: there was no room in time (ETIMEDOUT).
            StalledError: the same, and a process that lives has had what is in the way all the time.
            MessageTooLargeError: it can never fit (EMSGSIZE).
            LimitError: there are as many participants as the creator allowed (ENOSPC).
            BrokenPeerError: there is no room, and the last consumer closed (EPIPE).
            PeerDiedError: there is no room, and the last consumer died.
        """
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        if type(data) is bytes:
            rc = self._lane.send(data, deadline_ns)
        else:
            while (rc := self._try_send_buffer(data)) == _EAGAIN:
                rc = wait_room(self._ring, memoryview(data).nbytes, deadline_ns)
                if rc not in AGAIN:
                    break
        if rc == _TOO_LONG and self._long is not None:
            rc = self._long.send(memoryview(data).cast("B"), deadline_ns)
        if rc and rc != _DROPPED:
            raise self._failure(rc, memoryview(data).nbytes)

    def try_send(self, data: Buffer) -> bool:
        """Append a message if there is room now; return whether there was (or it was dropped).

        False also where another process is in the middle of a send and does not go on.

        Raises:
            MessageTooLargeError, LimitError: as `send`.
        """
        rc = self._try_send(data)
        if rc == _EAGAIN:
            rc = wait_room(self._ring, memoryview(data).nbytes, PASSED.at_ns)  # makes room where the dead have it
            if rc in AGAIN:
                rc = self._try_send(data)
        if rc == _TOO_LONG and self._long is not None:
            rc = self._long.send(memoryview(data).cast("B"), PASSED.at_ns)
        if rc < 0 and -rc & 0xFFFF in _NOT_NOW:
            return False
        if rc and rc != _DROPPED:
            raise self._failure(rc, memoryview(data).nbytes)
        return True

    def send_many(self, messages: Iterable[Buffer], timeout: float | None = None) -> None:
        """Append all *messages*, as many at once as there is room for; it pays from about four messages on.

        Those of other producers may come in between.

        Raises:
            TimeoutExpired, StalledError, MessageTooLargeError, LimitError, BrokenPeerError, PeerDiedError: as `send`.
                All but the last tell in `completed` how many were sent.
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
                rc = wait_room(self._ring, len(batch[sent]), deadline_ns)
                if rc in AGAIN:
                    continue
            if rc == _TOO_LONG and self._long is not None:
                try:
                    rc = self._long.send(memoryview(batch[sent]), deadline_ns)
                except SyscallError as error:
                    error.completed = sent
                    raise
            if rc in (0, _DROPPED):
                sent += 1
                continue
            raise self._completed(self._failure(rc, len(batch[sent])), sent)

    def reserve(self, n: int, timeout: float | None = None) -> Reservation:
        """Claim room for a message of *n* bytes, to be written in place, waiting while there is no room.

        Any number of reservations may be open. What is sent later, by anybody, is received after this one was committed
        or aborted: the order is that of the claims. If this process is killed, the reservation is aborted.

        Args:
            n: bytes; `Reservation.commit` may send fewer.
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired, StalledError, MessageTooLargeError, LimitError, BrokenPeerError, PeerDiedError: as `send`.
        """
        check_int(n, "n", 0, NEVER_NS, "bytes")
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        made = self._claims.reserve(self._new_claim(), n, deadline_ns)
        if made == _DROPPED:
            return self._claims.reservation(0, n, _forget, _nothing, memory=bytearray(n))
        if isinstance(made, int):
            raise self._failure(made, n)
        return made

    def _send_apart(self, data: bytes, timeout: float | None) -> None:
        """Send a message through a file, whatever its length; as `send`."""
        assert self._long is not None
        rc = self._long.send(memoryview(data), NEVER_NS if timeout is None else Deadline.after(timeout).at_ns)
        if rc and rc != _DROPPED:
            raise self._failure(rc, len(data))

    def _try_send(self, data: Buffer) -> int:
        return self._lane.try_send(data) if type(data) is bytes else self._try_send_buffer(data)

    def _try_send_buffer(self, data: Buffer) -> int:
        try:
            buffer = ffi.from_buffer(data)
        except (BufferError, TypeError):
            raise not_data(data) from None
        core = lib if len(buffer) > RELEASE_GIL_ABOVE else quick
        rc: int = core.ipk_mpmc_try_send(self._ring, buffer, len(buffer), 0)
        return rc

    def _completed(self, error: IPCError, sent: int) -> IPCError:
        if isinstance(error, SyscallError):
            error.completed = sent
        return error


_NOT_NOW = {errno.EAGAIN, errno.ETIMEDOUT, errno.EPIPE, errno.EOWNERDEAD}


def _forget(_length: int) -> None:
    """The message is dropped, and counted."""


def _nothing() -> None:
    """There is nothing to undo."""
