"""What the selector loop and asyncio have in common: conversations resumed as their descriptors become ready."""

from __future__ import annotations

import time
from select import POLLIN, poll
from typing import TYPE_CHECKING, Any

from ipckit._wait import NEVER_NS
from ipckit.server._acceptor import cut_off_error
from ipckit.server._blocking import too_slow
from ipckit.server._conversation import attend, converse
from ipckit.server._gate import AT_ONCE, Gate
from ipckit.server._inheritance import not_for_children
from ipckit.server._line import Port, line_of
from ipckit.server._peer import Peer

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ipckit.server._conversation import Steps
    from ipckit.server._plan import Plan
    from ipckit.server._source import Source
    from ipckit.server._switch import Switch

HANDLING = 0
"""The events of a conversation whose handler's awaitable has not finished."""


class Served:
    """A conversation, and what it waits for."""

    __slots__ = ("due_ns", "events", "peer", "port", "progress", "steps")

    def __init__(self, port: Port, steps: Steps, peer: Peer | None) -> None:
        self.port = port
        self.steps = steps
        self.peer = peer
        self.events = POLLIN
        self.progress = 0
        self.due_ns = 0


class Events:
    """One thread for all. A subclass knows how to wait for descriptors.

    A descriptor that is ready resumes its conversation once, for one message at most: who sends many does not keep
    the others waiting. What a message costs does not depend on how many connections there are.
    """

    def __init__(self, plan: Plan, switch: Switch, listener: Any, source: Source | None) -> None:
        self.plan = plan
        self.switch = switch
        self.gate = Gate(listener, plan) if source is None else None
        self._listener = source or not_for_children(listener)
        self._source = source
        self._served: dict[int, Served] = {}
        self._accepting = False
        self._stopping = False
        # Those that have a deadline, the nearest first: each goes to the end when it gets a new one.
        self._by_age: dict[Served, None] = {}

    def watch(self, fd: int, events: int) -> None:
        """Have `ready` called with *fd* when it is ready for *events*."""
        raise NotImplementedError

    def change(self, fd: int, events: int) -> None:
        """Wait for other *events* of *fd* from now on."""
        raise NotImplementedError

    def unwatch(self, fd: int) -> None:
        """Wait for *fd* no longer."""
        raise NotImplementedError

    def await_reply(self, served: Served, reply: Awaitable[Any]) -> None:
        """Go on with `advance` when *reply* has come."""
        raise NotImplementedError

    def start(self) -> None:
        """Begin to wait for connections and messages."""
        self.watch(self.switch.fd, POLLIN)
        if self._source is not None:
            self._begin(self._source, attend(self._source, self.plan), None)
        self.look()

    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        if self._stopping:
            return not self._served or time.monotonic_ns() >= self.switch.deadline_ns
        return self.gate is None and not self._served

    def ready(self, fd: int) -> None:
        """*fd* is ready."""
        if self.switch.asked and not self._stopping:  # before one more message is taken
            self.switch.read()
            self.look()
        served = self._served.get(fd)
        if served is not None:
            self.advance(served)
        elif fd == self.switch.fd:
            self.switch.read()
        elif self._accepting and self.gate is not None and fd == self.gate.fd:
            self._accept(self.gate)

    def advance(self, served: Served, value: Any = None, error: BaseException | None = None) -> None:
        """Resume a conversation with *value* or *error*, until it has to wait again."""
        try:
            events = served.steps.send(value) if error is None else served.steps.throw(error)
        except StopIteration:
            self._end(served)
            return
        if events == served.events:
            pass
        elif not isinstance(events, int):
            self.unwatch(served.port.fd)
            served.events = HANDLING
            self.await_reply(served, events)
        else:
            if served.events == HANDLING:
                self.watch(served.port.fd, events)
            else:
                self.change(served.port.fd, events)
            served.events = events
        if self._stopping and events == POLLIN:
            self._end(served)
        elif self.plan.idle_ns is not None and served.progress != served.port.progress:
            self._rejuvenate(served, self.plan.idle_ns)

    def look(self) -> None:
        """After what was ready: do what is due, and stop or start to accept."""
        if self.switch.stopping and not self._stopping:
            self._stop()
        if self.gate is not None and not self._stopping:
            accepting = self.gate.is_open(len(self._served))
            if accepting is not self._accepting:
                self._accepting = accepting
                if accepting:
                    self.watch(self.gate.fd, POLLIN)
                else:
                    self.unwatch(self.gate.fd)
        if self._by_age:
            self._end_old(time.monotonic_ns())

    def due_ns(self) -> int:
        """When to `look` though nothing is ready."""
        due_ns = self.switch.deadline_ns if self._stopping else NEVER_NS
        if self.gate is not None and not self._accepting and not self._stopping:
            due_ns = self.gate.due_ns(len(self._served))
        for served in self._by_age:
            return min(due_ns, served.due_ns)
        return due_ns

    def close(self) -> None:
        """Cut off whoever is left, and let go of everything."""
        for served in list(self._served.values()):
            served.port.cut = True
            if served.events != POLLIN:
                self.plan.report(cut_off_error(), served.peer)
            self._end(served)
        self.plan.close(self._listener)

    def _accept(self, gate: Gate) -> None:
        for _ in range(AT_ONCE):
            if not gate.is_open(len(self._served)) or (connection := gate.accept()) is None:
                return
            not_for_children(connection)
            line = line_of(connection, self.plan.max_message_size)
            peer = Peer.of(connection)
            try:
                self._begin(line, converse(line, peer, self.plan), peer)
            except OSError as error:  # epoll(7): sysctl fs.epoll.max_user_watches, memory
                connection.close()
                gate.failed(error)
            else:
                gate.passed()

    def _begin(self, port: Port, steps: Steps, peer: Peer | None) -> None:
        self.watch(port.fd, POLLIN)
        served = Served(port, steps, peer)
        self._served[port.fd] = served
        next(steps)
        if self.plan.idle_ns is not None:
            self._rejuvenate(served, self.plan.idle_ns)

    def _rejuvenate(self, served: Served, idle_ns: int) -> None:
        served.progress = served.port.progress
        served.due_ns = time.monotonic_ns() + idle_ns
        self._by_age.pop(served, None)
        self._by_age[served] = None

    def _end_old(self, now_ns: int) -> None:
        for served in list(self._by_age):
            if served.due_ns > now_ns:
                return
            if served.events == HANDLING:
                del self._by_age[served]  # the peer waits for us, not we for it
                served.progress = -1
            elif not _is_ready(served):  # or it waits for us as well, who were busy, or stopped
                self.plan.report(too_slow(self.plan), served.peer)
                self._end(served)

    def _stop(self) -> None:
        self._stopping = True
        if self.gate is not None:
            if self._accepting:
                self._accepting = False
                self.unwatch(self.gate.fd)
            self.gate.close()
        for served in list(self._served.values()):
            if served.events == POLLIN:
                self._end(served)

    def _end(self, served: Served) -> None:
        if self._served.pop(served.port.fd, None) is None:
            return
        self._by_age.pop(served, None)
        if served.events != HANDLING:
            self.unwatch(served.port.fd)
        served.steps.close()
        served.port.close()
        if self.gate is not None:
            self.gate.one_ended()


def _is_ready(served: Served) -> bool:
    look = poll()
    look.register(served.port.fd, served.events)
    return bool(look.poll(0))
