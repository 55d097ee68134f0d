"""Threads that share all connections of a server: epoll(7), pthreads(7)."""

from __future__ import annotations

import select
import threading
from select import POLLIN
from typing import TYPE_CHECKING, Any

from ipckit.rpc._server.engine import Engine
from ipckit.server.machinery import Lifeline

if TYPE_CHECKING:
    from ipckit.rpc._server.answer import Answerer
    from ipckit.rpc._server.port import Port
    from ipckit.rpc._server.settings import Limits
    from ipckit.server.machinery import Plan, Switch


class Threads(Engine):
    """The thread that serves accepts connections and looks after the time; the workers wait for calls and make them.

    All workers wait in epoll_wait(2), and the kernel wakes one for each port that is ready: a call is read, made and
    answered by one thread, without being handed on. Before it is made the port is armed again, so that another worker
    takes the next call of the same connection. A client that calls again at once is served by the same thread, which
    spins until then with the port disarmed, so that nobody is woken. There are as many workers as calls were ever made
    at once, and one more that waits, up to the limit.
    """

    def __init__(self, plan: Plan, answerer: Answerer, switch: Switch, listeners: list[Any], limits: Limits) -> None:
        super().__init__(plan, answerer, switch, listeners, limits)
        self._most = limits.workers
        self._lock = threading.Lock()
        self._workers = 0
        self._waiting = 0
        self._lifeline = Lifeline()
        self._over = False

    def run(self, _owner: object = None) -> None:
        """Serve until told to stop."""
        poller = select.poll()
        poller.register(self.switch.fd, POLLIN)
        self.epoll.register(self._lifeline.fd, select.EPOLLIN)
        accepting: set[int] = set()
        try:
            self._hire()
            while True:
                if not self.look():
                    break
                wanted = {gate.fd for gate in self.open_gates()}
                for fd in wanted - accepting:
                    poller.register(fd, POLLIN)
                for fd in accepting - wanted:
                    poller.unregister(fd)
                accepting = wanted
                seconds = self.switch.seconds(self.due_ns())
                for fd, _ in poller.poll(None if seconds is None else seconds * 1000):
                    if fd == self.switch.fd:
                        self.switch.read()
                    else:
                        self.accept(self.gates[fd])
        finally:
            self.close()

    def close(self) -> None:
        super().close()
        self._lifeline.say_stop()
        with self._lock:
            self._over = True
        self._let_go()

    def may_linger(self) -> bool:
        return self._waiting > 0  # another worker hears from the other ports

    def _hire(self) -> None:
        with self._lock:
            if self._over or self._workers >= self._most:
                return
            self._workers += 1
        try:
            threading.Thread(target=self._work, name="ipckit.rpc", daemon=True).start()
        except RuntimeError as error:  # no more threads; those that are there go on
            with self._lock:
                self._workers -= 1
                if not self._workers:
                    raise
            self.plan.report(error, None)

    def _work(self) -> None:
        wait, ports, lock, lifeline = self.epoll.poll, self.ports, self._lock, self._lifeline.fd
        while True:
            with lock:
                self._waiting += 1
            ready = wait(-1, 1)
            with lock:
                self._waiting -= 1
            fd = ready[0][0]
            if fd == lifeline:
                break
            port = ports.get(fd)
            if port is not None:
                self._serve(port)
        with self._lock:
            self._workers -= 1
        self._let_go()

    def _serve(self, port: Port) -> None:
        """Make the call that is ready, and those that come while we linger."""
        job = port.ready()
        while True:
            if job is not None:
                if not self._waiting:
                    self._hire()
                self.handle(job)
            if not port.lingering:
                return
            port.linger()
            job = port.ready()

    def _let_go(self) -> None:
        """Close what the workers wait on, once the last one is gone."""
        if self._over and not self._workers:
            self.epoll.close()
            self._lifeline.close()
