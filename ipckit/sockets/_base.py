"""What every Unix socket has in common: the real socket inside, credentials, descriptors in messages: unix(7)."""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from ipckit._handle import FdHandle, received_descriptor
from ipckit._retry import failure, pause
from ipckit._wait import Deadline
from ipckit.errors import syscall_error
from ipckit.sockets._address import is_path, kernel_address

if TYPE_CHECKING:
    from typing_extensions import Self

    from ipckit.sockets._address import Address
    from ipckit.sockets._binding import Binding

NOW = socket.MSG_DONTWAIT  # per call, so that the socket's own blocking mode stays as its user left it
SEND_NOW = NOW | socket.MSG_NOSIGNAL

_UCRED = struct.Struct("iII")
_NOBODY = (1 << 32) - 1


class Credentials(NamedTuple):
    """Who is on the other side: SO_PEERCRED of unix(7)."""

    pid: int
    uid: int
    gid: int


class _View(socket.socket):
    """The same descriptor without a timeout of its own; the handle, and never this object, closes it."""

    def __del__(self) -> None:
        self.detach()


class UnixSocket(FdHandle):
    """A socket with the house's verbs; `socket` is the genuine ``socket.socket`` inside."""

    __slots__ = ("_binding", "_socket", "_view")

    _kind: ClassVar[int]

    def __init__(self, sock: socket.socket) -> None:
        kind = self._expected_kind()
        if sock.family != socket.AF_UNIX or sock.type != kind:
            raise ValueError(f"socket must be AF_UNIX and {socket.SocketKind(kind).name}, not {sock!r}")
        super().__init__(sock.fileno())
        self._socket = sock
        self._binding: Binding | None = None
        mode = sock.gettimeout()
        self._view = _View(sock.family, sock.type, sock.proto, fileno=sock.fileno())
        if self._view.gettimeout() is not None:  # socket.setdefaulttimeout
            self._view.settimeout(None)
            sock.settimeout(mode)

    def _expected_kind(self) -> int:
        return self._kind

    @classmethod
    def from_socket(cls, sock: socket.socket) -> Self:
        """Take *sock* over: this handle closes it. Its blocking mode and timeout stay, and concern only itself.

        Raises:
            ValueError: it is of another family or type.
        """
        handle = cls(sock)
        sock.set_inheritable(False)
        return handle

    def getsockname(self) -> str | bytes:
        """The own address: a path as str, an abstract name as bytes, "" where there is none."""
        name: str | bytes = self.socket.getsockname()
        return name

    def getpeername(self) -> str | bytes:
        """The other side's address, in the forms of `getsockname`.

        Raises:
            BrokenPeerError: there is no other side (ENOTCONN).
        """
        try:
            name: str | bytes = self.socket.getpeername()
        except OSError as error:
            raise failure(self, error, "getpeername") from None
        return name

    def gettimeout(self) -> float | None:
        """The timeout of `socket` in seconds; the methods of this class do not go by it."""
        return self.socket.gettimeout()

    def settimeout(self, timeout: float | None) -> None:
        """Set the timeout of `socket` in seconds; the methods of this class do not go by it."""
        self.socket.settimeout(timeout)

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 socket.setblocking's own signature
        """Set the blocking mode of `socket`; the methods of this class do not go by it."""
        self.socket.setblocking(flag)

    @property
    def peer_credentials(self) -> Credentials:
        """Process, user and group of the other side, as they were when it called connect(2), listen(2) or pair.

        Raises:
            BrokenPeerError: there is no other side (ENOTCONN).
        """
        self._check_open()
        try:
            raw = self._view.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        except OSError as error:
            raise failure(self, error, "getsockopt(SO_PEERCRED)") from None
        found = Credentials(*_UCRED.unpack(raw))
        if found.pid == 0 and found.uid == _NOBODY:
            raise syscall_error(errno.ENOTCONN, "getsockopt(SO_PEERCRED)", repr(self))
        return found

    def close(self) -> None:
        """Let go of the socket; one that made its path in this process removes that, if it is still its own."""
        if not self._closed and self._binding is not None:
            self._binding.unlink()  # before the socket goes: as long as it lives nobody takes the path for dead
        super().close()

    def _release(self) -> None:
        self._view.detach()
        self._fd = -1
        self._socket.close()

    @classmethod
    def _adopt_travelled(cls, travelling: Any) -> Self:
        return cls(socket.socket(fileno=received_descriptor(travelling)))

    def _describe(self) -> str:
        name = self._socket.getsockname()
        return f"fd={self._fd} {name!r}" if name else f"fd={self._fd}"

    # Last, for inside the class the name hides the module from here on.
    @property
    def socket(self) -> socket.socket:
        """The genuine socket, for all that is not here; close this handle instead of it."""
        self._check_open()
        return self._socket


def new_socket(kind: int) -> socket.socket:
    """A close-on-exec socket in blocking mode."""
    try:
        sock = socket.socket(socket.AF_UNIX, kind)
    except OSError as error:
        raise syscall_error(error.errno or errno.EIO, "socket") from None
    sock.settimeout(None)  # whatever socket.setdefaulttimeout says
    return sock


def new_pair(kind: int) -> tuple[socket.socket, socket.socket]:
    """Two sockets that are connected with each other: socketpair(2)."""
    try:
        one, other = socket.socketpair(socket.AF_UNIX, kind)
    except OSError as error:
        raise syscall_error(error.errno or errno.EIO, "socketpair") from None
    one.settimeout(None)
    other.settimeout(None)
    return one, other


def connect(sock: socket.socket, address: Address, timeout: float | None) -> None:
    """Connect *sock*, waiting while the listener's backlog is full; close it if that fails.

    There is nothing to poll for, so the kernel is asked again at intervals that grow from 1 ms to 50 ms.
    """
    try:
        deadline = None if timeout is None else Deadline.after(timeout)
        raw = kernel_address(address)
        sock.setblocking(False)
        turn = 0
        while (number := sock.connect_ex(raw)) == errno.EAGAIN:
            if not pause(deadline, turn):
                number = errno.ETIMEDOUT
                break
            turn += 1
        if number:
            raise syscall_error(number, "connect", raw, remedy=_CONNECT_REMEDIES.get(number) if is_path(raw) else None)
        sock.setblocking(True)
    except BaseException:
        sock.close()
        raise


_CONNECT_REMEDIES = {
    errno.ECONNREFUSED: "nobody listens; the socket file may be left from a server that has ended",
    errno.EPROTOTYPE: "the socket is of another type",
}
