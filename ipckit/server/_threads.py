"""A thread for each connection: pthreads(7)."""

from __future__ import annotations

import threading
from copy import copy
from typing import TYPE_CHECKING, Any

from ipckit.server._acceptor import Acceptor
from ipckit.server._blocking import go_through
from ipckit.server._conversation import attend, converse
from ipckit.server._inheritance import not_for_children
from ipckit.server._line import line_of
from ipckit.server._peer import Peer

if TYPE_CHECKING:
    from ipckit.server._conversation import Steps
    from ipckit.server._line import Port


class Threads(Acceptor):
    """Threads that wait for one peer each, or share a FIFO or queue.

    A thread cannot be ended from outside: one that is still in the handler after the grace stays until the handler
    returns, its connection shut down. The threads are daemons, so that it does not keep the program from ending.
    """

    def __init__(self, *how: Any) -> None:
        super().__init__(*how)
        self._over = False
        self._active: dict[Port, Peer | None] = {}
        self._filled = False

    def count(self) -> int:
        return len(self._active)

    def begin(self, connection: Any) -> None:
        not_for_children(connection)
        try:
            line = line_of(connection, self.plan.max_message_size)
            peer = Peer.of(connection)
            self._start(line, converse(line, peer, self.plan), peer)
        except BaseException:
            connection.close()
            raise

    def fill(self) -> bool:
        if self.source is not None and not self._filled:
            self._filled = True
            for _ in range(self.plan.workers):
                port = copy(self.source)  # what it knows of its own thread is not the others'
                self._start(port, attend(port, self.plan), None)
        return self.count() > 0

    def cut_off(self) -> None:
        for port, peer in list(self._active.items()):
            port.cut = True
            if not port.idle:
                self.report_cut(peer)
            port.hang_up()
        self.lifeline.say_stop()
        self._over = True  # from here on the last thread closes the lifeline
        self._let_go()

    def _start(self, port: Port, steps: Steps, peer: Peer | None) -> None:
        self._active[port] = peer
        thread = threading.Thread(target=self._serve, args=(port, steps, peer), name="ipckit.server", daemon=True)
        try:
            thread.start()
        except BaseException:
            del self._active[port]
            raise

    def _serve(self, port: Port, steps: Steps, peer: Peer | None) -> None:
        try:
            go_through(steps, port, self.lifeline, self.plan, peer)
        finally:
            if self.source is None:
                port.close()
            del self._active[port]
            if self.gate is not None:
                self.gate.one_ended()
            self.switch.wake()
            self._let_go()

    def _let_go(self) -> None:
        """Close what the threads wait on, once the last one is gone."""
        if self._over and not self._active:
            self.lifeline.close()
