"""A call by datagram that is answered from elsewhere than it went to, or by many."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from ipckit._wait import Deadline
from ipckit.errors import IPCError, RpcProtocolError, TimeoutExpired
from ipckit.rpc._client.datagram_link import LONGEST_INTERVAL_NS
from ipckit.rpc._wire.message import ReplyHeader, decode_reply, unpack_xid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ipckit.sockets import inet


class Reply(NamedTuple):
    """A reply, and who sent it."""

    head: ReplyHeader
    message: bytes
    address: inet.Address


def replies(
    sock: inet.Datagram, message: bytes, targets: Sequence[tuple[str, int]], deadline: Deadline, interval_ns: int
) -> Iterator[Reply]:
    """Send *message*, a call, to all *targets*, again and again; every reply that has its number, until *deadline*.

    What else comes is ignored, for anybody may send here.

    Args:
        sock: not connected.
        interval_ns: after so long the call is sent for the second time; the times after that double, up to 8 s.

    Raises:
        IPCError: it could not be sent to any of them.
    """
    (xid,) = unpack_xid(message)
    reached = False
    while True:
        for target in targets:
            try:
                sock.send_to(message, target, deadline.left())
                reached = True
            except IPCError:
                if not reached and target is targets[-1]:
                    raise
        until = Deadline(min(deadline.at_ns, time.monotonic_ns() + interval_ns))
        late = False
        while not late:
            late = until.expired  # then one more, not all of a flood
            try:
                data, address = sock.receive_from(until.left())
            except TimeoutExpired:
                break
            head = _head(data)
            if head is not None and head.xid == xid:
                yield Reply(head, data, address)
        if deadline.expired:
            return
        interval_ns = max(interval_ns, min(2 * interval_ns, LONGEST_INTERVAL_NS))


def _head(data: bytes) -> ReplyHeader | None:
    try:
        return decode_reply(data)
    except RpcProtocolError:
        return None
