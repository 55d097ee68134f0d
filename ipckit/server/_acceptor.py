"""The loop that accepts and gives each connection to a thread or process of its own, or keeps a pool of them."""

from __future__ import annotations

import errno
import select
import time
from select import POLLIN
from typing import TYPE_CHECKING, Any

from ipckit._wait import NEVER_NS
from ipckit.errors import IPCError, syscall_error
from ipckit.server._gate import AT_ONCE, Gate
from ipckit.server._inheritance import not_for_children
from ipckit.server._lifeline import DIED, Lifeline

if TYPE_CHECKING:
    from ipckit.server._peer import Peer
    from ipckit.server._plan import Plan
    from ipckit.server._source import Source
    from ipckit.server._switch import Switch

GRACE_WITHOUT_OWNER_NS = 5_000_000_000


class Acceptor:
    """What threads and processes have in common. A subclass starts them, tells when they end, and cuts them off."""

    def __init__(self, plan: Plan, switch: Switch, listener: Any, source: Source | None) -> None:
        self.plan = plan
        self.switch = switch
        self.lifeline = Lifeline()
        self.source = source
        self.gate = Gate(listener, plan) if source is None else None
        self._listener = listener if source is not None else not_for_children(listener)
        self._owner: int | None = None
        self._said_stop = False
        self._poller = select.poll()
        self._poller.register(switch.fd, POLLIN)
        self._accepting = False

    def run(self, owner: Lifeline | None = None) -> None:
        """Serve until told to stop, or until the FIFO or queue has come to its end.

        Args:
            owner: of the process that started this one; when that dies, this one stops.
        """
        if owner is not None:
            self._owner = owner.fd
            self._poller.register(owner.fd, 0)
        try:
            while True:
                if self.switch.stopping and not self._stop():
                    break
                if self.source is not None and not self.fill():
                    break
                self._turn()
        finally:
            self._poller = select.poll()
            self.cut_off()
            self.plan.close(self.source or self._listener)

    def count(self) -> int:
        """How many threads or processes there are."""
        raise NotImplementedError

    def begin(self, connection: Any) -> None:
        """Start one for *connection*; where that fails, close it and raise."""
        raise NotImplementedError

    def fill(self) -> bool:
        """Start the pool that shares the source, or keep it at its size; whether anybody is left, or will be."""
        raise NotImplementedError

    def ended(self, fd: int) -> None:
        """*fd*, which the subclass had `watch` wait for, is ready: one has ended."""
        raise NotImplementedError

    def cut_off(self) -> None:
        """End those that are left, now."""
        raise NotImplementedError

    def watch(self, fd: int) -> None:
        """Have `ended` called when *fd* is readable."""
        self._poller.register(fd, POLLIN)

    def unwatch(self, fd: int) -> None:
        """Forget *fd*."""
        self._poller.unregister(fd)

    def report_cut(self, peer: Peer | None) -> None:
        """Tell that *peer* did not finish in the time that `stop` gave."""
        self.plan.report(cut_off_error(), peer)

    def _stop(self) -> bool:
        """Say it once, then wait for those that are left; whether to go on waiting."""
        if not self._said_stop:
            self._said_stop = True
            self._set_accepting(on=False)
            if self.gate is not None:
                self.gate.close()
            self.lifeline.say_stop()
        return self.count() > 0 and time.monotonic_ns() < self.switch.deadline_ns

    def _turn(self) -> None:
        if self.gate is not None and not self._said_stop:
            self._set_accepting(on=self.gate.is_open(self.count()))
        seconds = self.switch.seconds(self.due_ns())
        for fd, bits in self._poller.poll(None if seconds is None else seconds * 1000):
            if fd == self.switch.fd:
                self.switch.read()
            elif fd == self._owner:
                self._poller.unregister(fd)
                if bits & DIED:
                    self.switch.stop_here(time.monotonic_ns() + GRACE_WITHOUT_OWNER_NS)
            elif self.gate is not None and fd == self.gate.fd:
                self._accept(self.gate)
            else:
                self.ended(fd)

    def _accept(self, gate: Gate) -> None:
        for _ in range(AT_ONCE):
            if not gate.is_open(self.count()) or (connection := gate.accept()) is None:
                return
            try:
                self.begin(connection)
            except (IPCError, OSError, RuntimeError) as error:
                gate.failed(error)
            else:
                gate.passed()

    def _set_accepting(self, *, on: bool) -> None:
        if on is not self._accepting and self.gate is not None:
            self._accepting = on
            if on:
                self._poller.register(self.gate.fd, POLLIN)
            else:
                self._poller.unregister(self.gate.fd)

    def due_ns(self) -> int:
        """When there is something to do though nothing has come."""
        if self.switch.stopping:
            return self.switch.deadline_ns
        return NEVER_NS if self.gate is None or self._accepting else self.gate.due_ns(self.count())


def cut_off_error() -> IPCError:
    """The exception for a conversation that did not finish in the time that `stop` gave."""
    return syscall_error(errno.ETIMEDOUT, "stop", remedy="not finished within the grace, and cut off")
