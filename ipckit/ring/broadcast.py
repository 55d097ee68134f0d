"""A ring from writers to readers that all see every message, in shared memory: native/include/ipckit/broadcast.h."""

from __future__ import annotations

from ipckit.ring._broadcast_handle import BroadcastStat
from ipckit.ring._broadcast_receiving import BroadcastReceiving

__all__ = ["BroadcastRing", "BroadcastStat"]


class BroadcastRing(BroadcastReceiving):
    """Messages of any length from one or more writers to any number of readers, each of whom sees every message.

    All readers see the messages in the same order; those of one writer in the order in which it sent them. A message
    arrives whole, or never was: also if its writer is killed in the middle. Whoever sends becomes a writer. Whoever
    receives becomes a reader, and gets what is sent from then on; `subscribe` gives it what was sent before as well, as
    far as it is still there. A reader that falls behind stops the writers, or loses messages and is told how many, or
    is disconnected, as the creator chose. To send costs the same whatever the number of readers that are awake, and
    one system call for all that sleep.

    Where nobody reads, messages are sent all the same. When the last writer closes, readers get EndOfStreamError after
    the last message; if it was killed, PeerDiedError. A later writer may take over. A reader that is killed holds up
    nobody for longer than a tenth of a second; one that is stopped, and a writer that is stopped in the middle of a
    message, are waited for.

    Waiting spins for about as long as a wake-up takes (`set_spin`), then sleeps in futex(2).

    Threads may share a handle: they are one writer, and one reader whose messages they share out. fork(2): the child
    inherits the handle but no role. A handle travels to multiprocessing children, an anonymous one too.

    >>> import os
    >>> with BroadcastRing.create() as ring, BroadcastRing.from_fd(os.dup(ring.fileno())) as reader:
    ...     reader.subscribe()  # in practice the two are in different processes
    ...     ring.send(b"news")
    ...     reader.receive(timeout=1.0)
    0
    b'news'
    """

    __slots__ = ()
