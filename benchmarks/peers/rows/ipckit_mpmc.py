"""ipckit.ring.MpmcRing: many producers and many consumers."""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.bench.loads import Crowd
from ipckit.ring import MpmcRing

if TYPE_CHECKING:
    from collections.abc import Callable

CAPACITY = 1 << 20  # bytes


class Shared(Crowd):
    """One ring for all."""

    name = "MpmcRing"
    about = "ipckit.ring.MpmcRing, one message in each call"
    family = "ring"

    def __init__(self, _size: int, _most: int, /) -> None:
        self.ring = MpmcRing.create(capacity=CAPACITY)

    def sender(self, _size: int, /) -> Callable[[bytes], object]:
        return self.ring.send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.ring.receive
