"""What every Unix socket has in common: its names, and who is on the other side: unix(7), socketpair(2)."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

from ipckit._retry import pause
from ipckit._wait import Deadline
from ipckit.errors import SyscallError, syscall_error
from ipckit.features import SO_PEERPIDFD
from ipckit.sockets._address import is_path, kernel_address
from ipckit.sockets._base import SocketHandle, new_socket

if TYPE_CHECKING:
    from ipckit.sockets._address import Address

UCRED = struct.Struct("iII")
_NOBODY = (1 << 32) - 1


class Credentials(NamedTuple):
    """Who sent a message, or is on the other side: struct ucred of unix(7)."""

    pid: int
    uid: int
    gid: int


class UnixSocket(SocketHandle):
    """A Unix socket of any type, listening or not."""

    __slots__ = ()

    _families = (socket.AF_UNIX,)

    def getsockname(self) -> str | bytes:
        """The own address: a path as str, an abstract name as bytes, "" where there is none."""
        name: str | bytes = self.socket.getsockname()
        return name

    def getpeername(self) -> str | bytes:
        """The other side's address, in the forms of `getsockname`.

        Raises:
            BrokenPeerError: there is no other side (ENOTCONN).
        """
        name: str | bytes = self._peer_name()
        return name

    @property
    def peer_credentials(self) -> Credentials:
        """Process, user and group of the other side, as they were when it called connect(2), listen(2) or pair.

        Raises:
            BrokenPeerError: there is no other side (ENOTCONN).
        """
        call = "getsockopt(SO_PEERCRED)"
        found = Credentials(*UCRED.unpack(self._get_option(socket.SOL_SOCKET, socket.SO_PEERCRED, call, UCRED.size)))
        if found.pid == 0 and found.uid == _NOBODY:
            raise syscall_error(errno.ENOTCONN, call, repr(self))
        return found

    def peer_pidfd(self) -> int:
        """A new pidfd_open(2) descriptor of the process that `peer_credentials` names; the caller's to close.

        The kernel keeps the process itself, not its number (SO_PEERPIDFD, Linux 6.5), so it is that process and no
        other, however long ago it connected. Before Linux 6.5 its number is opened now: if the process has ended and
        another one got its number meanwhile, the descriptor is that one's. `features.has_peer_pidfd` tells which.

        Raises:
            NoProcessError: the process has ended and was waited for (ESRCH), and the kernel keeps nothing of it.
            BrokenPeerError: there is no other side (ENOTCONN).
            UnsupportedError: there is no pidfd_open(2) either (ENOSYS).
        """
        credentials = self.peer_credentials
        try:
            try:
                fd: int = self._get_option(socket.SOL_SOCKET, SO_PEERPIDFD, "getsockopt(SO_PEERPIDFD)")
            except SyscallError as error:
                if error.errno != errno.ENOPROTOOPT:
                    raise
                fd = _pidfd_by_number(credentials.pid)
        except OSError as error:
            if error.errno == errno.EINVAL:  # what kernels before 6.16 say of a process that was waited for
                raise syscall_error(errno.ESRCH, "getsockopt(SO_PEERPIDFD)", f"pid {credentials.pid}") from None
            raise
        os.set_inheritable(fd, False)
        return fd


def _pidfd_by_number(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except AttributeError:
        raise syscall_error(errno.ENOSYS, "pidfd_open", f"pid {pid}") from None
    except OSError as error:
        raise syscall_error(error.errno or errno.EIO, "pidfd_open", f"pid {pid}") from None


def new_unix_socket(kind: int) -> socket.socket:
    """As `new_socket`."""
    return new_socket(socket.AF_UNIX, kind)


def connect(sock: socket.socket, address: Address, timeout: float | None) -> None:
    """Connect *sock*, waiting while the listener's backlog is full; close it if that fails.

    There is nothing to poll for, so the kernel is asked again at intervals that grow from 1 ms to 50 ms.
    """
    try:
        deadline = None if timeout is None else Deadline.after(timeout)
        raw = kernel_address(address)
        sock.setblocking(False)
        turn = 0
        while True:
            number = sock.connect_ex(raw)
            if number != errno.EAGAIN:
                break
            if not pause(deadline, turn):
                number = errno.ETIMEDOUT
                break
            turn += 1
        if number:
            remedy = _CONNECT_REMEDIES.get(number) if is_path(raw) else None
            raise syscall_error(number, "connect", os.fsdecode(raw), remedy=remedy)
        sock.setblocking(True)
    except BaseException:
        sock.close()
        raise


_CONNECT_REMEDIES = {
    errno.ECONNREFUSED: "nobody listens; the socket file may be left from a server that has ended",
    errno.EPROTOTYPE: "the socket is of another type",
}
