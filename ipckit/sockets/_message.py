"""What sockets with message boundaries have in common: whole messages, one system call each."""

from __future__ import annotations

import errno
import os
import select
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from ipckit._framing import at_least_one
from ipckit._retry import failure, retry
from ipckit._wait import Deadline
from ipckit._writing_lane import NOT_BYTES
from ipckit.errors import IPCError, syscall_error
from ipckit.sockets._base import NOW, SEND_NOW, SocketHandle

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

_LOOK = NOW | int(socket.MSG_PEEK)
_MEASURE = _LOOK | int(socket.MSG_TRUNC)  # with it recv(2) returns the message's true length


class MessageSocket(SocketHandle):
    """A socket whose `send` and `receive` move whole messages, one system call each."""

    __slots__ = ("_recv", "_room", "_send")

    # Above what SO_SNDBUF lets an unprivileged process send, where net.core.wmem_max is as usual.
    _default_limit: ClassVar[int] = 1 << 19

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._recv = self._view.recv
        self._send = self._view.send
        self.max_message_size = self._default_limit

    @property
    def max_message_size(self) -> int:
        """The largest message that `receive` takes, in bytes; each call sets so much memory aside for a moment."""
        return self._room - 1

    @max_message_size.setter
    def max_message_size(self, limit: int) -> None:
        if not 1 <= limit < 1 << 31:
            raise ValueError(f"max_message_size must be from 1 to 2**31 - 1 bytes, not {limit}")
        _Heap.prepare(limit + 1)
        self._room = limit + 1  # a message that fills it was too large

    def send(self, data: Buffer, timeout: float | None = None) -> None:
        """Send *data* as one message, waiting while there is no room; an empty one is a message, too.

        Args:
            data: sent whole or not at all; the class says how large it may be.
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: there was no room in time (ETIMEDOUT).
            BrokenPeerError: nobody receives any more (EPIPE, ECONNRESET, ECONNREFUSED), or not connected (ENOTCONN).
            MessageTooLargeError: *data* exceeds what the socket can send (EMSGSIZE).
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        send = self._lane_write  # two steps: CPython caches where a slot is for these, and not for a call of it
        sent = send(data)
        if sent < 0 and not self._went(sent, data):
            self._wait(select.POLLOUT, deadline, partial(self._send, data, SEND_NOW), "send")

    def try_send(self, data: Buffer) -> bool:
        """Send *data* if there is room now; False, with nothing sent, if there is none."""
        sent = self._lane_write(data)
        return sent >= 0 or self._went(sent, data)

    def receive(self, timeout: float | None = None) -> bytes:
        """Receive the next message, whole.

        Raises:
            TimeoutExpired: none came (ETIMEDOUT).
            EndOfStreamError: the other side of a connection has closed, and every message was received.
            MessageTooLargeError: it exceeded `max_message_size`, and is lost (EMSGSIZE).
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        try:
            recv = self._recv
            data = recv(self._room, NOW)
        except BlockingIOError:
            message: bytes = self._wait(select.POLLIN, deadline, self._take, "recv")
            return message
        except OSError as error:
            raise failure(self, error, "recv") from None
        return data if data and len(data) != self._room else self._odd(data, "recv")

    def try_receive(self) -> bytes | None:
        """Receive the next message if there is one, else None; b"" is a message."""
        try:
            return self._take()
        except BlockingIOError:
            return None
        except IPCError:
            raise
        except OSError as error:
            raise failure(self, error, "recv") from None

    def peek(self, size: int = 65536, timeout: float | None = None) -> bytes:
        """The first *size* bytes of the next message, which stays where it is: MSG_PEEK of recv(2).

        Raises:
            TimeoutExpired: none came (ETIMEDOUT).
            EndOfStreamError: as `receive`.
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        at_least_one(size)
        data: bytes = self._try_then_wait(select.POLLIN, deadline, partial(self._recv, size, _LOOK), "recv")
        return data or self._empty()

    def peek_size(self, timeout: float | None = None) -> int:
        """The size of the next message in bytes; it stays where it is, however large: MSG_PEEK and MSG_TRUNC.

        Raises:
            TimeoutExpired: none came (ETIMEDOUT).
            EndOfStreamError: as `receive`.
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        measure = partial(self._view.recv_into, bytearray(1), 0, _MEASURE)  # asked for 0 bytes, Python asks nobody
        size: int = self._try_then_wait(select.POLLIN, deadline, measure, "recv")
        return size or len(self._empty())

    def _went(self, sent: int, data: Buffer) -> bool:
        """Whether *data* is out after all, the lane's answer being *sent*, below 0; False where there is no room."""
        try:
            if sent != NOT_BYTES:
                raise OSError(-sent, os.strerror(-sent))
            self._send(data, SEND_NOW)
        except BlockingIOError:
            return False
        except OSError as error:
            raise failure(self, error, "send") from None
        return True

    def _take(self) -> bytes:
        data = self._recv(self._room, NOW)
        return data if 0 < len(data) < self._room else self._odd(data, "recv")

    def _odd(self, data: bytes, call: str) -> bytes:
        """An empty message, or one that was too large."""
        if data:
            remedy = f"it has more than the {self._room - 1} bytes of max_message_size, and is lost"
            raise syscall_error(errno.EMSGSIZE, call, repr(self), remedy=remedy)
        return self._empty()

    def _empty(self) -> bytes:
        """An empty message, where it does not mean the end."""
        return b""

    def _try_then_wait(
        self, events: int, deadline: Deadline | None, attempt: Callable[[], Any], call: str, *, truthful: bool = True
    ) -> Any:
        try:
            return attempt()
        except BlockingIOError:
            return self._wait(events, deadline, attempt, call, truthful=truthful)
        except IPCError:
            raise
        except OSError as error:
            raise failure(self, error, call) from None

    def _wait(
        self, events: int, deadline: Deadline | None, attempt: Callable[[], Any], call: str, *, truthful: bool = True
    ) -> Any:
        try:
            return retry(self, events, deadline, attempt, call, truthful=truthful)
        except IPCError:
            raise
        except OSError as error:
            raise failure(self, error, call) from None


class _Heap:
    """A `receive` sets the largest message's size aside, and gives back at once what the message did not need.

    That costs nothing as long as the C library takes the block from its heap, and several system calls where it maps
    it. glibc maps blocks above a threshold that rises to the size of any mapped block that was freed: mallopt(3).
    """

    prepared = 100_000  # bytes; glibc's threshold begins at 128 KiB
    highest = 32 << 20  # and never rises above this

    @classmethod
    def prepare(cls, size: int) -> None:
        if cls.prepared < size < cls.highest:
            cls.prepared = size
            bytes(size + 4096)  # mapped, never touched, and freed
