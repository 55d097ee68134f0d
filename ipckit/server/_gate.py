"""When to accept, and what to do when that fails: accept(2)."""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING, Any

from ipckit._wait import NEVER_NS
from ipckit.errors import IPCError

if TYPE_CHECKING:
    from ipckit.server._plan import Plan

PAUSE_NS = 100_000_000
AT_ONCE = 16
"""How many connections are accepted before those that are there get their turn."""

# The connection went before it was accepted; for TCP, accept(2) also hands on what befell it in the network.
_ITS_OWN_FAULT = {
    errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENETDOWN, errno.ENOPROTOOPT, errno.EHOSTDOWN, errno.ENONET,
    errno.EHOSTUNREACH, errno.EOPNOTSUPP, errno.ENETUNREACH,
}  # fmt: skip


class Gate:
    """Open as long as there is room for one more connection. Where one cannot be had it stays shut for a while.

    The kernel goes on calling the listener ready when descriptors have run out; to wait on it then would spin.
    """

    __slots__ = ("_listener", "_plan", "_told", "fd", "retry_ns")

    def __init__(self, listener: Any, plan: Plan) -> None:
        self._listener = listener
        self._plan = plan
        self._told = False
        self.fd: int = listener.fileno()
        self.retry_ns = 0
        """The gate is shut until then."""

    def is_open(self, connections: int) -> bool:
        """Whether to accept, beside *connections*."""
        if connections >= self._plan.max_connections:
            return False
        return self.retry_ns == 0 or time.monotonic_ns() >= self.retry_ns

    def due_ns(self, connections: int) -> int:
        """When a shut gate opens by itself."""
        return self.retry_ns if self.retry_ns and connections < self._plan.max_connections else NEVER_NS

    def accept(self) -> Any:
        """A connection, or None."""
        try:
            connection = self._listener.try_accept()
        except IPCError as error:
            if getattr(error, "errno", None) not in _ITS_OWN_FAULT:
                self.failed(error)
            return None
        if connection is None:
            self._told = False  # nobody waits any more
        return connection

    def passed(self) -> None:
        """Everything that a connection needs was had."""
        self.retry_ns = 0

    def failed(self, error: BaseException) -> None:
        """Pause after *error*; tell it once until all those who wait have been accepted."""
        self.retry_ns = time.monotonic_ns() + PAUSE_NS
        if not self._told:
            self._told = True
            self._plan.report(error, None)

    def one_ended(self) -> None:
        """Try again at once: a connection has given back what it had."""
        self.retry_ns = 0

    def close(self) -> None:
        """Stop listening: whoever waits to be accepted learns that nobody will."""
        self._plan.close(self._listener)
