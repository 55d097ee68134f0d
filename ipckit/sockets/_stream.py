"""Unix stream sockets: unix(7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.sockets._ancillary import AncillarySocket
from ipckit.sockets._bytes import StreamSocket
from ipckit.sockets._listener import Listener, listen
from ipckit.sockets._unix import connect, new_unix_socket

if TYPE_CHECKING:
    from typing_extensions import Self

    from ipckit._wait import Deadline
    from ipckit.sockets._address import Address


class Stream(StreamSocket, AncillarySocket):
    """One end of a connection that carries bytes both ways, in order, without boundaries.

    `write` and `read` move bytes; `send` and `receive` move whole messages by putting each one's length before it:
    use them on both sides or on neither. Threads may share a Stream, and take turns in `send` and in `receive`; what
    several processes send, and long writes of several threads, interleaves. After fork(2) both processes have the
    same connection.

    No SIGPIPE: writing to a side that is gone is BrokenPeerError. A side that closes with our data unread makes our
    next read BrokenPeerError (ECONNRESET), once, after what had come before. `read` and `receive` take bytes alone:
    descriptors that come with them the kernel closes; `receive_fds` takes both.

    >>> one, other = Stream.pair()
    >>> with one, other:
    ...     one.send(b"question")
    ...     other.receive(timeout=1)
    b'question'
    """

    __slots__ = ()

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
        sock = new_unix_socket(cls._kind)
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

    def _send_beside(self, view: memoryview, control: list[tuple[int, int, Any]], deadline: Deadline | None) -> None:
        if self._framing.outgoing:
            self._flush_in_turn(deadline)
        written = self._send_once(view, control, deadline)  # what goes beside it goes with the first byte
        if written < len(view):
            self._write_rest([written], view[written:], deadline)
