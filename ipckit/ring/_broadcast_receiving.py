"""The reader's calls of a BroadcastRing."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from ipckit._arguments import check_int
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._wait import NEVER_NS, PASSED, Deadline
from ipckit.errors import (
    BusyError,
    ClosedError,
    DisconnectedError,
    EndOfStreamError,
    IPCError,
    MessagesLostError,
    TimeoutExpired,
    syscall_error,
)
from ipckit.ring._broadcast_lane import WAIT
from ipckit.ring._broadcast_oversize import LONG
from ipckit.ring._broadcast_sending import BroadcastSending
from ipckit.ring._errors import buffer_too_small, not_writable, receiving_failure
from ipckit.ring._inplace_lane import AGAIN
from ipckit.ring._lane import RELEASE_GIL_ABOVE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

    from ipckit.ring._broadcast_oversize import LongMessages
    from ipckit.ring._inplace import Loan

_ESTALE = -errno.ESTALE
_GONE = (-errno.EPIPE, -errno.EOWNERDEAD)


class BroadcastReceiving(BroadcastSending):
    """What a reader does with its handle."""

    __slots__ = ()

    def subscribe(self, history: int = 0, timeout: float | None = None) -> int:
        """Become a reader of all messages from now on, and of the newest *history* before, as far as they are retained.

        A handle that is a reader already begins anew. One that is none becomes one with its first receive, too.

        Args:
            history: how many older messages.
            timeout: seconds to wait for a writer that is at work, which only *history* on a ring that blocks has to.

        Returns:
            How many older messages this handle will receive first.

        Raises:
            StalledError: a writer did not finish its message (ETIMEDOUT).
            LimitError: the ring has as many participants as it may, and all live (ENOSPC).
            BusyError: this handle has a message on loan, or this thread a reservation (EBUSY).
        """
        check_int(history, "history", 0, NEVER_NS, "messages")
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        while (found := quick.ipk_broadcast_subscribe(self._ring, history)) < 0:
            self._wait_to_subscribe(found, deadline_ns)
        self._begin_anew()
        return int(found)

    def unsubscribe(self) -> bool:
        """Be a reader no more; return whether the handle was one.

        Raises:
            BusyError: it has a message on loan (EBUSY).
        """
        while (rc := quick.ipk_broadcast_unsubscribe(self._ring)) < 0:
            self._wait_to_subscribe(rc, NEVER_NS)
        self._begin_anew()
        return bool(rc)

    def receive(self, timeout: float | None = None) -> bytes:
        """Return the next message, waiting while there is none. The first call subscribes to what is sent from then on.

        Args:
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: no message came in time (ETIMEDOUT).
            MessagesLostError: messages were overwritten before this handle had received them, on a ring that
                overwrites; the next call goes on with the oldest that is left.
            DisconnectedError: the same, on a ring that disconnects (ECONNRESET); only `subscribe` helps.
            EndOfStreamError: the last writer closed its end, and all that was sent has been received.
            PeerDiedError: the last writer died, and all that was sent has been received.
            BusyError: this handle has a message on loan (EBUSY).
            LimitError: the ring has as many participants as it may, and all live (ENOSPC).
            LayoutError: the segment's content is corrupt.
        """
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        message = self._lane.receive(deadline_ns)
        while isinstance(message, int):
            if message == LONG:
                message = self._long_messages().receive()
            if message in WAIT:
                message = self._lane.receive(deadline_ns)
            elif isinstance(message, int) and message != LONG:
                raise self._receiving_failure(message)
        return message

    def try_receive(self) -> bytes | None:
        """Return the next message, or None if there is none now (``b""`` is a message).

        Raises:
            MessagesLostError, DisconnectedError, EndOfStreamError, PeerDiedError, BusyError, LimitError, LayoutError:
                as `receive`.
        """
        while isinstance(message := self._lane.try_receive(), int):
            if message == LONG:
                message = self._long_messages().receive()
                if not isinstance(message, int):
                    break
            try:
                self._wait_for_message(message, PASSED.at_ns)  # asks for the writers
            except TimeoutExpired:
                return None
        return message

    def receive_into(self, buffer: Buffer, timeout: float | None = None) -> int:
        """Copy the next message into *buffer*, waiting while there is none.

        Args:
            buffer: writable and C-contiguous. What is in it after an exception is undefined.
            timeout: seconds; None waits for ever, 0 never waits.

        Returns:
            Bytes of the message.

        Raises:
            MessageTooLargeError: the message is longer than *buffer*; it is still the next one (EMSGSIZE).
            TimeoutExpired, MessagesLostError, DisconnectedError, EndOfStreamError, PeerDiedError, BusyError,
                LimitError, LayoutError: as `receive`.
        """
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        try:
            into = ffi.from_buffer(buffer, require_writable=True)
        except (BufferError, TypeError):
            raise not_writable(buffer) from None
        with into:
            core = lib if len(into) > RELEASE_GIL_ABOVE else quick
            while True:
                length: int = core.ipk_broadcast_try_receive(self._ring, into, len(into))
                if length == -errno.EMSGSIZE:
                    length = quick.ipk_broadcast_next_length(self._ring)
                    if length > len(into):
                        raise buffer_too_small(length, len(into), self._name)
                    if length >= 0:  # a shorter one is the next by now
                        continue
                if length == LONG:
                    length = self._long_messages().receive_into(into)
                    if length > len(into):
                        raise buffer_too_small(length, len(into), self._name)
                if length >= 0:
                    return length
                self._wait_for_message(length, deadline_ns)

    def receive_many(self, n: int, timeout: float | None = None) -> list[bytes]:
        """Return what is there, at most *n* messages, waiting only while there is none at all. It never skips a gap.

        A message that came in fragments or in a file comes alone.

        Raises:
            TimeoutExpired, MessagesLostError, DisconnectedError, EndOfStreamError, PeerDiedError, BusyError,
                LimitError, LayoutError: as `receive`.
        """
        check_int(n, "n", 1, NEVER_NS, "messages")
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        while isinstance(batch := self._lane.try_receive_many(n), int):
            if batch == LONG:
                message = self._long_messages().receive()
                if not isinstance(message, int):
                    return [message]
                batch = message
            self._wait_for_message(batch, deadline_ns)
        return batch

    def peek(self, timeout: float | None = None) -> Loan:
        """Lend the next message, to be read in place, waiting while there is none; `Loan.release` receives it.

        Until then nothing else can be received with this handle. Other readers don't notice. (One that came in
        fragments or in a file is copied first.)

        Args:
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            UnsupportedError: the writers of this ring wait for nobody, and would overwrite what is being read.
            TimeoutExpired, EndOfStreamError, PeerDiedError, BusyError, LimitError, LayoutError: as `receive`.
        """
        deadline_ns = NEVER_NS if timeout is None else Deadline.after(timeout).at_ns
        while isinstance(lent := self._claims.lend(self._lane, deadline_ns), int):
            if lent == LONG:
                lent = self._long_messages().lend(self._claims)
                if not isinstance(lent, int):
                    break
            self._wait_for_message(lent, deadline_ns)
        return lent

    def __iter__(self) -> Iterator[bytes]:
        """Receive until the end of the stream. MessagesLostError ends an iteration; another goes on after the gap."""
        while True:
            try:
                yield self.receive()
            except EndOfStreamError:
                return

    def _begin_anew(self) -> None:
        """What was lost before, or begun, is none of this subscription's business."""
        quick.ipk_broadcast_told(self._ring)
        if self._long is not None:
            self._long.forget()

    def _long_messages(self) -> LongMessages:
        long = self._long
        if long is None:  # the core tells of such messages only where the creator chose so
            raise self._receiving_failure(-errno.EBADF)
        return long

    def _wait_for_message(self, rc: int, deadline_ns: int) -> None:
        """Wait until there may be a message; *rc* is why a receive failed, and must be one of `WAIT` for that."""
        if rc in WAIT:
            rc = lib.ipk_broadcast_wait_message(self._ring, deadline_ns)
        if rc not in AGAIN:
            raise self._receiving_failure(rc)

    def _wait_to_subscribe(self, rc: int, deadline_ns: int) -> None:
        if rc in WAIT:
            rc = lib.ipk_broadcast_wait_subscribe(self._ring, deadline_ns)
        if rc == -errno.ETIME:
            raise self._stalled("subscribe")
        if rc not in AGAIN:
            raise self._receiving_failure(rc)

    def _receiving_failure(self, rc: int) -> IPCError:
        name = self._name or "anonymous ring"
        if rc == _ESTALE:
            return self._gap(name)
        if rc == -errno.EBADF and self._closed:
            return ClosedError(f"{type(self).__name__} is closed")
        if rc in _GONE and self._long is not None:
            self._long.forget()
            self._long.sweep()
        plain: dict[int, Any] = {
            -errno.ECONNRESET: (DisconnectedError, "this reader was too slow, and was disconnected; subscribe again"),
            -errno.EBUSY: (BusyError, "this handle has a message on loan, or this thread a reservation"),
        }
        if rc in plain:
            kind, text = plain[rc]
            failure: IPCError = kind(-rc, text, name)
            return failure
        remedies = {
            -errno.ENOSPC: "the ring has as many participants as it may, and all live; create it with more",
            -errno.EOPNOTSUPP: "the writers of this ring wait for nobody, and would overwrite what is being read; "
            "receive_into copies it",
        }
        if rc in remedies:
            return syscall_error(-rc, "receive", name, remedy=remedies[rc])
        return receiving_failure(rc, self._name, who="the last writer")

    def _gap(self, name: str) -> MessagesLostError:
        lost: int = quick.ipk_broadcast_told(self._ring)
        self._lost += lost
        error = MessagesLostError(f"{lost} messages of {name!r} were overwritten before this reader had received them")
        error.lost = lost
        return error
