"""Addresses of Internet sockets: host and port, and what a host's name stands for: getaddrinfo(3)."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any, Union

from ipckit.errors import NotFoundError, syscall_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipckit.errors import IPCError

Address = Union["tuple[str, int]", "tuple[str, int, int, int]"]
"""Host and port; of IPv6, as the kernel gives it, also flow information and the scope (the interface's number)."""

Target = tuple[int, Any]  # family, and the address as the socket module takes it


def check_address(address: object, *, passive: bool = False) -> tuple[str, int]:
    """Return host and port of *address*.

    Raises:
        TypeError: it is no (host, port).
        ValueError: the port is not from 0 to 65535; or the host is "", unless *passive*.
    """
    if not isinstance(address, tuple) or len(address) not in {2, 4} or not isinstance(address[0], str):
        raise TypeError(f"address must be (host, port), as in ('127.0.0.1', 8080), not {address!r}")
    host, port = address[:2]
    if isinstance(port, bool) or not isinstance(port, int):
        raise TypeError(f"address must have a port that is an int, not {port!r}")
    if not 0 <= port <= 65535:
        raise ValueError(f"address must have a port from 0 to 65535, not {port}")
    if "\0" in host:
        raise ValueError(f"address must have a host without a NUL: {host!r}")
    if not host and not passive:
        raise ValueError("address must have a host; '' stands for every own address, and one cannot send to that")
    return host, port


def resolve(address: Address, kind: int, *, family: int = socket.AF_UNSPEC, passive: bool = False) -> Sequence[Target]:
    """What *address* stands for, in the order in which the system wants it tried; at least one.

    A name is looked up, in the hosts file or by asking a server, and that waits as long as the system's resolver
    does; a numeric host takes no time.

    Args:
        family: for AF_INET6, IPv4 addresses are mapped into it.
        passive: to bind; "" is then every own address.

    Raises:
        NotFoundError: nobody knows the name.
    """
    host, port = check_address(address, passive=passive)
    flags = (socket.AI_PASSIVE if passive else 0) | (socket.AI_V4MAPPED if family == socket.AF_INET6 else 0)
    try:
        found = socket.getaddrinfo(host or None, port, family, kind, 0, flags)
    except OSError as error:
        raise unknown(error, host) from None
    except UnicodeError:
        raise ValueError(f"address must have a host that is a name or number, not {host!r}") from None
    scope = address[2:]
    return [(one[0], (*one[4][:2], *scope) if scope and one[0] == socket.AF_INET6 else one[4]) for one in found]


def unknown(error: OSError, host: str) -> IPCError:
    """The exception for *error* of getaddrinfo(3)."""
    if not isinstance(error, socket.gaierror):
        return syscall_error(error.errno or errno.EIO, "getaddrinfo", host)
    number = _NUMBERS.get(error.errno or 0)
    if number is None:
        wrong = NotFoundError(errno.ENOENT, error.strerror or "the host is not known", host)
        wrong.syscall = "getaddrinfo"
        return wrong
    return syscall_error(number, "getaddrinfo", host, remedy=error.strerror)


_NUMBERS = {
    socket.EAI_AGAIN: errno.EAGAIN,
    socket.EAI_MEMORY: errno.ENOMEM,
    socket.EAI_FAMILY: errno.EAFNOSUPPORT,
    socket.EAI_ADDRFAMILY: errno.EAFNOSUPPORT,
}
