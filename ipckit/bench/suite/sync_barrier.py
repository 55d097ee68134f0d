"""Barriers of two parties: the one that waits goes on when the other one comes."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING, Any

from ipckit.bench.quantity import ROUNDTRIP, WAKEUP
from ipckit.bench.row import Channel
from ipckit.sync.barrier import Barrier

if TYPE_CHECKING:
    from collections.abc import Callable

_context = multiprocessing.get_context("spawn")


class SyncBarrier(Channel):
    """To send is to come, and so is to receive."""

    name = "sync.Barrier"
    about = "ipckit.sync.Barrier of two parties"
    family = "sync"
    measures = (ROUNDTRIP, WAKEUP)
    payload = False

    def __init__(self, _size: int, /) -> None:
        self.barrier: Any = Barrier.create(parties=2, unlink_on_close=True)

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        wait = self.barrier.wait
        return lambda _: wait()

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        wait: Callable[[], Any] = self.barrier.wait
        return wait


class MpBarrier(SyncBarrier):
    """The standard library's."""

    name = "mp.Barrier"
    about = "multiprocessing.Barrier of two parties"
    family = "multiprocessing"

    def __init__(self, _size: int, /) -> None:
        self.barrier = _context.Barrier(2)
