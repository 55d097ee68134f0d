"""ipckit.SpscRing where the installed suite has no row of it: in place, and one ring for each reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.peers.rows._in_place import array_giver, array_taker, placing_sender, showing_receiver
from ipckit.bench.loads import Arrays, Fan
from ipckit.bench.quantity import THROUGHPUT
from ipckit.bench.row import Channel
from ipckit.ring.spsc import SpscRing

if TYPE_CHECKING:
    from collections.abc import Callable

CAPACITY = 1 << 20  # bytes


class InPlace(Channel):
    """The sender copies into the ring, the receiver looks at the message where it lies."""

    name = "SpscRing in place"
    about = "ipckit.SpscRing: reserve, fill, commit; peek, release"
    family = "ring"
    measures = (THROUGHPUT,)

    def __init__(self, size: int, /) -> None:
        self.ring = SpscRing.create(capacity=max(CAPACITY, 4 * size))
        self.shown: list[Any] = []

    def sender(self, size: int, /) -> Callable[[Any], object]:
        return placing_sender(self.ring, size)

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return showing_receiver(self.ring, self.shown)


class ArraysInPlace(Arrays):
    """Written and read in the ring."""

    name = "SpscRing"
    about = "ipckit.SpscRing: arrays in the reservation and in the loan"
    family = "ring"

    def __init__(self, size: int, /) -> None:
        self.ring = SpscRing.create(capacity=4 * size)

    def giver(self, size: int, /) -> Callable[[int], Callable[[], object]]:
        return array_giver(self.ring, size)

    def taker(self, _size: int, /) -> Callable[[], int]:
        return array_taker(self.ring)


class Each(Fan):
    """No broadcast: the writer sends to each reader in turn."""

    name = "SpscRing each"
    about = "an ipckit.SpscRing for each reader, into each of which the writer sends"
    family = "ring"

    def __init__(self, _size: int, most: int, /) -> None:
        self.rings = [SpscRing.create(capacity=CAPACITY) for _ in range(most)]

    def writer(self, _size: int, readers: int, /) -> Callable[[bytes], object]:
        sends = [ring.send for ring in self.rings[:readers]]

        def send(data: bytes) -> None:
            for call in sends:
                call(data)

        return send

    def reader(self, _size: int, index: int, /) -> Callable[[], Any]:
        return self.rings[index].receive

    def close(self) -> None:
        for ring in self.rings:
            ring.close()
