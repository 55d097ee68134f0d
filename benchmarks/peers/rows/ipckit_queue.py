"""ipckit.ring.Queue: the drop-in for multiprocessing.Queue."""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.peers.rows._arrays import fresh
from ipckit.bench.loads import Arrays, Crowd, Objects
from ipckit.ring import Queue

if TYPE_CHECKING:
    from collections.abc import Callable


class Dicts(Objects):
    """Pickles by itself."""

    name = "ring.Queue"
    about = "ipckit.ring.Queue with its default codec: put and get"
    family = "ring"

    def __init__(self, _size: int, /) -> None:
        self.queue = Queue()

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.queue.put

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.queue.get


class OutOfBand(Arrays):
    """Its pickle leaves the array's bytes out; they are written into the ring once."""

    name = "ring.Queue"
    about = "ipckit.ring.Queue: put and get of the array"
    family = "ring"

    def __init__(self, size: int, /) -> None:
        self.queue = Queue(capacity=4 * size)

    def giver(self, size: int, /) -> Callable[[int], Callable[[], object]]:
        return fresh(size, self.queue.put)

    def taker(self, _size: int, /) -> Callable[[], int]:
        get = self.queue.get
        return lambda: int(get()[-1])


class Shared(Crowd):
    """One queue for all, bytes through the codec."""

    name = "ring.Queue"
    about = "ipckit.ring.Queue: put and get of bytes"
    family = "ring"

    def __init__(self, _size: int, _most: int, /) -> None:
        self.queue = Queue()

    def sender(self, _size: int, /) -> Callable[[bytes], object]:
        return self.queue.put

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.queue.get
