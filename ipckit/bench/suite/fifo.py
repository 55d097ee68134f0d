"""fifo(7)."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.bench.row import Channel
from ipckit.fifo import Fifo

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.pipe import PipeReader, PipeWriter


class FifoRow(Channel):
    """A pipe with a path; only the opening differs."""

    name = "Fifo"
    about = "ipckit.Fifo: send and receive of whole messages, each with its length before it"
    family = "pipe"

    reader: PipeReader | None = None
    writer: PipeWriter | None = None

    def __init__(self, _size: int, /) -> None:
        self.fifo = Fifo.create(unlink_on_close=True)

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        self.writer = self.writer or self.fifo.open_writer(timeout=5)
        return self.writer.send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        self.reader = self.reader or self.fifo.open_reader()
        return self.reader.receive
