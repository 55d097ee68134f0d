"""pipe(7)."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

import os
from multiprocessing.reduction import DupFd
from typing import TYPE_CHECKING, Any

from ipckit.bench.row import Channel
from ipckit.pipe import Pipe

if TYPE_CHECKING:
    from collections.abc import Callable


class PipeRow(Channel):
    """Whole messages over a pipe."""

    name = "Pipe"
    about = "ipckit.Pipe: send and receive of whole messages, each with its length before it"
    family = "pipe"

    def __init__(self, _size: int, /) -> None:
        self.reader, self.writer = Pipe.create()

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.writer.send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.reader.receive


class BarePipe(Channel):
    """What the kernel and `os` alone take, when both sides know the length of every message."""

    name = "os.pipe (bare)"
    about = "os.write and os.read of a fixed size on a blocking pipe, no framing"
    family = "pipe"

    def __init__(self, _size: int, /) -> None:
        self.fds = os.pipe()

    def __getstate__(self) -> list[Any]:
        return [DupFd(fd) for fd in self.fds]

    def __setstate__(self, travelling: list[Any]) -> None:
        self.fds = travelling[0].detach(), travelling[1].detach()

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        fd, write = self.fds[1], os.write
        return lambda data: write(fd, data)  # a blocking pipe takes all of it

    def receiver(self, size: int, /) -> Callable[[], Any]:
        fd, read = self.fds[0], os.read

        def receive() -> bytes:
            data = read(fd, size)
            while len(data) < size:
                data += read(fd, size - len(data))
            return data

        return receive

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)
