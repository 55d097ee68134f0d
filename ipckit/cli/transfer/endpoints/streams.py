"""Byte streams that carry messages in one of the forms of `ipckit.cli.transfer.framing`."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ipckit.cli.transfer.endpoints import Endpoint
from ipckit.cli.transfer.framing import CHUNK, framed, splitter
from ipckit.errors import EndOfStreamError

if TYPE_CHECKING:
    from ipckit._wait import Deadline


class ByteStream(Endpoint):
    """A handle that reads and writes bytes."""

    stream = True

    def __init__(self, handle: Any, wire: str) -> None:
        super().__init__(handle)
        self._wire = wire
        self._splitter = splitter(wire)
        self._ready: deque[bytes] = deque()
        self._ended = False

    @property
    def buffered(self) -> int:
        """How many messages were read, but not yet taken."""
        return len(self._ready)

    def send(self, message: bytes, timeout: float | None) -> None:
        """Write the message."""
        self.handle.write(framed(self._wire, message), timeout)  # type: ignore[attr-defined]

    def receive(self, timeout: float | None) -> bytes:
        """Read until there is a message; what came of one before the time was up is kept."""
        from ipckit._wait import Deadline

        deadline = Deadline.after(timeout)
        while not self._ready:
            if self._ended:
                raise EndOfStreamError("the other side has closed the stream, and all that it sent was received")
            chunk = self._read(deadline)
            if chunk:
                self._ready += self._splitter.feed(chunk)
            else:
                self._ended = True
                self._ready += self._splitter.end()
        return self._ready.popleft()

    def _read(self, deadline: Deadline) -> bytes:
        """The next bytes, b"" at the end."""
        data: bytes = self.handle.read(CHUNK, deadline.left())  # type: ignore[attr-defined]
        return data
