"""Connecting Internet sockets within a deadline: connect(2)."""

from __future__ import annotations

import errno
import select
import socket
from typing import TYPE_CHECKING, TypeVar

from ipckit._wait import FOREVER, Deadline, wait_fd
from ipckit.errors import SyscallError, syscall_error
from ipckit.sockets._base import SocketHandle, new_socket
from ipckit.sockets._inet import bind, written

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ipckit.sockets._resolution import Address, Target

HandleT = TypeVar("HandleT", bound=SocketHandle)


def connect(
    cls: type[HandleT],
    targets: Sequence[Target],
    deadline: Deadline | None,
    source: Sequence[Target] | None,
    prepare: Callable[[socket.socket], None] | None = None,
) -> HandleT:
    """Connect to the first of *targets* that answers; each but the last gets its equal share of the time that is left.

    Args:
        source: what its own address may be.
        prepare: what is done to each socket beforehand.

    Raises:
        SyscallError: none answered; the failure of the last one tried.
    """
    last: SyscallError | None = None
    for index, (family, target) in enumerate(targets):
        handle = cls(new_socket(family, cls._kind))
        try:
            if prepare is not None:
                prepare(handle.socket)
            if source is not None:
                _bind(handle, family, source)
            _connect(handle, target, _share(deadline, len(targets) - index))
        except BaseException as error:
            handle.close()
            if not isinstance(error, SyscallError):
                raise
            last = error
        else:
            return handle
    assert last is not None
    raise last


def _bind(handle: SocketHandle, family: int, source: Sequence[Target]) -> None:
    for its_family, address in source:
        if its_family == family:
            bind(handle.socket, address)
            return
    raise syscall_error(errno.EAFNOSUPPORT, "bind", written(source[0][1]))


def _share(deadline: Deadline | None, parts: int) -> Deadline | None:
    if deadline is None or parts == 1 or deadline is FOREVER:
        return deadline
    return Deadline(deadline.at_ns - deadline.remaining_ns() * (parts - 1) // parts)


def _connect(handle: SocketHandle, target: Address, deadline: Deadline | None) -> None:
    sock = handle.socket
    sock.setblocking(False)
    number = sock.connect_ex(target)
    if number == errno.EINPROGRESS:
        if wait_fd(handle, handle.fileno(), select.POLLOUT, deadline):
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        else:
            number = errno.ETIMEDOUT
    if not number and sock.type == socket.SOCK_STREAM and _with_itself(sock):
        number = errno.ECONNREFUSED
    if number:
        raise syscall_error(number, "connect", written(target), remedy=_REMEDIES.get(number))
    sock.setblocking(True)


def _with_itself(sock: socket.socket) -> bool:
    """Whether the kernel chose the very port that was to be connected to, as it may where nobody listens."""
    try:
        return bool(sock.getpeername() == sock.getsockname())
    except OSError:  # accepted and reset already: the first call on it says so
        return False


_REMEDIES = {
    errno.ECONNREFUSED: "nobody listens there",
    errno.EADDRNOTAVAIL: "every port of sysctl net.ipv4.ip_local_port_range is in use towards that address",
}
