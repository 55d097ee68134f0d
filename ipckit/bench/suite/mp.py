"""The standard library's own, which everybody knows: the yardsticks."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING, Any

from ipckit.bench.row import Channel, Lock

if TYPE_CHECKING:
    from collections.abc import Callable

_context = multiprocessing.get_context("spawn")


class MpQueue(Channel):
    """Pickles each message, and hands it to a thread that writes it to a pipe."""

    name = "mp.Queue"
    about = "multiprocessing.Queue: pickle, a feeder thread, a pipe, two locks"
    family = "multiprocessing"

    def __init__(self, _size: int, /) -> None:
        self.queue: Any = _context.Queue()

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        put: Callable[[Any], object] = self.queue.put
        return put

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        get: Callable[[], Any] = self.queue.get
        return get


class MpPipe(Channel):
    """Bytes as they are, each message with its length before it."""

    name = "mp.Pipe"
    about = "multiprocessing.Pipe(duplex=False): send_bytes and recv_bytes, no pickle"
    family = "multiprocessing"

    def __init__(self, _size: int, /) -> None:
        self.reader, self.writer = _context.Pipe(duplex=False)

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.writer.send_bytes

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.reader.recv_bytes


class MpLock(Lock):
    """A POSIX semaphore, reached through a C type."""

    name = "mp.Lock"
    about = "multiprocessing.Lock"
    family = "multiprocessing"

    def __init__(self) -> None:
        self.lock = _context.Lock()

    def calls(self) -> tuple[Callable[[], object], Callable[[], object]]:
        return self.lock.acquire, self.lock.release
