"""multiprocessing: its queue and its pipe with dicts and arrays, with many processes, and one queue for each reader."""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING, Any

from benchmarks.peers.rows._arrays import fresh, last_of_bytes
from ipckit.bench.loads import Arrays, Crowd, Fan, Objects

if TYPE_CHECKING:
    from collections.abc import Callable

_context = multiprocessing.get_context("spawn")


class QueueObjects(Objects):
    """Pickles by itself."""

    name = "mp.Queue"
    about = "multiprocessing.Queue: put and get"
    family = "multiprocessing"

    def __init__(self, _size: int, /) -> None:
        self.queue: Any = _context.Queue()

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.queue.put

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.queue.get


class PipeObjects(Objects):
    """Pickles by itself."""

    name = "mp.Pipe"
    about = "multiprocessing.Pipe(duplex=False): send and recv"
    family = "multiprocessing"

    def __init__(self, _size: int, /) -> None:
        self.reader, self.writer = _context.Pipe(duplex=False)

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.writer.send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.reader.recv


class QueueArrays(Arrays):
    """Copies the array into a pickle, that into a pipe, and back."""

    name = "mp.Queue"
    about = "multiprocessing.Queue: put and get of the array"
    family = "multiprocessing"

    def __init__(self, _size: int, /) -> None:
        self.queue: Any = _context.Queue()

    def giver(self, size: int, /) -> Callable[[int], Callable[[], object]]:
        return fresh(size, self.queue.put)

    def taker(self, _size: int, /) -> Callable[[], int]:
        get = self.queue.get
        return lambda: int(get()[-1])


class PipeArrays(Arrays):
    """Copies the array's bytes into a pipe, and out of it."""

    name = "mp.Pipe"
    about = "multiprocessing.Pipe(duplex=False): send_bytes of the array, numpy.frombuffer of recv_bytes"
    family = "multiprocessing"

    def __init__(self, _size: int, /) -> None:
        self.reader, self.writer = _context.Pipe(duplex=False)

    def giver(self, size: int, /) -> Callable[[int], Callable[[], object]]:
        return fresh(size, self.writer.send_bytes)

    def taker(self, _size: int, /) -> Callable[[], int]:
        receive = self.reader.recv_bytes
        return lambda: last_of_bytes(receive())


class QueueCrowd(Crowd):
    """Its pipe is shared by all, under two locks."""

    name = "mp.Queue"
    about = "multiprocessing.Queue: put and get"
    family = "multiprocessing"

    def __init__(self, _size: int, _most: int, /) -> None:
        self.queue: Any = _context.Queue()

    def sender(self, _size: int, /) -> Callable[[bytes], object]:
        return self.queue.put

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.queue.get


class QueueEach(Fan):
    """There is no broadcast: the writer sends to each reader in turn."""

    name = "mp.Queue each"
    about = "a multiprocessing.Queue for each reader, into each of which the writer puts"
    family = "multiprocessing"

    def __init__(self, _size: int, most: int, /) -> None:
        self.queues: list[Any] = [_context.Queue() for _ in range(most)]

    def writer(self, _size: int, readers: int, /) -> Callable[[bytes], object]:
        puts = [queue.put for queue in self.queues[:readers]]

        def send(data: bytes) -> None:
            for put in puts:
                put(data)

        return send

    def reader(self, _size: int, index: int, /) -> Callable[[], Any]:
        return self.queues[index].get

    def close(self) -> None:
        for queue in self.queues:
            queue.close()
