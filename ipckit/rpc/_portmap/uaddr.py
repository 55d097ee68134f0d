"""Universal addresses: what a port mapper says of where a program is: RFC 5665, section 5.2."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

from ipckit.sockets import inet

LOCAL = "local"
EVERY = "0.0.0.0"  # noqa: S104 what addresses say for "each of ours"; nothing is bound to it


def universal(host: str, port: int) -> str:
    """The universal address of *host*, a number, and *port*: the port's two bytes follow it.

    >>> universal("127.0.0.1", 2049)
    '127.0.0.1.8.1'
    """
    return f"{host}.{port >> 8}.{port & 255}"


def host_and_port(address: str) -> tuple[str, int]:
    """The host and port of a universal address.

    >>> host_and_port("127.0.0.1.8.1")
    ('127.0.0.1', 2049)

    Raises:
        ValueError: it is none.
    """
    host, *rest = address.rsplit(".", 2)
    if len(rest) != 2 or not _is_host(host) or not all(part.isdecimal() and int(part) < 256 for part in rest):
        raise ValueError(f"address must be a host and the two bytes of a port, as 127.0.0.1.0.111, not {address!r}")
    return host, (int(rest[0]) << 8) | int(rest[1])


def _is_host(text: str) -> bool:
    try:
        ip_address(text.split("%", maxsplit=1)[0])
    except ValueError:
        return False
    return True


def netid_and_address(listener: Any) -> tuple[str, str] | None:
    """By which network identifier and at which universal address clients find *listener*; None: by none.

    An abstract Unix name cannot be told to a port mapper: its strings are names of files.
    """
    sock: socket.socket = listener.socket
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return (LOCAL, name) if isinstance(name, str) and name else None
    kind = "udp" if isinstance(listener, inet.Datagram) else "tcp"
    return kind + ("6" if sock.family == socket.AF_INET6 else ""), universal(name[0], name[1])


def seen_by(address: str, client: Any) -> str:
    """*address* as *client* can use it: in place of "every own address" the one that leads to the client."""
    host, port = host_and_port(address)
    if host not in {EVERY, "::"} or not isinstance(client, tuple):
        return address
    with inet.Datagram.connect((client[0], client[1] or 1)) as towards:  # nothing is sent; the kernel chooses
        return universal(towards.address[0], port)
