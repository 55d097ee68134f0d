"""Who sent a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.errors import IPCError

if TYPE_CHECKING:
    from ipckit.sockets.unix import Credentials


class Peer:
    """The other side of a connection, or the sender of one message from a FIFO or queue.

    Attributes:
        address: of a connection, as ``getpeername`` tells it; None for a FIFO or queue.
        credentials: process, user and group of the other side of a Unix socket; None elsewhere.
        state: a dict of the handler's own, empty at first; it lives as long as the connection, or the one message.
        priority: of a message from a POSIX queue; None elsewhere.
        type: of a message from a System V queue; None elsewhere.
    """

    __slots__ = ("address", "credentials", "priority", "state", "type")

    def __init__(
        self,
        address: object = None,
        credentials: Credentials | None = None,
        *,
        priority: int | None = None,
        type: int | None = None,
    ) -> None:
        self.address = address
        self.credentials = credentials
        self.priority = priority
        self.type = type
        self.state: dict[str, Any] = {}

    @classmethod
    def of(cls, connection: Any) -> Peer:
        """The other side of *connection*, which may be gone already."""
        return cls(_told(connection.getpeername), _told(lambda: getattr(connection, "peer_credentials", None)))

    def __repr__(self) -> str:
        known = [
            f"{name}={value!r}"
            for name in ("address", "credentials", "priority", "type")
            if (value := getattr(self, name)) not in {None, ""}
        ]
        return f"<Peer {' '.join(known)}".rstrip() + ">"


def _told(ask: Any) -> Any:
    try:
        return ask()
    except IPCError:
        return None
