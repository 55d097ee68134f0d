"""Connections for calls, new or again."""

from __future__ import annotations

from ipckit._wait import NEVER_NS, Deadline
from ipckit.rpc._client.datagram_link import DatagramLink
from ipckit.rpc._client.stream_link import StreamLink
from ipckit.sockets import inet, unix


def tcp(address: tuple[str, int], max_size: int, deadline: Deadline | None) -> StreamLink:
    """A connection to the server at *address*, which must come about before *deadline*."""
    return StreamLink(inet.Stream.connect(address, timeout=None if deadline is None else deadline.left()), max_size)


def local(path: unix.Address, max_size: int, deadline: Deadline | None) -> StreamLink:
    """As `tcp`."""
    return StreamLink(unix.Stream.connect(path, timeout=None if deadline is None else deadline.left()), max_size)


def udp(address: tuple[str, int], interval_ns: int, _: Deadline | None) -> DatagramLink:
    """A socket that sends to *address*."""
    return DatagramLink(inet.Datagram.connect(address), interval_ns)


def interval_of(seconds: float) -> int:
    """*seconds* between two attempts over UDP, in nanoseconds.

    Raises:
        ValueError, TypeError: they are no time, or none at all.
    """
    if not Deadline.after(seconds).at_ns:
        raise ValueError("retry_interval must be more than 0 seconds: a server takes time to reply")
    return int(min(seconds * 1e9, NEVER_NS))
