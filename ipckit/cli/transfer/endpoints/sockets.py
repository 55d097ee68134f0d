"""What Unix and internet sockets have in common as endpoints."""

from __future__ import annotations

from typing import Any

from ipckit.cli.transfer.endpoints import Endpoint, How
from ipckit.cli.transfer.endpoints.streams import ByteStream


class Messages(Endpoint):
    """A socket that keeps the boundaries of messages."""

    handle: Any

    def send(self, message: bytes, timeout: float | None) -> None:
        """Send the message."""
        self.handle.send(message, timeout)

    def receive(self, timeout: float | None) -> bytes:
        """Take the next message."""
        data: bytes = self.handle.receive(timeout)
        return data


def of_connection(handle: Any, how: How) -> Endpoint:
    """The endpoint that a connection is."""
    end = ByteStream(handle, how.wire) if hasattr(handle, "read") else Messages(handle)
    end.final = True
    return end


def first_to_connect(listener: Any, how: How) -> Endpoint:
    """The connection of whoever comes first; nobody else is served."""
    with listener:
        return of_connection(listener.accept(how.timeout), how)


def listening(listener: Any, how: How) -> Endpoint:
    """All who connect, to receive from."""
    from ipckit.cli.transfer.endpoints.serving import Served

    return Served(listener, lambda handle: of_connection(handle, how), follow=how.follow or how.exact)
