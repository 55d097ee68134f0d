"""Calls over UDP: a call is sent again, with the same xid, until its reply comes."""

from __future__ import annotations

import errno
import select
import time
from typing import TYPE_CHECKING, Any

from ipckit._retry import expired, failure
from ipckit._wait import NEVER_NS, Deadline, wait_fd
from ipckit.errors import BrokenPeerError, syscall_error
from ipckit.rpc._client.link import SEND_NOW, Link
from ipckit.sockets.inet import Datagram

if TYPE_CHECKING:
    from ipckit.errors import IPCError
    from ipckit.rpc._client.reading import Box

MOST_DATAGRAM = 65507  # bytes of a message over IPv4
LONGEST_INTERVAL_NS = 8_000_000_000


class DatagramLink(Link[Datagram]):
    """A connected UDP socket and its calls.

    Args:
        interval_ns: after so long a call is sent for the second time; the times after that double, up to 8 s.
    """

    def __init__(self, handle: Datagram, interval_ns: int) -> None:
        super().__init__(handle)
        self._interval_ns = interval_ns

    def stale(self) -> bool:
        """Never: there is no connection that could end."""
        return False

    def _exchange(self, xid: int, head: bytes, data: bytes, deadline: Deadline | None, box: Box[Any]) -> bytes:
        end_ns = NEVER_NS if deadline is None else deadline.at_ns
        interval_ns = self._interval_ns
        while True:
            try:
                self._transmit(head, data, deadline)
            except BrokenPeerError as error:
                if error.errno != errno.ECONNREFUSED:
                    raise
                self._transmit(head, data, deadline)  # that was the answer to an earlier message; this one was not sent
            until = Deadline(min(end_ns, time.monotonic_ns() + interval_ns))
            reply = self._await(xid, box, until)
            if reply is not None:
                return reply
            if until.at_ns == end_ns:
                raise expired(self.handle, "recv")
            interval_ns = max(interval_ns, min(2 * interval_ns, LONGEST_INTERVAL_NS))

    def _transmit(self, head: bytes, data: bytes, deadline: Deadline | None) -> None:
        message = head + data
        while True:
            try:
                self._send(message, SEND_NOW[0])
            except BlockingIOError:
                if not wait_fd(self.handle, self._fd, select.POLLOUT, deadline):
                    raise expired(self.handle, "send") from None
            except OSError as error:
                raise self._lost(error, "send") from None
            else:
                return

    def _deliver(self, xid: int | None) -> bytes | None:
        reply = None
        while self._chunks:
            message = self._chunks.pop(0)
            if not message:  # also what a socket gives that is closed
                self.handle._check_open()
            reply = self._give(message, xid) or reply
        return reply

    def _lost(self, error: OSError, syscall: str) -> IPCError:
        # The answer of the other machine to one message, which concerns no other: that will have an answer of its own.
        if error.errno == errno.ECONNREFUSED:
            return syscall_error(errno.ECONNREFUSED, syscall, repr(self.handle), remedy="nobody listens there")
        return failure(self.handle, error, syscall)
