"""A server that runs beside its program: in a thread, or in a process that forks the others."""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING

from ipckit.errors import TimeoutExpired, syscall_error
from ipckit.server._lifeline import Lifeline
from ipckit.server._worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit._wait import Deadline
    from ipckit.server._switch import Switch

    Serve = Callable[[Lifeline | None], None]

LATE_NS = 5_000_000_000
"""How much later than the grace a server may end that has nothing to wait for any more."""


class InThread:
    """Runs *serve* in a thread."""

    def __init__(self, serve: Serve) -> None:
        self._failure: BaseException | None = None
        self._serve = serve
        self._thread = threading.Thread(target=self._run, name="ipckit.server", daemon=True)
        self._thread.start()

    def join(self, deadline: Deadline) -> None:
        """Wait until it has stopped; raise what ended it before.

        Raises:
            TimeoutExpired: a handler in the server's own thread did not return, and nothing can end it (ETIMEDOUT).
        """
        while self._thread.is_alive():
            self._thread.join(deadline.slice_ms() / 1000)
            if deadline.expired and self._thread.is_alive():
                remedy = 'a handler has not returned; mode="processes" could cut it off'
                raise syscall_error(errno.ETIMEDOUT, "stop", remedy=remedy)
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._serve(None)
        except BaseException as error:
            self._failure = error


class InProcess:
    """Runs *serve* in a child, so that the processes of the connections are forked where there is one thread only."""

    def __init__(self, serve: Serve, switch: Switch) -> None:
        self._switch = switch
        self._owner = owner = Lifeline()
        try:
            self._child = Worker.fork(lambda: serve(owner))
        except BaseException:
            owner.close()
            raise

    def join(self, deadline: Deadline) -> None:
        """Wait until it has stopped; kill it if that takes too long.

        Raises:
            WorkerDiedError: it was killed, or failed.
        """
        try:
            self._child.pidfd.wait(deadline.remaining_ns() / 1e9, reap=False)
        except TimeoutExpired:
            self._child.kill()
        self._owner.close()
        self._switch.close()
        if failure := self._child.reap():
            raise failure
