"""What a server's threads share: its connections and sockets, and epoll(7) to hear from them."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any

from ipckit._wait import NEVER_NS
from ipckit.errors import IPCError
from ipckit.rpc._server.connection import Connection
from ipckit.rpc._server.datagrams import Datagrams
from ipckit.rpc._server.port import READ, Port, now_ns
from ipckit.rpc._wire.message import REPLY, BadCall
from ipckit.server.machinery import AT_ONCE, Gate, cut_off_error, not_for_children

if TYPE_CHECKING:
    from ipckit.rpc._server.answer import Answerer
    from ipckit.rpc._server.port import Job
    from ipckit.rpc._server.settings import Limits
    from ipckit.server.machinery import Plan, Switch

_LOOKS_A_PATIENCE = 100
"""How many times the connections are looked at, at most, in the shortest time that a peer has."""
_REPLY_WORD = REPLY.to_bytes(4, "big")


class _Closes:
    """Closes an epoll object, which knows no weak references; a child's copy would share its list with ours."""

    __slots__ = ("__weakref__", "close")

    def __init__(self, epoll: select.epoll) -> None:
        self.close = epoll.close


class Engine:
    """A subclass knows how to wait: for the gates and the switch, and for calls.

    Args:
        answerer: makes the calls.
        listeners: of streams, and bound datagram sockets.
        limits: beside those of the plan.
    """

    def __init__(self, plan: Plan, answerer: Answerer, switch: Switch, listeners: list[Any], limits: Limits) -> None:
        self.plan = plan
        self.switch = switch
        self.max_calls = limits.max_calls
        self.idle_ns = plan.idle_ns
        self.message_ns = limits.message_ns
        self.spinning = limits.spinning
        self._answer = answerer.answer
        self.stopping = False
        self.epoll = select.epoll()
        self._ours = not_for_children(_Closes(self.epoll))
        self.ports: dict[int, Port] = {}
        self._sockets = 0
        self.gates: dict[int, Gate] = {}
        for listener in listeners:
            not_for_children(listener)
            if hasattr(listener, "try_accept"):
                gate = Gate(listener, plan)
                self.gates[gate.fd] = gate
            else:
                self._sockets += 1
                self._begin(Datagrams(listener, self))
        self._shortest_ns = min(self.idle_ns or NEVER_NS, self.message_ns or NEVER_NS)
        self._look_ns = NEVER_NS if self._shortest_ns == NEVER_NS else 0

    def accept(self, gate: Gate) -> None:
        """Take the connections that wait, as far as there is room."""
        for _ in range(AT_ONCE):
            if not gate.is_open(self._connections()) or (handle := gate.accept()) is None:
                return
            not_for_children(handle)
            try:
                self._begin(Connection(handle, self))
            except (IPCError, OSError) as error:  # epoll(7): sysctl fs.epoll.max_user_watches, memory; or it is gone
                handle.close()
                gate.failed(error)
            else:
                gate.passed()

    def _begin(self, port: Port) -> None:
        with port.lock:  # a worker may find it at once, with late news of a closed port that had the same number
            self.ports[port.fd] = port
            port.armed = True
            try:
                self.epoll.register(port.fd, READ)
            except OSError:
                port.retire()
                self.forget(port)
                raise

    def forget(self, port: Port) -> None:
        """*port* closes, in whichever thread."""
        if self.ports.pop(port.fd, None) is None:
            return
        if self.stopping:
            if not self.ports:
                self.switch.wake()
        elif any(gate.retry_ns for gate in self.gates.values()) or self._connections() + 1 >= self.plan.max_connections:
            for gate in self.gates.values():
                gate.one_ended()
            self.switch.wake()

    def _connections(self) -> int:
        return len(self.ports) - self._sockets

    def handle(self, job: Job) -> Any:
        """Make a call and give its reply; or return the awaitable that `give` is to get the result of."""
        try:
            reply: Any = self._answer(job)
        except BadCall as bad:
            if job.message[4:8] == _REPLY_WORD:
                job.port.give(None, job.where)  # late, or meant for somebody else
            else:
                job.port.reject(str(bad), job.where)
            return None
        if reply is None or type(reply) is bytes or type(reply) is bytearray:
            job.port.give(reply, job.where)
            return None
        return reply

    def may_linger(self) -> bool:
        """Whether a thread that gave a reply has time to look for the client's next call."""
        return False

    def due_ns(self) -> int:
        """When to `look` though nothing has come."""
        if self.stopping:
            return self.switch.deadline_ns
        due_ns = self._look_ns if self.ports else NEVER_NS
        for gate in self.gates.values():
            due_ns = min(due_ns, gate.due_ns(self._connections()))
        return due_ns

    def open_gates(self) -> list[Gate]:
        """Those at which to accept."""
        if self.stopping:
            return []
        return [gate for gate in self.gates.values() if gate.is_open(self._connections())]

    def look(self) -> bool:
        """Do what is due; whether there is anything left to do."""
        now = now_ns()
        if self.switch.stopping:
            if not self.stopping:
                self._stop()
            return bool(self.ports) and now < self.switch.deadline_ns
        if now >= self._look_ns:
            # No peer's time can be up sooner than the shortest one from now, but for those that are looked at here.
            next_ns = now + self._shortest_ns
            for port in list(self.ports.values()):
                port.expire(now)
                next_ns = min(next_ns, port.due_ns())
            self._look_ns = max(next_ns, now + self._shortest_ns // _LOOKS_A_PATIENCE)
        return True

    def _stop(self) -> None:
        self.stopping = True
        for gate in self.gates.values():
            gate.close()
        for port in list(self.ports.values()):
            port.stop()

    def close(self) -> None:
        """Cut off whoever is left, and let go of everything."""
        self.stopping = True
        for gate in self.gates.values():
            gate.close()
        for port in list(self.ports.values()):
            if port.cut_off():
                self.plan.report(cut_off_error(), getattr(port, "peer", None))
