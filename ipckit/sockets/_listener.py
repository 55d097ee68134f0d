"""The socket that connections come to: listen(2), accept(2)."""

from __future__ import annotations

import errno
import select
import socket
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ipckit._handle import descriptor_for_child, received_descriptor
from ipckit._retry import failure, retry
from ipckit._wait import Deadline
from ipckit.errors import IPCError, syscall_error
from ipckit.sockets._base import UnixSocket, new_socket
from ipckit.sockets._binding import bind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

    from ipckit.sockets._address import Address

ConnectionT = TypeVar("ConnectionT", bound=UnixSocket)


class Listener(UnixSocket, Generic[ConnectionT]):
    """A listening socket; `accept` gives the connections, in the order in which they came.

    Safe for threads and forked workers to share: each connection goes to one of them. The socket is non-blocking
    and has to stay so, for another worker may be faster after each of poll(2)'s promises.
    """

    __slots__ = ("_connection",)

    def __init__(self, sock: socket.socket, connection: type[ConnectionT]) -> None:
        self._connection = connection
        super().__init__(sock)
        sock.setblocking(False)

    def _expected_kind(self) -> int:
        return self._connection._kind

    @classmethod
    def from_socket(cls, sock: socket.socket, connection: type[ConnectionT] | None = None) -> Self:
        """Take over *sock*, which listens already (such as a service manager passes on).

        Args:
            connection: what `accept` makes: `Stream` or `SeqPacket`.
        """
        if connection is None:
            raise TypeError("connection must be Stream or SeqPacket: what accept() is to make")
        handle = cls(sock, connection)
        sock.set_inheritable(False)
        return handle

    def accept(self, timeout: float | None = None) -> ConnectionT:
        """Wait for the next connection.

        Raises:
            TimeoutExpired: none came (ETIMEDOUT).
            LimitError: too many descriptors (EMFILE, ENFILE); the connection stays in the backlog.
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        try:
            try:
                sock, _ = self._view.accept()
            except BlockingIOError:
                sock, _ = retry(self, select.POLLIN, deadline, self._view.accept, "accept")
        except IPCError:
            raise
        except OSError as error:
            raise failure(self, error, "accept") from None
        sock.settimeout(None)
        return self._connection(sock)

    def try_accept(self) -> ConnectionT | None:
        """The next connection if there is one already, else None."""
        try:
            sock, _ = self._view.accept()
        except BlockingIOError:
            return None
        except OSError as error:
            raise failure(self, error, "accept") from None
        sock.settimeout(None)
        return self._connection(sock)

    def __iter__(self) -> Iterator[ConnectionT]:
        """The connections, for ever."""
        while True:
            yield self.accept()

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        self._check_open()
        travelling = descriptor_for_child(self._fd)
        if travelling is None:
            return super().__reduce__()
        return type(self)._adopt_travelled, ((travelling, self._connection),)

    @classmethod
    def _adopt_travelled(cls, travelling: Any) -> Self:
        descriptor, connection = travelling
        return cls(socket.socket(fileno=received_descriptor(descriptor)), connection)


def listen(
    connection: type[ConnectionT], address: Address | None, backlog: int, mode: int, *, unlink_on_close: bool
) -> Listener[ConnectionT]:
    """Make a listening socket whose `accept` gives *connection* objects; `Stream.listen` has the details."""
    sock = new_socket(connection._kind)
    binding = None
    try:
        binding = bind(sock, address, mode)
        try:
            sock.listen(backlog)
        except OSError as error:
            raise syscall_error(error.errno or errno.EIO, "listen", address) from None
        listener = Listener(sock, connection)
    except BaseException:
        if binding is not None:
            binding.unlink()
        sock.close()
        raise
    listener._binding = binding if unlink_on_close else None
    return listener
