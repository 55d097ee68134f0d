"""Unix stream sockets: unix(7)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from ipckit._framing import Framing, at_least_one, byte_view
from ipckit._retry import failure
from ipckit._stream_reading import ByteReading
from ipckit._stream_writing import ByteWriting
from ipckit._wait import Deadline
from ipckit.sockets._base import NOW, SEND_NOW, connect, new_pair, new_socket
from ipckit.sockets._fds import PassesFds
from ipckit.sockets._listener import Listener, listen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer, Self

    from ipckit.sockets._address import Address
    from ipckit.sockets._fds import HasFileno

_COPIED = 16384  # bytes; up to here it is cheaper to copy header and message together than to call sendmsg(2)


class Stream(ByteReading, ByteWriting, PassesFds):
    """One end of a connection that carries bytes both ways, in order, without boundaries.

    `write` and `read` move bytes; `send` and `receive` move whole messages by putting each one's length before it:
    use them on both sides or on neither. Threads may share a Stream, and take turns in `send` and in `receive`; what
    several processes send, and long writes of several threads, interleaves. After fork(2) both processes have the
    same connection.

    No SIGPIPE: writing to a side that is gone is BrokenPeerError. A side that closes with our data unread makes our
    next read BrokenPeerError (ECONNRESET), once, after what had come before.

    >>> one, other = Stream.pair()
    >>> with one, other:
    ...     one.send(b"question")
    ...     other.receive(timeout=1)
    b'question'
    """

    __slots__ = ("_framing", "_recv", "_send")

    _kind = socket.SOCK_STREAM

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self._framing = Framing(self._largest)
        self._recv = self._view.recv
        self._send = self._view.send

    @classmethod
    def connect(cls, address: Address, *, timeout: float | None = None) -> Self:
        r"""Connect to the listener at *address*, waiting while its backlog is full.

        Args:
            address: a path of at most 107 bytes, or an abstract name: ``"\0name"``.
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            NotFoundError: there is no such path (ENOENT).
            BrokenPeerError: nobody listens there (ECONNREFUSED).
            AccessError: the permission bits forbid it: one needs w (EACCES).
            TimeoutExpired: the backlog stayed full (ETIMEDOUT).
        """
        sock = new_socket(cls._kind)
        connect(sock, address, timeout)
        return cls(sock)

    @classmethod
    def listen(
        cls, address: Address | None, *, backlog: int = 128, mode: int = 0o600, unlink_on_close: bool = True
    ) -> Listener[Self]:
        r"""Listen at *address*. A socket file that a dead server left is replaced, a live server's never.

        Args:
            address: a path of at most 107 bytes; an abstract name, ``"\0name"``; or None for an abstract name that
                the kernel chooses (`Listener.getsockname` tells it).
            backlog: how many connections wait to be accepted, at most sysctl net.core.somaxconn.
            mode: permission bits of the path, exactly, whatever the umask; connecting needs w.
            unlink_on_close: whether `Listener.close`, in this process, removes the path if it is still its own.

        Raises:
            AlreadyExistsError: a live socket, or something else, is there (EADDRINUSE).
        """
        return listen(cls, address, backlog, mode, unlink_on_close=unlink_on_close)

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        """Two connected streams: socketpair(2)."""
        one, other = new_pair(cls._kind)
        return cls(one), cls(other)

    def shutdown(self, how: int = socket.SHUT_WR) -> None:
        """Close one direction, or both, for all who share the connection.

        Args:
            how: ``socket.SHUT_WR`` (the other side finds the end of the stream, and can still answer), ``SHUT_RD``
                or ``SHUT_RDWR``.
        """
        self._check_open()
        try:
            self._view.shutdown(how)
        except OSError as error:
            raise failure(self, error, "shutdown") from None

    def send_fds(self, data: Buffer, fds: Sequence[int | HasFileno], timeout: float | None = None) -> None:
        """As `PassesFds.send_fds`; the descriptors go with the first byte."""
        deadline = None if timeout is None else Deadline.after(timeout)
        if self._framing.unsent:
            self._flush_in_turn(deadline)
        view = byte_view(data)
        written = self._send_once(view, fds, deadline)
        if written < len(view):
            self._write_rest(view[written:], written, deadline)

    def _pull(self, size: int) -> bytes:
        data = self._recv(size, NOW)
        if not data:
            at_least_one(size)
        return data

    def _pull_into(self, buffer: Buffer) -> int:
        count = self._view.recv_into(buffer, 0, NOW)
        if not count:
            at_least_one(memoryview(buffer).nbytes)
        return count

    def _push(self, data: Buffer) -> int:
        return self._send(data, SEND_NOW)

    def _push_both(self, header: bytes, data: bytes | memoryview) -> int:
        if len(data) <= _COPIED:
            return self._send(header + data, SEND_NOW)
        return self._view.sendmsg([header, data], (), SEND_NOW)
