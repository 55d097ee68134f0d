"""A ring from one producer to one consumer, in shared memory: native/include/ipckit/spsc.h."""

from __future__ import annotations

from ipckit.ring._spsc_receiving import SpscReceiving
from ipckit.ring._spsc_sending import SpscSending
from ipckit.ring._spsc_stat import SpscStat

__all__ = ["SpscRing", "SpscStat"]


class SpscRing(SpscSending, SpscReceiving):
    """A queue of messages of any length from one producer to one consumer; no system call while both are awake.

    Order is kept; a message arrives whole. Whoever sends first becomes the producer, whoever receives first the
    consumer; another process that tries gets BusyError while that one lives. `close` gives the role back, and tells the
    other side so: after the last message `receive` raises EndOfStreamError. If the producer was killed instead, it
    raises PeerDiedError. A successor may take over a role that was closed or whose holder died. A message that the
    consumer was receiving when it was killed is delivered to its successor, or was received: never half of it.

    Waiting spins for about as long as a wake-up takes (`spin`), then sleeps in futex(2).

    Threads: one sender and one receiver at a time; a second one gets BusyError, nothing is lost. fork(2): the child
    inherits the handle but no role. A handle travels to multiprocessing children, an anonymous one too.

    >>> with SpscRing.create() as ring:  # in practice the two ends are in two processes
    ...     ring.send(b"ping")
    ...     ring.receive(timeout=1.0)
    b'ping'
    """

    __slots__ = ()
