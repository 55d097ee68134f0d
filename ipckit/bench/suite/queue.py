"""The queue of objects on a ring in shared memory: ipckit.ring.Queue."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.bench.row import Channel
from ipckit.ring.queue import Queue

if TYPE_CHECKING:
    from collections.abc import Callable


class RingQueue(Channel):
    """Pickles each message in the caller; only what finds no room is left to a thread."""

    name = "Queue"
    about = "ipckit.Queue, in the place of multiprocessing.Queue: pickle, an MpmcRing"
    family = "ring"

    def __init__(self, _size: int, /) -> None:
        self.queue: Queue[Any] = Queue()

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.queue.put

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.queue.get
