"""The ring in shared memory: native/include/ipckit/spsc.h."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.bench.quantity import THROUGHPUT
from ipckit.bench.row import Channel
from ipckit.ring.spsc import SpscRing

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 100
CAPACITY = 1 << 20  # bytes, the default


class Ring(Channel):
    """One message in each call."""

    name = "SpscRing"
    about = "ipckit.SpscRing, one message in each call; 1 MiB, or four of the largest messages"
    family = "ring"

    def __init__(self, size: int, /) -> None:
        self.ring = SpscRing.create(capacity=max(CAPACITY, 4 * size))

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.ring.send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.ring.receive


class RingBatches(Ring):
    """Many messages in each call."""

    name = f"SpscRing x{BATCH}"
    about = f"ipckit.SpscRing, send_many and receive_many of {BATCH} messages"
    batch = BATCH
    measures = (THROUGHPUT,)

    def refuses(self, size: int, /) -> str | None:
        return f"{BATCH} messages fill the ring several times" if BATCH * size > 8 * CAPACITY else None

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.ring.send_many

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        receive_many = self.ring.receive_many
        return lambda: receive_many(BATCH)
