"""A process for each connection, or several for a queue: fork(2)."""

from __future__ import annotations

import time
from typing import Any

from ipckit._wait import NEVER_NS
from ipckit.errors import IPCError, NoProcessError
from ipckit.server._acceptor import Acceptor
from ipckit.server._blocking import go_through
from ipckit.server._conversation import attend, converse
from ipckit.server._gate import PAUSE_NS
from ipckit.server._line import line_of
from ipckit.server._peer import Peer
from ipckit.server._worker import Worker


class Processes(Acceptor):
    """Children that wait for one peer each, or share a queue.

    A child has its own connection and nothing else of the server's: the parent closes its copy of each connection
    before it forks the next child. Children end when the server says so, and when it dies, killed or not.
    """

    def __init__(self, *how: Any) -> None:
        super().__init__(*how)
        self._active: dict[int, Worker] = {}
        self._refill_ns = 0

    def count(self) -> int:
        return len(self._active)

    def begin(self, connection: Any) -> None:
        peer = Peer.of(connection)

        def serve() -> None:
            line = line_of(connection, self.plan.max_message_size)
            go_through(converse(line, peer, self.plan), line, self.lifeline, self.plan, peer)

        try:
            self._watch(Worker.fork(serve, connection, peer))
        except NoProcessError:
            pass  # SIGCHLD is ignored, and the conversation has ended
        except BaseException:
            connection.close()
            raise

    def fill(self) -> bool:
        while self._is_short():
            if time.monotonic_ns() < self._refill_ns:
                return True
            try:
                self._begin_worker()
            except IPCError as error:
                self._refill_ns = time.monotonic_ns() + PAUSE_NS
                self.plan.report(error, None)
        return self.count() > 0

    def ended(self, fd: int) -> None:
        self.unwatch(fd)
        worker = self._active.pop(fd)
        failure = worker.reap()
        if self.gate is not None:
            self.gate.one_ended()
        if failure is not None:
            self.plan.report(failure, worker.peer)
            if time.monotonic_ns() - worker.begun_ns < PAUSE_NS:  # the next one may die as fast
                self._refill_ns = time.monotonic_ns() + PAUSE_NS
        elif self.source is not None:
            self.switch.stop_here(NEVER_NS)  # the queue was removed, and the others will find that too

    def cut_off(self) -> None:
        for worker in self._active.values():
            worker.kill()
        for worker in self._active.values():
            if worker.reap() is not None:  # it had not ended just before
                self.report_cut(worker.peer)
        self._active.clear()
        self.lifeline.close()

    def due_ns(self) -> int:
        due_ns = super().due_ns()
        return min(due_ns, self._refill_ns) if self._is_short() else due_ns

    def _is_short(self) -> bool:
        return self.source is not None and not self.switch.stopping and self.count() < self.plan.workers

    def _begin_worker(self) -> None:
        source = self.source
        assert source is not None

        def serve() -> None:
            go_through(attend(source, self.plan), source, self.lifeline, self.plan)

        self._watch(Worker.fork(serve))

    def _watch(self, worker: Worker) -> None:
        fd = worker.pidfd.fileno()
        self._active[fd] = worker
        self.watch(fd)
