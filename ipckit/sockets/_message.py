"""What datagram and sequenced-packet sockets have in common: messages that keep their boundaries: unix(7)."""

from __future__ import annotations

import mmap
import select
import socket
from typing import TYPE_CHECKING, Any

from ipckit._framing import too_large
from ipckit._retry import failure, retry
from ipckit._wait import Deadline
from ipckit.errors import IPCError
from ipckit.sockets._base import NOW, SEND_NOW
from ipckit.sockets._fds import PassesFds

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

_DEFAULT_LIMIT = 1 << 19  # above what SO_SNDBUF lets an unprivileged process send, where net.core.wmem_max is as usual
TAKE = NOW | socket.MSG_TRUNC  # with it recv(2) returns the message's true length


class MessageSocket(PassesFds):
    """A socket whose `send` and `receive` move whole messages, one system call each."""

    __slots__ = ("_buffers", "_limit", "_recv_into", "_send")

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._limit = _DEFAULT_LIMIT
        self._recv_into = self._view.recv_into
        self._send = self._view.send
        # Each receiving thread takes one out and puts it back: list.pop and list.append are atomic.
        self._buffers: list[memoryview] = []

    @property
    def max_message_size(self) -> int:
        """The largest message that `receive` takes, in bytes; 512 KiB unless set."""
        return self._limit

    @max_message_size.setter
    def max_message_size(self, limit: int) -> None:
        if not 1 <= limit < 1 << 31:
            raise ValueError(f"max_message_size must be from 1 to 2**31 - 1 bytes, not {limit}")
        self._limit = limit
        self._buffers = []

    def send(self, data: Buffer, timeout: float | None = None) -> None:
        """Send *data* as one message, waiting while there is no room; an empty one is a message, too.

        Args:
            data: somewhat less than SO_SNDBUF, whatever it is; sent whole or not at all.
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: there was no room in time (ETIMEDOUT).
            BrokenPeerError: nobody receives any more (EPIPE, ECONNRESET, ECONNREFUSED), or not connected (ENOTCONN).
            MessageTooLargeError: *data* exceeds SO_SNDBUF (EMSGSIZE).
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        try:
            self._send(data, SEND_NOW)
        except BlockingIOError:
            self._wait(select.POLLOUT, deadline, lambda: self._send(data, SEND_NOW), "send")
        except OSError as error:
            raise failure(self, error, "send") from None

    def try_send(self, data: Buffer) -> bool:
        """Send *data* if there is room now; False, with nothing sent, if there is none."""
        try:
            self._send(data, SEND_NOW)
        except BlockingIOError:
            return False
        except OSError as error:
            raise failure(self, error, "send") from None
        return True

    def receive(self, timeout: float | None = None) -> bytes:
        """Receive the next message, whole.

        Raises:
            TimeoutExpired: none came (ETIMEDOUT).
            EndOfStreamError: the other side of a SeqPacket connection has closed, and every message was received.
            MessageTooLargeError: it exceeded `max_message_size`, and is lost (EMSGSIZE).
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        try:
            return self._take()
        except BlockingIOError:
            message: bytes = self._wait(select.POLLIN, deadline, self._take, "recv")
            return message
        except IPCError:
            raise
        except OSError as error:
            raise failure(self, error, "recv") from None

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

    def _take(self) -> bytes:
        buffers = self._buffers
        try:
            view = buffers.pop()
        except IndexError:
            view = self._new_buffer()
        try:
            size = self._recv_into(view, 0, TAKE)
            return view[:size].tobytes() if 0 < size <= len(view) else self._odd(size, len(view))
        finally:
            buffers.append(view)

    def _odd(self, size: int, room: int) -> bytes:
        """An empty message, or one that was too large."""
        if size > room:
            raise too_large(size, room, "recv")
        return b""

    def _new_buffer(self) -> memoryview:
        # Untouched pages of a mapping cost nothing, and PRIVATE keeps a forked child's messages its own.
        return memoryview(mmap.mmap(-1, self._limit, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))

    def _release(self) -> None:
        self._buffers.clear()
        super()._release()

    def _wait(
        self, events: int, deadline: Deadline | None, attempt: Callable[[], Any], call: str, *, truthful: bool = True
    ) -> Any:
        try:
            return retry(self, events, deadline, attempt, call, truthful=truthful)
        except IPCError:
            raise
        except OSError as error:
            raise failure(self, error, call) from None
