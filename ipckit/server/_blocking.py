"""To go through one conversation and nothing else, as a thread or a process of its own does: poll(2)."""

from __future__ import annotations

import errno
import select
import time
from select import POLLIN
from typing import TYPE_CHECKING

from ipckit.errors import IPCError, syscall_error
from ipckit.server._lifeline import DIED

if TYPE_CHECKING:
    from ipckit.server._conversation import Steps
    from ipckit.server._lifeline import Lifeline
    from ipckit.server._line import Port
    from ipckit.server._peer import Peer
    from ipckit.server._plan import Plan

ORPHAN_NS = 5_000_000_000
"""How long a reply may still take when the server has died, and nobody is left to cut it off."""


def go_through(steps: Steps, port: Port, lifeline: Lifeline, plan: Plan, peer: Peer | None = None) -> None:
    """Resume *steps* as what they wait for comes, until they end, or until nothing is going on and the server stops.

    The waits are whole, not sliced: a thousand idle peers cost no processor time.
    """
    wait = Wait(port, lifeline, plan)
    for events in steps:
        assert isinstance(events, int)  # the plan of this mode forbids awaitables
        if port.cut or not wait.until(events):
            break
    if wait.too_slow and not port.cut:
        plan.report(too_slow(plan), peer)


def too_slow(plan: Plan) -> IPCError:
    """The exception for a peer that used up its time."""
    seconds = (plan.idle_ns or 0) / 1e9
    return syscall_error(errno.ETIMEDOUT, "poll", remedy=f"idle_timeout is {seconds:g} s; the connection was closed")


class Wait:
    """Waits for one port, for the end of the server, and for the time that a peer has."""

    __slots__ = ("_deadline_ns", "_idle_ns", "_lifeline", "_poller", "_port", "_progress", "_watched", "too_slow")

    def __init__(self, port: Port, lifeline: Lifeline, plan: Plan) -> None:
        self._port = port
        self._lifeline = lifeline.fd
        self._idle_ns = plan.idle_ns
        self._progress = -1
        self._deadline_ns: int | None = None
        self._watched = POLLIN
        self._poller = select.poll()
        self._poller.register(lifeline.fd, POLLIN)
        if port.fd >= 0:
            self._poller.register(port.fd, POLLIN)
        self.too_slow = False
        """Whether the time was up."""

    def until(self, events: int) -> bool:
        """Wait until the port is ready for *events*; False if it is to be let go."""
        port = self._port
        port.idle = events == POLLIN
        if not self._until(events):
            return False
        port.idle = False
        return True

    def _until(self, events: int) -> bool:
        port, poller = self._port, self._poller
        if port.fd < 0:
            return not poller.poll(0)
        if events != self._watched:
            self._watched = events
            poller.modify(port.fd, events)
            # Amid a reply, that the server stops matters no more; that it died does, and poll(2) always tells that.
            poller.modify(self._lifeline, POLLIN if events == POLLIN else 0)
        if self._idle_ns is not None and port.progress != self._progress:
            self._progress = port.progress
            self._deadline_ns = time.monotonic_ns() + self._idle_ns
        while True:
            ready = poller.poll(self._left_ms())
            if len(ready) == 1 and ready[0][0] == port.fd:
                return True
            if events == POLLIN and ready:
                return False
            bits = dict(ready)
            if bits.get(self._lifeline, 0) & DIED:
                self._orphaned()
            if port.fd in bits:
                return True
            if self._left_ms() == 0:
                self.too_slow = True
                return False

    def _left_ms(self) -> int | None:
        if self._deadline_ns is None:
            return None
        return max(0, -(-(self._deadline_ns - time.monotonic_ns()) // 1_000_000))

    def _orphaned(self) -> None:
        last_ns = time.monotonic_ns() + ORPHAN_NS
        self._deadline_ns = last_ns if self._deadline_ns is None else min(self._deadline_ns, last_ns)
        self._idle_ns = None
        self._poller.modify(self._lifeline, 0)
