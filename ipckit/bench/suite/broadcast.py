"""The ring that all readers see: native/include/ipckit/broadcast.h."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ipckit.bench.quantity import THROUGHPUT
from ipckit.bench.row import Channel
from ipckit.ring.broadcast import BroadcastRing

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 100
CAPACITY = 1 << 20  # bytes, the default


class Broadcast(Channel):
    """One message in each call, to one reader."""

    name = "BroadcastRing"
    about = "ipckit.BroadcastRing to one reader, one message in each call; 1 MiB, or four of the largest messages"
    family = "ring"

    def __init__(self, size: int, /) -> None:
        self.ring = BroadcastRing.create(capacity=max(CAPACITY, 4 * size + 64))

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        self.meet()
        return self.ring.send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        self.join()
        return self.ring.receive

    def meet(self) -> None:
        """Wait for the reader: what is sent before it is there is not for it."""
        while not self.ring.consumers:
            time.sleep(0.001)

    def join(self) -> None:
        """Become the reader, and stay it from one measurement to the next."""
        if not self.ring.consumers:
            self.ring.subscribe()


class BroadcastBatches(Broadcast):
    """Many messages in each call."""

    name = f"BroadcastRing x{BATCH}"
    about = f"ipckit.BroadcastRing to one reader, send_many and receive_many of {BATCH} messages"
    batch = BATCH
    measures = (THROUGHPUT,)

    def refuses(self, size: int, /) -> str | None:
        return f"{BATCH} messages fill the ring several times" if BATCH * size > 8 * CAPACITY else None

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        self.meet()
        return self.ring.send_many

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        self.join()
        receive_many = self.ring.receive_many
        return lambda: receive_many(BATCH)
