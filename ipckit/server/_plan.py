"""What a server is to do, apart from how it waits."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ipckit.errors import IPCError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from typing_extensions import Buffer

    from ipckit.server._peer import Peer

    Reply = Buffer | None
    Handler = Callable[[bytes, Peer], Reply | Awaitable[Reply]]
    OnError = Callable[[BaseException, Peer | None], object]

logger = logging.getLogger("ipckit.server")


@dataclass(frozen=True)
class Plan:
    """The handler, its limits, and where failures are told."""

    handler: Handler
    on_error: OnError
    max_connections: int
    max_message_size: int
    idle_ns: int | None
    """Nanoseconds until a peer's next whole message, or until it has taken a whole reply."""
    workers: int
    """How many threads or processes share a FIFO or queue."""
    awaits: bool
    """Whether the handler may return an awaitable."""

    def report(self, error: BaseException, peer: Peer | None) -> None:
        """Tell *error*, and let nothing that comes of telling it end the server."""
        try:
            self.on_error(error, peer)
        except Exception:
            logger.exception("on_error failed")

    def close(self, handle: Any) -> None:
        """Let *handle* go; where its name can't be removed any more, that is told, and ends nothing."""
        try:
            handle.close()
        except IPCError as error:
            self.report(error, None)


def log_error(error: BaseException, peer: Peer | None) -> None:
    """What `on_error` is by default: a handler's exception with its traceback, what befell a peer in one line."""
    subject = "the server" if peer is None else repr(peer)
    if isinstance(error, IPCError):
        logger.warning("%s: %s", subject, error)
    else:
        logger.error("%s: the handler failed", subject, exc_info=error)
