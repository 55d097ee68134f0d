"""What every socket has in common: the real socket inside, its life, its modes: socket(7)."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any, ClassVar

from ipckit._handle import FdHandle, received_descriptor
from ipckit._retry import failure
from ipckit._writing_lane import lane_of
from ipckit.errors import syscall_error

if TYPE_CHECKING:
    from typing_extensions import Self

    from ipckit.sockets._binding import Binding

NOW = int(socket.MSG_DONTWAIT)  # per call, so that the socket's own blocking mode stays as its user left it
SEND_NOW = NOW | int(socket.MSG_NOSIGNAL)


class _View(socket.socket):
    """The same descriptor without a timeout of its own; the handle, and never this object, closes it."""

    def __del__(self) -> None:
        self.detach()


class SocketHandle(FdHandle):
    """A socket with the house's verbs; `socket` is the genuine ``socket.socket`` inside."""

    __slots__ = ("_binding", "_lane", "_lane_write", "_socket", "_view")

    _families: ClassVar[tuple[int, ...]]
    _kind: ClassVar[int]

    def __init__(self, sock: socket.socket) -> None:
        kind = self._expected_kind()
        if sock.family not in self._families or sock.type != kind:
            families = " or ".join(socket.AddressFamily(family).name for family in self._families)
            raise ValueError(f"socket must be {families} and {socket.SocketKind(kind).name}, not {sock!r}")
        super().__init__(sock.fileno())
        self._socket = sock
        self._binding: Binding | None = None
        mode = sock.gettimeout()
        self._view = _View(sock.family, sock.type, sock.proto, fileno=sock.fileno())
        if self._view.gettimeout() is not None:  # socket.setdefaulttimeout
            self._view.settimeout(None)
            sock.settimeout(mode)
        self._lane = lane_of(self._fd, socket=True)
        self._lane_write = self._lane.write

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

    def gettimeout(self) -> float | None:
        """The timeout of `socket` in seconds; the methods of this class do not go by it."""
        return self.socket.gettimeout()

    def settimeout(self, timeout: float | None) -> None:
        """Set the timeout of `socket` in seconds; the methods of this class do not go by it."""
        self.socket.settimeout(timeout)

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 socket.setblocking's own signature
        """Set the blocking mode of `socket`; the methods of this class do not go by it."""
        self.socket.setblocking(flag)

    def close(self) -> None:
        """Let go of the socket; one that made its path in this process removes that, if it is still its own.

        Raises:
            AccessError: its directory no longer lets us (EACCES); the socket is closed all the same.
        """
        try:
            if not self._closed and self._binding is not None:
                self._binding.unlink()  # before the socket goes: as long as it lives nobody takes the path for dead
        finally:
            super().close()

    def _peer_name(self) -> Any:
        try:
            return self.socket.getpeername()
        except OSError as error:
            raise failure(self, error, "getpeername") from None

    def _get_option(self, level: int, option: int, call: str, size: int = 0) -> Any:
        self._check_open()
        try:
            return self._view.getsockopt(level, option, size) if size else self._view.getsockopt(level, option)
        except OSError as error:
            raise failure(self, error, call) from None

    def _set_option(self, level: int, option: int, value: int, call: str) -> None:
        self._check_open()
        try:
            self._view.setsockopt(level, option, value)
        except OSError as error:
            raise failure(self, error, call) from None

    def _release(self) -> None:
        self._lane.close()
        self._view.detach()
        fd, self._fd = self._fd, -1
        try:
            self._socket.close()
        except OSError as error:  # somebody else closed the descriptor
            raise syscall_error(error.errno or errno.EIO, "close", f"fd {fd}") from None

    @classmethod
    def _adopt_travelled(cls, travelling: Any, *facts: Any) -> Self:
        return cls(socket.socket(fileno=received_descriptor(travelling)), *facts)

    def _describe(self) -> str:
        name = self._socket.getsockname()
        return f"fd={self._fd} {name!r}" if name else f"fd={self._fd}"

    # Last, for inside the class the name hides the module from here on.
    @property
    def socket(self) -> socket.socket:
        """The genuine socket, for all that is not here; close this handle instead of it."""
        self._check_open()
        return self._socket


class Connection(SocketHandle):
    """A socket that is connected with one other, and can close one direction."""

    __slots__ = ()

    def shutdown(self, how: int = socket.SHUT_WR) -> None:
        """Close one direction, or both, for all who share the connection.

        Args:
            how: ``socket.SHUT_WR`` (the other side finds the end, and can still answer), ``SHUT_RD`` or ``SHUT_RDWR``.
        """
        self._check_open()
        try:
            self._view.shutdown(how)
        except OSError as error:
            raise failure(self, error, "shutdown") from None


def new_socket(family: int, kind: int) -> socket.socket:
    """A close-on-exec socket in blocking mode."""
    try:
        sock = socket.socket(family, kind)
    except OSError as error:
        raise syscall_error(error.errno or errno.EIO, "socket") from None
    sock.settimeout(None)  # whatever socket.setdefaulttimeout says
    return sock
