"""Unix datagram sockets: unix(7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ipckit._wait import Deadline
from ipckit.sockets._address import kernel_address
from ipckit.sockets._addressed import DatagramSocket
from ipckit.sockets._ancillary import AncillarySocket
from ipckit.sockets._binding import bind, bind_abstract
from ipckit.sockets._unix import connect, new_unix_socket

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

    from ipckit.sockets._address import Address


class Received(NamedTuple):
    """A message, and the address to answer to: a path as str, an abstract name as bytes, None for a nameless sender."""

    data: bytes
    address: str | bytes | None


class Datagram(DatagramSocket, AncillarySocket):
    """A socket for single messages, in order and never lost: between Unix sockets a sender waits for room.

    A message is somewhat smaller than SO_SNDBUF; b"" is one. Threads, and processes after fork(2), may share the
    socket: each message goes to one receiver. A receiver is not told that the other side is gone, not even the other
    half of a pair; a sender is, by BrokenPeerError. `receive` takes messages alone: descriptors that come with one the
    kernel closes; `receive_fds` takes both.

    >>> one, other = Datagram.pair()
    >>> with one, other:
    ...     one.send(b"message")
    ...     other.receive(timeout=1)
    b'message'
    """

    __slots__ = ()

    _poll_is_truthful = False

    @classmethod
    def create(cls) -> Self:
        """A nameless, unconnected socket, for `send_to`; nobody can answer it."""
        return cls(new_unix_socket(cls._kind))

    @classmethod
    def bind(cls, address: Address | None, *, mode: int = 0o600, unlink_on_close: bool = True) -> Self:
        r"""A socket that receives at *address*. A file that a dead one left is replaced, a live one's never.

        Args:
            address: a path of at most 107 bytes; an abstract name, ``"\0name"``; or None for an abstract name that
                the kernel chooses (`getsockname` tells it).
            mode: permission bits of the path, exactly, whatever the umask; sending to it needs w.
            unlink_on_close: whether `close`, in this process, removes the path if it is still its own.

        Raises:
            AlreadyExistsError: a live socket, or something else, is there (EADDRINUSE).
        """
        sock = new_unix_socket(cls._kind)
        try:
            binding = bind(sock, address, mode)
            handle = cls(sock)
        except BaseException:
            sock.close()
            raise
        handle._binding = binding if unlink_on_close else None
        return handle

    @classmethod
    def connect(cls, address: Address, *, autobind: bool = False) -> Self:
        """A socket that sends to *address*, and receives from nobody else.

        Args:
            address: as in `bind`.
            autobind: take an abstract name that the kernel chooses, so that the other side can answer.

        Raises:
            NotFoundError: there is no such path (ENOENT).
            BrokenPeerError: nobody receives there (ECONNREFUSED).
            AccessError: the permission bits forbid it (EACCES).
        """
        sock = new_unix_socket(cls._kind)
        if autobind:
            bind_abstract(sock, b"")
        connect(sock, address, None)
        return cls(sock)

    def send_to(self, data: Buffer, address: Address, timeout: float | None = None) -> None:
        """Send *data* to the socket bound to *address*, waiting while its queue is full: sendto(2).

        The queue holds sysctl net.unix.max_dgram_qlen messages. poll(2) does not tell when an unconnected sender's
        has room, so the kernel is asked again at intervals that grow from 1 ms to 50 ms; `connect` avoids that.

        Raises:
            TimeoutExpired: there was no room in time (ETIMEDOUT).
            NotFoundError: there is no such path (ENOENT).
            BrokenPeerError: nobody receives there (ECONNREFUSED).
            MessageTooLargeError: *data* exceeds SO_SNDBUF (EMSGSIZE).
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        self._send_to(data, kernel_address(address), deadline)

    def receive_from(self, timeout: float | None = None) -> Received:
        """Receive the next message together with its sender's address: recvfrom(2).

        Raises:
            TimeoutExpired: none came (ETIMEDOUT).
            MessageTooLargeError: it exceeded `max_message_size`, and is lost (EMSGSIZE).
        """
        data, address = self._receive_from(timeout)
        return Received(data, address or None)
