"""The connection that a client has at present, and a new one where that has come to its end."""

from __future__ import annotations

import copy
import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from ipckit._handle import Handle
from ipckit._turn import Turn
from ipckit._wait import Deadline
from ipckit.errors import ClosedError, syscall_error
from ipckit.rpc._client.datagram_link import DatagramLink
from ipckit.rpc._client.link import NotSent
from ipckit.rpc._client.stream_link import StreamLink
from ipckit.rpc._client.turns import give_back_all, take

if TYPE_CHECKING:
    from types import CodeType

AnyLink = StreamLink | DatagramLink
Connect = Callable[[Deadline | None], AnyLink]


class Line:
    """Calls over `link`; threads share it.

    Args:
        connect: makes a new link in a forked child; None: there calls fail.
        reconnects: whether it also makes one where the link is broken.
    """

    __slots__ = ("_closed", "_renewing", "connect", "link", "reconnects")

    entrances: ClassVar[frozenset[CodeType]]

    def __init__(self, link: AnyLink, connect: Connect | None, *, reconnects: bool) -> None:
        self.link = link
        self.connect = connect
        self.reconnects = reconnects
        self._renewing = Turn()
        self._closed = False

    @property
    def handle(self) -> Handle:
        """The socket."""
        return self.link.handle

    def close(self) -> None:
        """Let the connection go; those that wait for replies leave with ClosedError."""
        self._closed = True
        self.link.close()

    def call(self, xid: int, head: bytes, data: bytes, deadline: Deadline | None) -> bytes:
        """As `Link.call`; where nothing could be sent, once more over a new link."""
        link = self.link
        try:
            if self.reconnects or link.home is not Handle._here:
                link = self._usable(deadline)
            return link.call(xid, head, data, deadline)
        except NotSent as failed:
            link = self._instead(failed, deadline)
        try:
            return link.call(xid, head, data, deadline)
        except NotSent as failed:
            raise copy.copy(failed.reason) from None

    def send(self, head: bytes, data: bytes, deadline: Deadline | None) -> None:
        """As `Link.send`; otherwise as `call`."""
        try:
            return self._usable(deadline).send(head, data, deadline)
        except NotSent as failed:
            link = self._instead(failed, deadline)
        try:
            return link.send(head, data, deadline)
        except NotSent as failed:
            raise copy.copy(failed.reason) from None

    def _usable(self, deadline: Deadline | None) -> AnyLink:
        link = self.link
        if link.home is not Handle._here:
            if self.connect is None:
                remedy = "the connection is that of the parent process"
                raise syscall_error(errno.ENOTCONN, "send", repr(link.handle), remedy=remedy)
            return self._renewed(self.connect, deadline)
        if self.reconnects and self.connect is not None and link.stale():
            return self._renewed(self.connect, deadline)
        return link

    def _instead(self, failed: NotSent, deadline: Deadline | None) -> AnyLink:
        if self._closed:
            raise ClosedError("Client is closed") from None
        if not self.reconnects or self.connect is None:
            raise copy.copy(failed.reason) from None
        return self._renewed(self.connect, deadline)

    def _renewed(self, connect: Connect, deadline: Deadline | None) -> AnyLink:
        turn = self._renewing
        try:
            take(self, turn, deadline, "connect")
            old = self.link
            if old.broken is not None or old.home is not Handle._here:  # no other thread was faster
                link = connect(deadline)
                link.spin.allowance.most_ns = old.spin.allowance.most_ns
                self.link = link
                old.replaced = True
                old.close()
        finally:
            give_back_all(self, turn)
        if self._closed:  # meanwhile
            self.link.close()
            raise ClosedError("Client is closed")
        return self.link


Line.entrances = frozenset({Line._renewed.__code__})
