"""Addresses that commands take: those of `ipckit.inspect`, and what is no object that could be listed.

==================  ================================================================================================
address             what it is
==================  ================================================================================================
tcp:HOST:PORT       a TCP socket; without HOST, of this machine; [HOST] for IPv6
udp:HOST:PORT       the same for UDP
lock:PATH           a file, to lock
pid:NUMBER          a process
==================  ================================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.inspect import addresses

if TYPE_CHECKING:
    from collections.abc import Iterable

_HERE = "localhost"
_OWN = ("tcp", "udp", "lock", "pid")


def parse(text: str, kinds: Iterable[str]) -> tuple[str, str]:
    """Kind and name of an address of one of those *kinds*.

    Raises:
        ValueError: it is none.
    """
    kind, colon, name = text.partition(":")
    if kind not in kinds or not colon or not name:
        known = ", ".join(kinds)
        raise ValueError(f"an address is KIND:NAME, as in mq:/jobs, with KIND one of {known} here; not {text!r}")
    return (kind, name) if kind in _OWN else addresses.parse(text)


def host_and_port(name: str) -> tuple[str, int]:
    """The two of "HOST:PORT", "[HOST]:PORT" or "PORT".

    >>> host_and_port("[::1]:80"), host_and_port("80")
    (('::1', 80), ('localhost', 80))

    Raises:
        ValueError: it has no port.
    """
    host, _, port = name.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"an internet address is HOST:PORT, with a number from 0 to 65535 as PORT; not {name!r}")
    return host.removeprefix("[").removesuffix("]") or _HERE, int(port)


def system_v(name: str) -> tuple[int, bool]:
    """The number in a System V address's name, and whether it is the object's own, not its key's."""
    if name.startswith("id="):
        try:
            return int(name[3:], 0), True
        except ValueError:
            raise ValueError(f"id= must have a number behind it, not {name[3:]!r}") from None
    return int(name, 0), False
