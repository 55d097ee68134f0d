"""Integers in shared memory that change in one indivisible step: native/include/ipckit/atomic.h."""

from __future__ import annotations

from ipckit._native import lib
from ipckit.sync._atomic import AtomicInteger, Exchanged

__all__ = ["AtomicInt64", "AtomicUInt64", "Exchanged"]


class AtomicInt64(AtomicInteger):
    """An integer from -2^63 to 2^63 - 1 that processes change without losing one another's updates.

    Ordering: every operation is sequentially consistent: all processes see all operations on all such integers in one
    order, and what was stored before an operation is seen by whoever sees that operation.

    Threads: safe to share; no operation waits, takes a lock, or loses anything when a process is killed, so all may be
    called in signal handlers. fork(2): the child has the handle.

    >>> with AtomicInt64.create("/ipckit-doc-int64", value=5, unlink_on_close=True) as number:
    ...     number.add(-7), number.fetch_add(1), number.load(), number.compare_exchange(-1, 40), number.exchange(0)
    (-2, -2, -1, Exchanged(exchanged=True, seen=-1), 40)
    """

    __slots__ = ()

    _KIND = lib.IPK_SYNC_ATOMIC_INT64
    _SIGNED = True


class AtomicUInt64(AtomicInteger):
    """An integer from 0 to 2^64 - 1; otherwise as `AtomicInt64`. What is added may be negative, down to -2^63.

    >>> with AtomicUInt64.create("/ipckit-doc-uint64", unlink_on_close=True) as number:
    ...     number.add(-1) == 2**64 - 1, number.add(3)
    (True, 2)
    """

    __slots__ = ()

    _KIND = lib.IPK_SYNC_ATOMIC_UINT64
    _SIGNED = False
