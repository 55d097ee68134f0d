"""When a server in an event loop looks though nothing has come."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from ipckit.server._switch import Switch


class Alarm:
    """Calls *look* of a server when something is due, and whenever the loop would sleep for longer than it may."""

    __slots__ = ("_due_ns", "_look", "_loop", "_switch", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, switch: Switch, look: Callable[[], object]) -> None:
        self._loop = loop
        self._switch = switch
        self._look = look
        self._timer: asyncio.TimerHandle | None = None
        self._due_ns = 0

    def set(self, due_ns: int) -> None:
        """Look at *due_ns* (monotonic), or before."""
        if self._timer is not None and due_ns >= self._due_ns:
            return
        self.cancel()
        seconds = self._switch.seconds(due_ns)
        if seconds is not None:
            self._due_ns = due_ns
            self._timer = self._loop.call_later(seconds, self._ring)

    def cancel(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        self._look()
