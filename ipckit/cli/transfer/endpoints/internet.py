"""TCP and UDP."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ipckit.cli.transfer.addresses import host_and_port
from ipckit.cli.transfer.endpoints.sockets import Messages, first_to_connect, listening, of_connection
from ipckit.sockets.inet import Datagram, Stream

if TYPE_CHECKING:
    from ipckit.cli.transfer.endpoints import Endpoint, How


def sender(kind: str, name: str, how: How) -> Endpoint:
    """A connection, to there or, listening, from wherever the first comes; or datagrams to there."""
    address = host_and_port(name)
    if kind == "udp":
        return Messages(Datagram.connect(address))
    if how.listen:
        return first_to_connect(_told(kind, address, Stream.listen(address)), how)
    return of_connection(Stream.connect(address, timeout=how.timeout), how)


def receiver(kind: str, name: str, how: How) -> Endpoint:
    """A connection to there, all who connect, or the datagrams that come there."""
    address = host_and_port(name)
    if kind == "udp":
        return Messages(_told(kind, address, Datagram.bind(address)))
    if how.listen:
        return listening(_told(kind, address, Stream.listen(address)), how)
    return of_connection(Stream.connect(address, timeout=how.timeout), how)


def _told(kind: str, asked: tuple[str, int], bound: Any) -> Any:
    """Say on stderr which port the kernel chose, where it was to choose one."""
    if not asked[1]:
        host, port = bound.address[:2]
        print(f"ipckit: listens at {kind}:{f'[{host}]' if ':' in host else host}:{port}", file=sys.stderr, flush=True)
    return bound
