"""Where messages come from without a connection: a FIFO, or a message queue."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from ipckit._framing import HEADER_SIZE, unpack_header
from ipckit._wait import SLICE_NS
from ipckit.errors import LayoutError, TimeoutExpired
from ipckit.pipe import PIPE_BUF
from ipckit.server._line import Port
from ipckit.server._peer import Peer

if TYPE_CHECKING:
    from ipckit.fifo import Fifo

LARGEST_IN_FIFO = PIPE_BUF - HEADER_SIZE
"""What a writer sends at once and whole, whoever else writes: pipe(7)."""


class Source(Port):
    """A FIFO or queue; threads may share it."""

    __slots__ = ()

    reply_path = ""
    """Where a handler sends a reply, for it cannot return one."""

    def take(self) -> tuple[bytes, Peer] | None:
        """The next message and its sender, None if there is none."""
        raise NotImplementedError


class FifoSource(Source):
    """All messages of all writers of a FIFO, each written at once.

    Because such a write is atomic, a header without its message means that somebody wrote something else. Then
    nobody knows where the next message begins: what is in the FIFO is dropped.
    """

    __slots__ = ("_limit", "_lock", "_reader")

    reply_path = "open the FIFO that the message names, and write to it"

    def __init__(self, fifo: Fifo, limit: int) -> None:
        # The own writing end keeps the stream from ending whenever the last writer goes.
        self._reader = fifo.open_reader(keep_open=True)
        super().__init__(fifo, self._reader.fileno())
        self._limit = limit
        self._lock = threading.Lock()

    def take(self) -> tuple[bytes, Peer] | None:
        with self._lock:
            header = self._reader.try_read(HEADER_SIZE)
            if not header:
                return None
            if len(header) < HEADER_SIZE:
                raise self._broken(f"{len(header)} bytes instead of a length", len(header))
            length: int = unpack_header(header)[0]
            if length > self._limit:
                raise self._broken(f"a length of {length} bytes, above the limit of {self._limit}", HEADER_SIZE)
            message = self._reader.try_read(length) if length else b""
            found = len(message or b"")
            if message is None or found < length:
                raise self._broken(f"{found} of {length} bytes of a message", HEADER_SIZE + found)
            return message, Peer()

    def close(self) -> None:
        self._reader.close()
        super().close()

    def _broken(self, what: str, dropped: int) -> LayoutError:
        while rest := self._reader.try_read():
            dropped += len(rest)
        return LayoutError(
            f"{self.handle!r} held {what}; {dropped} bytes were dropped. "
            f"Write messages with send(), of at most {LARGEST_IN_FIFO} bytes"
        )


class QueueSource(Source):
    """A POSIX or System V message queue; processes may share it, too."""

    __slots__ = ()

    reply_path = "open the queue that the message names, and send to it"

    def __init__(self, queue: Any) -> None:
        super().__init__(queue, queue.fileno() if queue.pollable else -1)

    def take(self) -> tuple[bytes, Peer] | None:
        message = self.handle.try_receive() if self.fd >= 0 else self._await_message()
        if message is None:
            return None
        peer = Peer(priority=getattr(message, "priority", None), type=getattr(message, "type", None))
        return message.data, peer

    def _await_message(self) -> Any:
        try:
            return self.handle.receive(timeout=SLICE_NS / 1e9)
        except TimeoutExpired:
            return None


def is_queue(listener: object) -> bool:
    """Whether *listener* is a message queue; asks without importing the packages that its module needs."""
    modules = (sys.modules.get(name) for name in ("ipckit.posix.mqueue", "ipckit.sysv.msg"))
    return any(isinstance(listener, module.MessageQueue) for module in modules if module is not None)
