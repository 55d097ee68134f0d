"""Many calls in flight over one socket; a call that is alone does with one send(2) and one recv(2)."""

from __future__ import annotations

import copy
import select
import socket
from typing import TYPE_CHECKING, Any

from ipckit._handle import Handle
from ipckit._retry import expired
from ipckit._turn import Turn
from ipckit._wait import FOREVER, Deadline, wait_fd
from ipckit.errors import ClosedError, IPCError
from ipckit.rpc._client.reading import Box, Reading, SocketT
from ipckit.rpc._client.turns import give_back_all, take

if TYPE_CHECKING:
    import threading

SEND_NOW = (int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL),)


class NotSent(Exception):
    """The link is broken, and of the message nothing was sent over it: another one can carry it."""

    def __init__(self, reason: IPCError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Link(Reading[SocketT]):
    """A socket and the calls that wait for their replies on it.

    Threads share it. A process that was forked must not use it: the replies would go to either.
    """

    def __init__(self, handle: SocketT) -> None:
        super().__init__(handle)
        self.replaced = False  # whether a client that reconnects has another one by now
        self.home = Handle._here
        self._sending = Turn()
        self._send = handle.socket.send

    def close(self) -> None:
        """Let the socket go once the last thread that uses it has left; those that wait leave with ClosedError."""
        handle = self.handle
        waking = handle.socket if self.home is Handle._here and handle._users and not handle._closed else None
        handle.close()
        if waking is not None:
            try:
                waking.shutdown(socket.SHUT_RDWR)
            except OSError:  # it is not connected any more, or the last thread has just left
                pass

    def call(self, xid: int, head: bytes, data: bytes, deadline: Deadline | None) -> bytes:
        """Send the call and wait for its reply.

        Raises:
            TimeoutExpired, BrokenPeerError, ClosedError: there is none.
        """
        handle = self.handle
        # As `with handle._in_use()` does, spelt out, for this is on the way of every call; `append` would let a signal
        # handler raise behind it.
        users = handle._users
        users += (handle._here,)
        try:
            if handle._closed:
                raise self._gone()
            box = self._pending[xid] = Box()
            return self._exchange(xid, head, data, deadline, box)
        except ClosedError:
            raise self._closed() from None
        except BaseException:
            self._abandon()
            raise
        finally:
            users.pop()
            self._pending.pop(xid, None)
            if handle._closed:
                handle._release_unless_used()

    def send(self, head: bytes, data: bytes, deadline: Deadline | None) -> None:
        """Send a call that is not waited for."""
        try:
            if self.handle._closed:
                raise self._gone()
            with self.handle._in_use():
                self._transmit(head, data, deadline)
        except ClosedError:
            raise self._closed() from None
        except BaseException:
            self._abandon()
            raise

    def _closed(self) -> IPCError:
        """Why the socket is closed: the client is, or it has got another one."""
        return copy.copy(self.broken) if self.replaced and self.broken else ClosedError("Client is closed")

    def _gone(self) -> Exception:
        """The same where nothing was sent."""
        return NotSent(self.broken) if self.replaced and self.broken else ClosedError("Client is closed")

    def _abandon(self) -> None:
        """See that an exception leaves no turn with this thread, and that others go on."""
        give_back_all(self, self._reading, self._sending)
        self._pass_on()

    def _exchange(self, xid: int, head: bytes, data: bytes, deadline: Deadline | None, box: Box[Any]) -> bytes:
        self._transmit(head, data, deadline)
        reply = self._await(xid, box, deadline)
        if reply is None:
            raise expired(self.handle, "recv")
        return reply

    def _transmit(self, head: bytes, data: bytes, deadline: Deadline | None) -> None:
        """Send one message."""
        raise NotImplementedError

    def _turn_to_send(self, deadline: Deadline | None) -> threading.RLock:
        """Wait until no other thread sends; return what ends our turn."""
        try:
            return take(self, self._sending, deadline, "send")
        except ClosedError:
            raise self._gone() from None

    def _wait_for_room(self, deadline: Deadline | None) -> None:
        """Wait until there may be room to send.

        A server that cannot send may stop to receive; so replies are read meanwhile, if no other thread does.
        """
        lock = self._try_to_lead()
        try:
            events = select.POLLOUT if lock is None else select.POLLOUT | select.POLLIN
            end = Deadline((deadline or FOREVER).slice_end_ns())
            if not wait_fd(self.handle, self._fd, events, end) and deadline is not None and deadline.expired:
                raise expired(self.handle, "send")
            if lock is not None:
                self._look()
        finally:
            if lock is not None:
                self._reading.give_back(lock)
                self._pass_on()


Link.entrances = frozenset({Link.call.__code__, Link.send.__code__})
