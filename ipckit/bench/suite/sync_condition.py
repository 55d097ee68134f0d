"""Condition variables: one process waits for a number to change, the other changes it and notifies."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING, Any

from ipckit.bench.quantity import ROUNDTRIP, WAKEUP
from ipckit.bench.row import Channel
from ipckit.sync.atomic import AtomicInt64
from ipckit.sync.condition import Condition

if TYPE_CHECKING:
    from collections.abc import Callable

_context = multiprocessing.get_context("spawn")


class SyncCondition(Channel):
    """With a mutex of its own."""

    name = "sync.Condition"
    about = "ipckit.sync.Condition and an AtomicInt64: acquire, change, notify; acquire, wait for a change"
    family = "sync"
    measures = (ROUNDTRIP, WAKEUP)
    payload = False

    def __init__(self, _size: int, /) -> None:
        self.condition = Condition.create(unlink_on_close=True)
        self.number = AtomicInt64.create(unlink_on_close=True)

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        condition, add = self.condition, self.number.add

        def send(_: object) -> None:
            with condition:
                add(1)
                condition.notify()

        return send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        condition, load = self.condition, self.number.load
        last = load()

        def receive() -> None:
            nonlocal last
            with condition:
                while True:
                    if load() != last:
                        break
                    condition.wait()
                last += 1

        return receive


class MpCondition(Channel):
    """The standard library's."""

    name = "mp.Condition"
    about = "multiprocessing.Condition and a RawValue, used in the same way"
    family = "multiprocessing"
    measures = (ROUNDTRIP, WAKEUP)
    payload = False

    def __init__(self, _size: int, /) -> None:
        self.condition = _context.Condition()
        self.number: Any = _context.RawValue("q")

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        condition, number = self.condition, self.number

        def send(_: object) -> None:
            with condition:
                number.value += 1
                condition.notify()

        return send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        condition, number = self.condition, self.number
        last = number.value

        def receive() -> None:
            nonlocal last
            with condition:
                while True:
                    if number.value != last:
                        break
                    condition.wait()
                last += 1

        return receive
