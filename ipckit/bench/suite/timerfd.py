"""timerfd_create(2)."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.bench.quantity import ROUNDTRIP, WAKEUP
from ipckit.bench.row import Channel
from ipckit.timerfd import TimerFd

if TYPE_CHECKING:
    from collections.abc import Callable


class TimerFdRow(Channel):
    """A timer that both have, set to expire at once: the price of its expiration, and of the wake-up."""

    name = "TimerFd"
    about = "ipckit.TimerFd: set to 1 ns by one process, read by the other"
    family = "event"
    measures = (ROUNDTRIP, WAKEUP)
    payload = False

    def __init__(self, _size: int, /) -> None:
        self.timer = TimerFd.create()

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        arm = self.timer.set_ns
        return lambda _data: arm(1)

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.timer.read
