"""faster-fifo: a byte ring in shared memory under one process-shared mutex.

Its best mode for bytes is a serializer that does nothing: pickle, its default, is used for objects and arrays only.
Its calls give up after ten seconds by default; here they wait as long as it takes.
"""

# mypy: disable-error-code="no-any-return, import-untyped, import-not-found"

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from faster_fifo import Queue

from benchmarks.peers.rows._arrays import fresh
from ipckit.bench.loads import Arrays, Crowd, Fan, Objects
from ipckit.bench.quantity import THROUGHPUT
from ipckit.bench.row import Channel

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 100
CAPACITY = 1 << 20  # bytes, as ipckit's rings
PATIENT = 3600.0  # s


def as_it_is(data: bytes) -> bytes:
    """The serializer of bytes."""
    return data


def bytes_queue(size: int) -> Any:
    """A queue of bytes, large enough for four messages."""
    return Queue(max(CAPACITY, 4 * size), loads=bytes, dumps=as_it_is)


class Bytes(Channel):
    """One message in each call."""

    name = "faster-fifo"
    about = "faster_fifo.Queue with bytes as they are, no pickle; 1 MiB, or four of the largest messages"
    family = "faster-fifo"

    def __init__(self, size: int, /) -> None:
        self.queue = bytes_queue(size)

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        put = self.queue.put
        return lambda data: put(data, True, PATIENT)

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return partial(self.queue.get, True, PATIENT)


class Batches(Bytes):
    """Many messages in each call."""

    name = f"faster-fifo x{BATCH}"
    about = f"faster_fifo.Queue with bytes as they are: put_many and get_many of {BATCH} messages"
    batch = BATCH
    measures = (THROUGHPUT,)

    def refuses(self, size: int, /) -> str | None:
        return (
            f"put_many puts all {BATCH} messages or none, and the queue holds less" if BATCH * size > CAPACITY else None
        )

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        put_many = self.queue.put_many
        return lambda batch: put_many(batch, True, PATIENT)

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return partial(self.queue.get_many, True, PATIENT, BATCH)


class Dicts(Objects):
    """Pickles by itself."""

    name = "faster-fifo"
    about = "faster_fifo.Queue with its default serializer, pickle"
    family = "faster-fifo"

    def __init__(self, _size: int, /) -> None:
        self.queue = Queue(CAPACITY)

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        put = self.queue.put
        return lambda data: put(data, True, PATIENT)

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return partial(self.queue.get, True, PATIENT)


class Pickled(Arrays):
    """Copies the array into a pickle, into the ring, and back."""

    name = "faster-fifo"
    about = "faster_fifo.Queue with its default serializer, pickle"
    family = "faster-fifo"

    def __init__(self, size: int, /) -> None:
        self.queue = Queue(2 * size)

    def giver(self, size: int, /) -> Callable[[int], Callable[[], object]]:
        put = self.queue.put
        return fresh(size, lambda array: put(array, True, PATIENT))

    def taker(self, _size: int, /) -> Callable[[], int]:
        get = self.queue.get
        return lambda: int(get(True, PATIENT)[-1])


class Shared(Crowd):
    """One ring for all."""

    name = "faster-fifo"
    about = "faster_fifo.Queue with bytes as they are, no pickle"
    family = "faster-fifo"

    def __init__(self, size: int, _most: int, /) -> None:
        self.queue = bytes_queue(size)

    def sender(self, _size: int, /) -> Callable[[bytes], object]:
        put = self.queue.put
        return lambda data: put(data, True, PATIENT)

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return partial(self.queue.get, True, PATIENT)


class Each(Fan):
    """There is no broadcast: the writer sends to each reader in turn."""

    name = "faster-fifo each"
    about = "a faster_fifo.Queue for each reader, into each of which the writer puts bytes as they are"
    family = "faster-fifo"

    def __init__(self, size: int, most: int, /) -> None:
        self.queues = [bytes_queue(size) for _ in range(most)]

    def writer(self, _size: int, readers: int, /) -> Callable[[bytes], object]:
        puts = [queue.put for queue in self.queues[:readers]]

        def send(data: bytes) -> None:
            for put in puts:
                put(data, True, PATIENT)

        return send

    def reader(self, _size: int, index: int, /) -> Callable[[], Any]:
        return partial(self.queues[index].get, True, PATIENT)
