"""UDP: udp(7)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, NamedTuple

from ipckit._retry import failure
from ipckit._wait import Deadline
from ipckit.sockets._addressed import DatagramSocket
from ipckit.sockets._base import SEND_NOW
from ipckit.sockets._inet import InetSocket, bound
from ipckit.sockets._inet_connecting import connect
from ipckit.sockets._resolution import check_address, resolve

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

    from ipckit.sockets._resolution import Address


class Received(NamedTuple):
    """A message, and the address to answer to."""

    data: bytes
    address: Address


class Datagram(DatagramSocket, InetSocket):
    """A UDP socket: single messages, each whole or not at all; one may be lost, come twice, or overtake another.

    A message has at most 65507 bytes (65527 over IPv6); b"" is one. A sender is not held up by a slow receiver: what
    finds its receiver's buffer (SO_RCVBUF) full is lost. Threads, and processes after fork(2), may share the socket:
    each message goes to one receiver.

    Where nobody receives, a sender that is connected learns it late: the next call after the answer of the other
    machine, be it a `send` or a `receive`, is BrokenPeerError (ECONNREFUSED), once. An unconnected one never learns it.

    >>> with Datagram.bind(("127.0.0.1", 0)) as server, Datagram.connect(server.address) as client:
    ...     client.send(b"question")
    ...     server.receive_from(timeout=5).data
    b'question'
    """

    __slots__ = ()

    _default_limit = 65535
    _poll_is_truthful = True

    @classmethod
    def bind(cls, address: Address, *, reuse_port: bool = False, dual_stack: bool = False) -> Self:
        """A socket that receives at *address*, and from whoever sends there.

        Args:
            address: as in `Stream.listen`; ("", 0) is for a sender to anybody.
            reuse_port: share the port with other sockets of this user that say so, too: SO_REUSEPORT. The kernel
                gives all messages of one sender to the same one of them.
            dual_stack: for "::" and "": receive IPv4 messages too; they come from "::ffff:1.2.3.4".

        Raises:
            AlreadyExistsError: another socket has the port (EADDRINUSE).
            AccessError: the port needs a privilege (EACCES).
            NotFoundError: nobody knows the name.
        """
        return cls(bound(address, cls._kind, reuse_port=reuse_port, dual_stack=dual_stack))

    @classmethod
    def connect(cls, address: Address, *, source: Address | None = None) -> Self:
        """A socket that sends to *address*, and receives from there alone. Nothing is sent yet, and nobody asked.

        Args:
            address: host and port; a name's first address that there is a way to. To look a name up waits for the
                system's resolver.
            source: the own address; port 0 lets the kernel choose.

        Raises:
            NotFoundError: nobody knows the name.
            SyscallError: there is no way there (ENETUNREACH).
        """
        own = None if source is None else resolve(source, cls._kind, passive=True)
        return connect(cls, resolve(address, cls._kind), None, own)

    def send_to(self, data: Buffer, address: Address, timeout: float | None = None) -> None:
        """Send *data* to *address*: sendto(2).

        Args:
            data: at most 65507 bytes; sent whole or not at all.
            address: host and port. A name is looked up each time, and waits for the system's resolver; a number,
                such as an address that `receive_from` gave, is not. A dual-stack socket takes IPv4 numbers too.
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: there was no room in time (ETIMEDOUT).
            MessageTooLargeError: *data* has more than 65507 bytes (EMSGSIZE).
            NotFoundError: nobody knows the name.
            BrokenPeerError: nobody received what was sent before (ECONNREFUSED).
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        check_address(address)
        try:
            self._view.sendto(data, SEND_NOW, address)
        except (BlockingIOError, socket.gaierror):  # to wait with, or mapped into IPv6: its number
            _, target = resolve(address, self._kind, family=self._view.family)[0]
            self._send_to(data, target, deadline)
        except OSError as error:
            raise failure(self, error, "sendto") from None

    def receive_from(self, timeout: float | None = None) -> Received:
        """Receive the next message together with its sender's address: recvfrom(2).

        Raises:
            TimeoutExpired: none came (ETIMEDOUT).
            BrokenPeerError: nobody received what was sent before (ECONNREFUSED).
        """
        return Received(*self._receive_from(timeout))
