"""The newest value in shared memory: native/include/ipckit/latest.h."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.bench.quantity import ROUNDTRIP, WAKEUP
from ipckit.bench.row import Channel
from ipckit.ring.latest import Latest

if TYPE_CHECKING:
    from collections.abc import Callable


class Newest(Channel):
    """No throughput: a value that is not fetched in time is replaced, and never counted as received."""

    name = "Latest"
    about = "ipckit.Latest: a value replaced, and the new one copied"
    family = "ring"
    measures = (ROUNDTRIP, WAKEUP)

    def __init__(self, size: int, /) -> None:
        self.latest = Latest.create(max_size=max(1, size))

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.latest.send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.latest.receive
