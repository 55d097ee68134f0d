"""Events and event pairs, beside the standard library's event: set here, waited for there."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING, Any, ClassVar

from ipckit.bench.quantity import ROUNDTRIP, WAKEUP
from ipckit.bench.row import Channel
from ipckit.posix.semaphore import Semaphore
from ipckit.sync.event import Event
from ipckit.sync.event_pair import EventPair

if TYPE_CHECKING:
    from collections.abc import Callable

_context = multiprocessing.get_context("spawn")


class EventRow(Channel):
    """What the rows of one event have in common: a wake-up carries nothing."""

    family = "sync"
    measures = (ROUNDTRIP, WAKEUP)
    payload = False
    event: Any

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        set_event = self.event.set
        return lambda _data: set_event()

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        wait, clear = self.event.wait, self.event.clear

        def receive() -> None:
            wait()
            clear()

        return receive


class SyncEvent(EventRow):
    """As `threading.Event`: whoever has waited clears it."""

    name = "sync.Event"
    about = "ipckit.sync.Event, manual-reset: set, wait, clear"

    def __init__(self, _size: int, /) -> None:
        self.event = Event.create()


class SyncAutoResetEvent(EventRow):
    """Consumed by the wait."""

    name = "sync.Event (auto)"
    about = "ipckit.sync.Event, auto-reset: set, wait"

    def __init__(self, _size: int, /) -> None:
        self.event = Event.create(auto_reset=True)

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        wait: Callable[[], Any] = self.event.wait
        return wait


class MpEvent(EventRow):
    """A condition, a lock and a flag, of five semaphores."""

    name = "mp.Event"
    about = "multiprocessing.Event: set, wait, clear"
    family = "multiprocessing"

    def __init__(self, _size: int, /) -> None:
        self.event = _context.Event()


class SyncEventPair(Channel):
    """One call of the first process for a round trip, `set_low_wait_high`; two of the second.

    A pair has both directions, so the two channels that the engine makes share one.
    """

    name = "sync.EventPair"
    about = "ipckit.sync.EventPair: set_low_wait_high here; wait_low, set_high there"
    family = "sync"
    measures = (ROUNDTRIP,)
    payload = False

    _unshared: ClassVar[EventPair | None] = None

    def __init__(self, _size: int, /) -> None:
        other = SyncEventPair._unshared
        self.back = other is not None and not other.closed
        self.pair = other if other is not None and self.back else EventPair.create()
        SyncEventPair._unshared = None if self.back else self.pair

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        set_high = self.pair.set_high
        return (lambda _data: set_high()) if self.back else (lambda _data: None)  # the waiting call sets low

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.pair.set_low_wait_high if self.back else self.pair.wait_low


class PosixSemaphoreSignal(Channel):
    """What an event pair is measured against: a semaphore for each direction."""

    name = "posix sem as signal"
    about = "ipckit.posix.Semaphore: release here, acquire there"
    family = "semaphore"
    measures = (ROUNDTRIP, WAKEUP)
    payload = False

    def __init__(self, _size: int, /) -> None:
        self.semaphore = Semaphore.create(unlink_on_close=True)

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        release = self.semaphore.release
        return lambda _data: release()

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        acquire: Callable[[], Any] = self.semaphore.acquire
        return acquire
