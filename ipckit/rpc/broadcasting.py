"""One call to many servers, by UDP: RFC 5531, section 8.4.2, and RFC 1833, section 2.2.1."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, NamedTuple

from ipckit._wait import Deadline
from ipckit.errors import RpcError, XdrError
from ipckit.rpc._client.asking import replies
from ipckit.rpc._client.caller import Caller
from ipckit.rpc._client.connecting import interval_of
from ipckit.rpc._client.datagram_link import MOST_DATAGRAM
from ipckit.rpc._portmap.protocol import PMAP_CALLIT, PORT, PROGRAM, CallArguments
from ipckit.sockets import inet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ipckit.rpc._client.asking import Reply
    from ipckit.rpc.auth import Credential
    from ipckit.rpc.procedure import Procedure

__all__ = ["Answer", "broadcast"]

_EVERYBODY = "255.255.255.255"


class Answer(NamedTuple):
    """What one server answered to a broadcast."""

    result: Any
    address: tuple[str, int]
    """Host and port of the program, for `Client.connect_udp`."""


def broadcast(
    program: int,
    version: int,
    procedure: Procedure,
    *arguments: Any,
    timeout: float | None,
    until: Callable[[Answer], object] | None = None,
    port: int | None = None,
    addresses: Iterable[str] | None = None,
    credential: Credential | None = None,
    mapper_port: int = PORT,
    retry_interval: float = 1.0,
) -> list[Answer]:
    """Call a procedure of every server that hears it; their answers, in the order in which they came.

    Each server is in the list once, even if the call reached it several times. Servers that refuse, and whatever sends
    no result of the procedure's type, are left out: nobody to whom a broadcast means nothing has to answer. Anybody in
    the network may answer.

    Args:
        program: its number.
        version: of the program.
        arguments: as many as *procedure* takes; the call should fit into one packet of the network.
        timeout: seconds to collect answers; None: until *until* says so.
        until: called with each answer; a true value ends the collection with this one.
        port: of the program, on every machine. None: the port mappers are asked to pass the call on, and tell the port;
            rpcbind(8) does so with its option ``-r`` alone.
        addresses: where to call, IPv4: broadcast addresses, or machines. None: the networks of all interfaces that
            are up.
        credential: who calls.
        mapper_port: where port mappers are.
        retry_interval: seconds after which the call is sent again, to find who missed it; each further time after
            twice as long, up to 8 s.

    Raises:
        XdrError: an argument is not of its type.
        ValueError: there is neither a *timeout* nor *until*, so that it would never end.
        MessageTooLargeError: the call has more than 65507 bytes, or more than the network broadcasts (EMSGSIZE).
        SyscallError: there is no way to any of the *addresses* (ENETUNREACH).
    """
    deadline = Deadline.after(timeout)
    if timeout is None and until is None:
        raise ValueError("timeout must be seconds where there is no until: nobody knows how many will answer")
    data, number = procedure.arguments.encode(arguments), procedure.number
    caller = Caller(program, version, credential, MOST_DATAGRAM)
    if port is None:
        data = PMAP_CALLIT.arguments.encode((CallArguments(program, version, number, data),))
        number = PMAP_CALLIT.number
        caller = Caller(PROGRAM, 2, credential, MOST_DATAGRAM)
    message = caller.head(caller.new_xid(), number, len(data)) + data
    hosts = _networks() if addresses is None else list(addresses)
    targets = [(host, mapper_port if port is None else port) for host in hosts]
    if not targets:
        raise ValueError("addresses must name at least one network or machine")
    found: dict[tuple[str, int], Answer] = {}
    with inet.Datagram.bind(("0.0.0.0", 0)) as sock:  # noqa: S104 from any machine
        sock.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for reply in replies(sock, message, targets, deadline, interval_of(retry_interval)):
            answer = _answer(caller, procedure, reply, mapped=port is None)
            if answer is None or answer.address in found:
                continue
            found[answer.address] = answer
            if until is None or not until(answer):
                continue
            break
    return list(found.values())


def _answer(caller: Caller, procedure: Procedure, reply: Reply, *, mapped: bool) -> Answer | None:
    """What *reply* says; None where it is no result."""
    data, (host, port, *_) = reply.message, reply.address
    try:
        start = caller.result_at(data, procedure.number)
        if mapped:
            passed_on = PMAP_CALLIT.result.decode_from(data, start)[0]
            data, start, port = passed_on.results, 0, passed_on.port
        return Answer(procedure.result.decode_from(data, start)[0], (host, port))
    except (XdrError, RpcError):
        return None


def _networks() -> list[str]:
    """The broadcast addresses of all interfaces that are up."""
    import psutil

    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    found = {
        address.broadcast
        for name, addresses in psutil.net_if_addrs().items()
        if name in up
        for address in addresses
        if address.family == socket.AF_INET and address.broadcast
    }
    return sorted(found) or [_EVERYBODY]
