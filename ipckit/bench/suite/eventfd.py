"""eventfd(2)."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.bench.quantity import ROUNDTRIP, WAKEUP
from ipckit.bench.row import Channel
from ipckit.eventfd import EventFd

if TYPE_CHECKING:
    from collections.abc import Callable


class EventFdRow(Channel):
    """It carries a count and no message, so there is no throughput to speak of."""

    name = "EventFd"
    about = "ipckit.EventFd: a wake-up without a message"
    family = "event"
    measures = (ROUNDTRIP, WAKEUP)
    payload = False

    def __init__(self, _size: int, /) -> None:
        self.event = EventFd.create()

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        write = self.event.write
        return lambda _data: write()

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.event.read
