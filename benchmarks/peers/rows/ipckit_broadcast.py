"""ipckit.ring.BroadcastRing: every message to every reader."""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.bench.loads import Fan
from ipckit.ring import BroadcastRing

if TYPE_CHECKING:
    from collections.abc import Callable

CAPACITY = 1 << 20  # bytes


class Broadcast(Fan):
    """One ring, in which each reader has its place."""

    name = "BroadcastRing"
    about = "ipckit.ring.BroadcastRing with slow_reader='block': nothing is lost"
    family = "ring"

    def __init__(self, _size: int, _most: int, /) -> None:
        self.ring = BroadcastRing.create(capacity=CAPACITY, slow_reader="block")
        self.joined = False

    def writer(self, _size: int, _readers: int, /) -> Callable[[bytes], object]:
        return self.ring.send

    def reader(self, _size: int, _index: int, /) -> Callable[[], Any]:
        if not self.joined:
            self.ring.subscribe()
            self.joined = True
        return self.ring.receive
