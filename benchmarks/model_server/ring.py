"""The broadcast over `ipckit.ring.BroadcastRing`: the only file of this benchmark that knows ipckit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ipckit.ring import BroadcastRing

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.ring import Loan


class RingInbox:
    """A reader of the ring."""

    def __init__(self, ring: BroadcastRing) -> None:
        self._ring = ring
        self._loan: Loan | None = None
        ring.subscribe()

    def begin(self, ticket: Any) -> None:
        """Nothing to wait for: it gets what was sent since it subscribed, and the writer waits for it."""

    def take(self) -> memoryview:
        """Wait for the next message."""
        self._loan = self._ring.peek()
        return self._loan.buf

    def done(self) -> None:
        """The message has been read."""
        assert self._loan is not None
        self._loan.release()

    def close(self) -> None:
        """Leave the ring."""
        self._ring.close()


class RingDoor:
    """An anonymous ring travels to a child as it is."""

    def __init__(self, ring: BroadcastRing) -> None:
        self._ring = ring

    def open(self, place: int) -> RingInbox:
        """Subscribe."""
        del place
        return RingInbox(self._ring)


class Ring:
    """A ring that blocks for its slowest reader, and finds out by itself which readers are dead."""

    title = "BroadcastRing"

    def __init__(self, workers: int, largest: int, capacity: int, find_dead: Callable[[], object]) -> None:
        del workers, find_dead
        self._ring = BroadcastRing.create(capacity=max(capacity, 4 * largest))
        self.door = RingDoor(self._ring)

    def send(self, message: bytearray) -> None:
        """Wait for room, and send."""
        self._ring.send(message)

    def admit(self, place: int) -> None:
        """Nothing to do: it has subscribed."""

    def dismiss(self, place: int) -> None:
        """Nothing to do: the ring has asked the kernel, or will."""

    def close(self) -> None:
        """The end of the stream."""
        self._ring.close()
