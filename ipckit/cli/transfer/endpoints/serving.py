"""Receiving from all who connect."""

from __future__ import annotations

import errno
import select
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

from ipckit._wait import Deadline
from ipckit.cli.transfer.endpoints import Endpoint
from ipckit.errors import (
    BrokenPeerError,
    EndOfStreamError,
    MessageTooLargeError,
    PeerDiedError,
    TimeoutExpired,
    syscall_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class Served(Endpoint):
    """A listening socket, and the connections to it: messages come from all of them, as they arrive.

    When the last of those who came has left, that is the end, unless it is to go on.
    """

    def __init__(self, listener: Any, connected: Callable[[Any], Endpoint], *, follow: bool) -> None:
        super().__init__(listener)
        self._connected = connected
        self._follow = follow
        self._ends: dict[int, Endpoint] = {}
        self._ready: deque[bytes] = deque()
        self._came = False
        self._poll = select.poll()
        self._poll.register(listener.fileno(), select.POLLIN)

    def receive(self, timeout: float | None) -> bytes:
        """Take the next message of any connection."""
        deadline = Deadline.after(timeout)
        while not self._ready:
            if self._came and not self._ends and not self._follow:
                raise EndOfStreamError("all who connected have left, and all that they sent was received")
            left = deadline.left()
            found = self._poll.poll(None if left is None else max(0, -int(-left * 1000 // 1)))
            for fd, _ in found:
                if fd == self.handle.fileno():  # type: ignore[attr-defined]
                    self._accept()
                else:
                    self._take(fd)
            if not found and deadline.expired:
                raise syscall_error(errno.ETIMEDOUT, "receive", repr(self.handle))
        return self._ready.popleft()

    def close(self) -> None:
        """Let go of the connections and of the listening socket."""
        for end in self._ends.values():
            end.close()
        super().close()

    def _accept(self) -> None:
        handle = self.handle.try_accept()  # type: ignore[attr-defined]
        if handle is not None:
            self._ends[handle.fileno()] = self._connected(handle)
            self._poll.register(handle.fileno(), select.POLLIN)
            self._came = True

    def _take(self, fd: int) -> None:
        end = self._ends[fd]
        try:
            self._ready.append(end.receive(0))
            while end.buffered:  # and no more, or one that never pauses would keep the others out
                self._ready.append(end.receive(0))
            return
        except TimeoutExpired:
            return
        except EndOfStreamError:
            pass
        except (BrokenPeerError, MessageTooLargeError, PeerDiedError) as error:  # no reason to leave the others
            print(f"ipckit: {error}", file=sys.stderr)
        self._poll.unregister(fd)
        del self._ends[fd]
        end.close()
