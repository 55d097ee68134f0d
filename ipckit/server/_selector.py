"""One loop over non-blocking descriptors: epoll(7)."""

from __future__ import annotations

import errno
import select
from typing import Any

from ipckit.errors import syscall_error
from ipckit.server._events import Events

AT_MOST = 64
"""How many ready descriptors one epoll_wait(2) returns; also bounds the memory of the call, whatever waits."""


class Selector(Events):
    """epoll(7) itself, for selectors.EpollSelector makes room for all connections in each call."""

    def __init__(self, *how: Any) -> None:
        super().__init__(*how)
        try:
            self._epoll = select.epoll()
        except OSError as error:
            raise syscall_error(error.errno or errno.EIO, "epoll_create1") from None

    def run(self, _owner: object = None) -> None:
        """Serve until told to stop, or until the FIFO or queue has come to its end."""
        try:
            self.start()
            poll, ready, look = self._epoll.poll, self.ready, self.look
            while True:
                if self.finished():
                    break
                for fd, _ in poll(self.switch.seconds(self.due_ns()), AT_MOST):
                    ready(fd)
                look()
        finally:
            self.close()

    def watch(self, fd: int, events: int) -> None:
        self._epoll.register(fd, events)

    def change(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events)

    def unwatch(self, fd: int) -> None:
        self._epoll.unregister(fd)

    def close(self) -> None:
        """Cut off whoever is left, and let go of everything."""
        super().close()
        self._epoll.close()
