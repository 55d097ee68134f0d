"""A call by datagram whose reply may come from another port than it went to, as rpcbind(8) answers callit."""

from __future__ import annotations

import errno
import random
from typing import TYPE_CHECKING, Any

from ipckit._wait import Deadline
from ipckit.errors import syscall_error
from ipckit.rpc._client.asking import replies
from ipckit.rpc._portmap.protocol import PROGRAM
from ipckit.rpc._wire.message import encode_call
from ipckit.sockets import inet

if TYPE_CHECKING:
    from ipckit.rpc.procedure import Procedure

_INTERVAL_NS = 500_000_000


def ask(target: tuple[str, int], version: int, procedure: Procedure, argument: Any, timeout: float | None) -> Any:
    """Call the port mapper at *target*; the result, from whoever on that host knows the number of the call.

    Raises:
        TimeoutExpired: nobody answered (ETIMEDOUT).
        RpcError: the answer is a refusal.
    """
    deadline = Deadline.after(timeout)
    arguments = procedure.arguments.encode((argument,))
    message = encode_call(random.getrandbits(32), PROGRAM, version, procedure.number, arguments)
    with inet.Datagram.connect(target) as route:
        host = route.address[0]
    with inet.Datagram.bind((host, 0)) as sock:
        for head, reply, _ in replies(sock, message, (target,), deadline, _INTERVAL_NS):
            if head.error is not None:
                head.error.args = (f"{procedure.name}: {head.error}",)
                raise head.error
            return procedure.result.decode_from(reply, head.start)[0]
    raise syscall_error(errno.ETIMEDOUT, "recvfrom", f"{target[0]} port {target[1]}")
