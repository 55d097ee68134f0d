"""The ring from many to many: native/include/ipckit/mpmc.h."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.bench.quantity import THROUGHPUT
from ipckit.bench.row import Channel
from ipckit.ring.mpmc import MpmcRing

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH = 100
CAPACITY = 1 << 20  # bytes, the default


class Mpmc(Channel):
    """One message in each call, from one to one."""

    name = "MpmcRing"
    about = "ipckit.MpmcRing from one to one, one message in each call; 1 MiB, or four of the largest messages"
    family = "ring"

    def __init__(self, size: int, /) -> None:
        self.ring = MpmcRing.create(capacity=max(CAPACITY, 4 * size + 64))

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.ring.send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.ring.receive


class MpmcBatches(Mpmc):
    """Many messages in each call."""

    name = f"MpmcRing x{BATCH}"
    about = f"ipckit.MpmcRing from one to one, send_many and receive_many of {BATCH} messages"
    batch = BATCH
    measures = (THROUGHPUT,)

    def refuses(self, size: int, /) -> str | None:
        return f"{BATCH} messages fill the ring several times" if BATCH * size > 8 * CAPACITY else None

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.ring.send_many

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        receive_many = self.ring.receive_many
        return lambda: receive_many(BATCH)
