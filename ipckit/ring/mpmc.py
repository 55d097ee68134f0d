"""A ring from many producers to many consumers, in shared memory: native/include/ipckit/mpmc.h."""

from __future__ import annotations

from ipckit.ring._mpmc_handle import MpmcStat
from ipckit.ring._mpmc_receiving import MpmcReceiving
from ipckit.ring._mpmc_sending import MpmcSending

__all__ = ["MpmcRing", "MpmcStat"]


class MpmcRing(MpmcSending, MpmcReceiving):
    """A queue of messages of any length, from any number of producers to any number of consumers.

    Each message goes to one consumer, whole, and in order: messages are received in the order in which their room was
    claimed, so those of one producer in the order in which it sent them. Which consumer gets one is not said.

    A handle becomes a producer with its first send, a consumer with its first receive. When the last producer has
    closed, `receive` raises EndOfStreamError after the last message; if the last one died instead, PeerDiedError. Of a
    process that is killed, all that it had sent is received, what it had reserved is aborted, and what it had taken
    and not released goes to another consumer (or is lost, as the creator chose). A message that `receive` was about to
    return goes to another one or is gone with it: never half of it, never twice. A stopped process is waited for, where
    something of its is in the way: the others' waits end with StalledError.

    Waiting spins for about as long as a wake-up takes (`set_spin`), then sleeps in futex(2).

    Threads: safe to share. fork(2): the child inherits the handle but no role, reservation or loan. A handle travels to
    multiprocessing children, an anonymous one too.

    >>> with MpmcRing.create() as ring:  # in practice the ends are in several processes
    ...     ring.send(b"ping")
    ...     ring.receive(timeout=1.0)
    b'ping'
    """

    __slots__ = ()
