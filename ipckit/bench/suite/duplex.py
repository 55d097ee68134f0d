"""Full-duplex pipes: socketpair(2)."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.bench.row import Channel
from ipckit.bench.suite.unix import UnixDatagram
from ipckit.duplex import DuplexMessages, DuplexPipe

if TYPE_CHECKING:
    from collections.abc import Callable


class DuplexPipeRow(Channel):
    """A connected pair of streams, used in one direction."""

    name = "DuplexPipe"
    about = "ipckit.DuplexPipe: whole messages, each with its length before it"
    family = "pipe"

    def __init__(self, _size: int, /) -> None:
        self.reader, self.writer = DuplexPipe.create()

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.writer.send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.reader.receive


class DuplexMessagesRow(UnixDatagram):
    """The kernel keeps the messages apart."""

    name = "DuplexPipe messages"
    about = "ipckit.DuplexPipe with messages=True: the kernel keeps the boundaries"
    family = "pipe"
    _kind = DuplexMessages
