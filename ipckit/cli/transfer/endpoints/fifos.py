"""FIFOs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.cli.transfer.endpoints.streams import ByteStream
from ipckit.cli.transfer.framing import CHUNK

if TYPE_CHECKING:
    from ipckit._wait import Deadline
    from ipckit.cli.transfer.endpoints import Endpoint, How
    from ipckit.fifo import Fifo
    from ipckit.pipe import PipeReader, PipeWriter


class FifoEnd(ByteStream):
    """One end of a FIFO."""

    def __init__(self, handle: PipeReader | PipeWriter, fifo: Fifo, wire: str) -> None:
        super().__init__(handle, wire)
        self._fifo = fifo

    def close(self) -> None:
        """Let go of it."""
        super().close()
        self._fifo.close()

    def unlink(self) -> None:
        """Remove its path."""
        self._fifo.unlink()


class ExactReader(FifoEnd):
    """A reader that leaves in the FIFO what follows its messages: the next one shall find it."""

    handle: PipeReader

    def __init__(self, handle: PipeReader, fifo: Fifo, wire: str) -> None:
        from ipckit import Pipe

        super().__init__(handle, fifo, wire)
        self._copy, self._copying = Pipe.create()

    def _read(self, deadline: Deadline) -> bytes:
        # Looked at in a copy first: a FIFO has no MSG_PEEK, and to read byte by byte takes a thousand times as long.
        ahead = b""
        if self.handle.tee_to(self._copying, CHUNK, deadline.left()):
            ahead = self._copy.read(CHUNK)
        return self.handle.read(max(1, min(self._splitter.wanted(ahead), CHUNK)), deadline.left())

    def close(self) -> None:
        """Let go of it."""
        self._copy.close()
        self._copying.close()
        super().close()


def sender(_kind: str, name: str, how: How) -> Endpoint:
    """The writing end, once there is a reader."""
    fifo = _found(name, how)
    try:
        return FifoEnd(fifo.open_writer(how.timeout), fifo, how.wire)
    except BaseException:
        fifo.close()
        raise


def receiver(_kind: str, name: str, how: How) -> Endpoint:
    """The reading end; where it is to follow, it never meets the end."""
    fifo = _found(name, how)
    try:
        reader = fifo.open_reader(keep_open=how.follow)
        return (ExactReader if how.exact else FifoEnd)(reader, fifo, how.wire)
    except BaseException:
        fifo.close()
        raise


def _found(name: str, how: How) -> Fifo:
    from ipckit import Fifo

    return Fifo.open_or_create(name, mode=how.mode) if how.create else Fifo.open(name)
