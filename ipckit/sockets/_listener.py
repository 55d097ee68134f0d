"""The Unix socket that connections come to: listen(2)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ipckit.errors import syscall_error
from ipckit.sockets._accepting import ConnectionT, ListeningSocket
from ipckit.sockets._binding import bind
from ipckit.sockets._unix import UnixSocket, new_unix_socket

if TYPE_CHECKING:
    from ipckit.sockets._address import Address


class Listener(ListeningSocket[ConnectionT], UnixSocket):
    """A listening Unix socket; `accept` gives the connections, in the order in which they came.

    Safe for threads and forked workers to share: each connection goes to one of them. The socket is non-blocking
    and has to stay so, for another worker may be faster after each of poll(2)'s promises.
    """

    __slots__ = ()


def listen(
    connection: type[ConnectionT], address: Address | None, backlog: int, mode: int, *, unlink_on_close: bool
) -> Listener[ConnectionT]:
    """Make a listening socket whose `accept` gives *connection* objects; `Stream.listen` has the details."""
    sock = new_unix_socket(connection._kind)
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
