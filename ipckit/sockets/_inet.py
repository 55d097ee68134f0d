"""What every Internet socket has in common: its addresses, how it is bound: ip(7), ipv6(7)."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from ipckit.errors import syscall_error
from ipckit.sockets._base import SocketHandle, new_socket
from ipckit.sockets._resolution import check_address, resolve

if TYPE_CHECKING:
    from ipckit.sockets._resolution import Address


class InetSocket(SocketHandle):
    """An IPv4 or IPv6 socket of any type, listening or not."""

    __slots__ = ()

    _families = (socket.AF_INET, socket.AF_INET6)

    @property
    def address(self) -> Address:
        """The own address: host and port; the port is the one that the kernel chose, where it was asked for port 0."""
        return self.getsockname()

    def getsockname(self) -> Address:
        """The own address: host and port."""
        name: Address = self.socket.getsockname()
        return name

    def getpeername(self) -> Address:
        """The other side's address: host and port.

        Raises:
            BrokenPeerError: there is no other side (ENOTCONN).
        """
        name: Address = self._peer_name()
        return name


def bound(address: Address, kind: int, *, reuse_port: bool, dual_stack: bool) -> socket.socket:
    """A new socket at *address*: at the first of those that its host stands for where that is possible."""
    host, port = check_address(address, passive=True)
    if dual_stack and not host:
        address = ("::", port)
    first: Exception | None = None
    for family, target in resolve(address, kind, passive=True):
        try:
            return _bound_at(family, target, kind, reuse_port=reuse_port, dual_stack=dual_stack)
        except OSError as error:
            first = first or error
    assert first is not None
    raise first


def _bound_at(family: int, target: Address, kind: int, *, reuse_port: bool, dual_stack: bool) -> socket.socket:
    if dual_stack and family != socket.AF_INET6:
        raise ValueError(f"dual_stack needs an IPv6 address such as '::', or '', not {target[0]!r}")
    sock = new_socket(family, kind)
    try:
        if kind == socket.SOCK_STREAM:  # of UDP it would let another socket take our messages
            set_option(sock, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            set_option(sock, socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:  # said, for otherwise sysctl net.ipv6.bindv6only decides
            set_option(sock, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not dual_stack))
        bind(sock, target)
    except BaseException:
        sock.close()
        raise
    return sock


def set_option(sock: socket.socket, level: int, option: int, value: int) -> None:
    """As the socket's own method."""
    try:
        sock.setsockopt(level, option, value)
    except OSError as error:
        raise syscall_error(error.errno or errno.EIO, "setsockopt", repr(sock)) from None


def bind(sock: socket.socket, target: Address) -> None:
    """Give the socket *sock* its own address, *target*."""
    try:
        sock.bind(target)
    except OSError as error:
        number = error.errno or errno.EIO
        raise syscall_error(number, "bind", written(target), remedy=_BIND_REMEDIES.get(number)) from None


def written(address: Address) -> str:
    """host:port, as errors show it."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_BIND_REMEDIES = {
    errno.EADDRINUSE: "another socket has the port; 0 lets the kernel choose a free one",
    errno.EADDRNOTAVAIL: "no interface of this machine has the address",
    errno.EACCES: "ports below sysctl net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE",
}
