"""The socket that connections come to: listen(2), accept(2)."""

from __future__ import annotations

import errno
import select
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ipckit._retry import failure, retry
from ipckit._wait import Deadline
from ipckit.errors import IPCError
from ipckit.sockets._base import SocketHandle

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from typing_extensions import Self

ConnectionT = TypeVar("ConnectionT", bound=SocketHandle)

# What accept(2) passes on of a connection that broke in the backlog: the next one may be well.
_NEXT = frozenset({errno.ECONNABORTED, errno.EPROTO})


class ListeningSocket(SocketHandle, Generic[ConnectionT]):
    """A listening socket; `accept` gives the connections, in the order in which they came.

    Safe for threads and forked workers to share: each connection goes to one of them. The socket is non-blocking
    and has to stay so, for another worker may be faster after each of poll(2)'s promises. The connections are
    close-on-exec.
    """

    __slots__ = ("_connection",)

    def __init__(self, sock: socket.socket, connection: type[ConnectionT]) -> None:
        if connection._families != self._families:
            raise ValueError(f"connection must be of the same family as {type(self).__qualname__}, not {connection!r}")
        self._connection = connection
        super().__init__(sock)
        sock.setblocking(False)

    def _expected_kind(self) -> int:
        return self._connection._kind

    @classmethod
    def from_socket(cls, sock: socket.socket, connection: type[ConnectionT] | None = None) -> Self:
        """Take over *sock*, which listens already (such as a service manager passes on).

        Args:
            connection: the class of what `accept` makes, such as `Stream`.
        """
        if connection is None:
            raise TypeError("connection must be a class such as Stream: what accept() is to make")
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
            return self._accept_now()
        except BlockingIOError:
            try:
                return retry(self, select.POLLIN, deadline, self._accept_now, "accept")
            except IPCError:
                raise
            except OSError as error:
                raise failure(self, error, "accept") from None
        except OSError as error:
            raise failure(self, error, "accept") from None

    def try_accept(self) -> ConnectionT | None:
        """The next connection if there is one already, else None."""
        try:
            return self._accept_now()
        except BlockingIOError:
            return None
        except OSError as error:
            raise failure(self, error, "accept") from None

    def __iter__(self) -> Iterator[ConnectionT]:
        """The connections, for ever."""
        while True:
            yield self.accept()

    def _accept_now(self) -> ConnectionT:
        while True:
            try:
                sock, _ = self._view.accept()
            except OSError as error:
                if error.errno in _NEXT:
                    continue
                raise
            sock.settimeout(None)  # whatever socket.setdefaulttimeout says
            return self._connection(sock)

    def _facts(self) -> tuple[Any, ...]:
        return (self._connection,)
