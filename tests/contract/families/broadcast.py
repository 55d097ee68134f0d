"""Rings that all readers see."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ipckit.ring.broadcast import BroadcastRing
from tests.contract.shapes import TOKEN, Subject, Wait, drain, named, posix_naming, until_full
from tests.contract.traits import MESSAGES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.shapes import Made

BROADCAST = posix_naming(248, lambda h: os.stat(f"/dev/shm/ipckit.{h.name[1:]}"), capacity=4096)


def subscribed(make: Callable[[], Made]) -> Callable[[], Made]:
    """Have the handle under test be a reader: it gets what it sends, and waits for itself."""

    def made() -> Made:
        made = make()
        made[0].subscribe()
        return made

    return made


def fill(made: Made) -> None:
    until_full(lambda: made[0].try_send(TOKEN))


def make_way(made: Made) -> None:
    drain(made[0].try_receive)


BROADCAST_CALLS: dict[str, Callable[[Any], object]] = {
    **MESSAGES,
    "send_many": lambda h: h.send_many([TOKEN]),
    "receive_many": lambda h: h.receive_many(2),
    "receive_into": lambda h: h.receive_into(bytearray(64)),
    "reserve": lambda h: h.reserve(1),
    "peek": lambda h: h.peek(),
    "subscribe": lambda h: h.subscribe(),
    "unsubscribe": lambda h: h.unsubscribe(),
    "producers": lambda h: h.producers,
    "consumers": lambda h: h.consumers,
    "depth": lambda h: h.depth,
    "stat": lambda h: h.stat(),
    "set_spin": lambda h: h.set_spin(0),
    "fileno": lambda h: h.fileno(),
    "__iter__": lambda h: next(iter(h)),
}


BROADCAST_WAITS = (
    *(
        Wait(verb, call, fill, make_way, ("futex",))
        for verb, call in (
            ("send", lambda made, timeout: made[0].send(TOKEN, timeout)),
            ("send_many", lambda made, timeout: made[0].send_many([TOKEN] * 2, timeout)),
            ("reserve", lambda made, timeout: made[0].reserve(8, timeout).abort()),
        )
    ),
    *(
        Wait(verb, call, complete=lambda made: made[0].send(TOKEN), syscalls=("futex",))
        for verb, call in (
            ("receive", lambda made, timeout: made[0].receive(timeout)),
            ("receive_many", lambda made, timeout: made[0].receive_many(9, timeout)),
            ("receive_into", lambda made, timeout: made[0].receive_into(bytearray(64), timeout)),
            ("peek", lambda made, timeout: made[0].peek(timeout).release()),
        )
    ),
)


BROADCAST_CONTRACT: dict[str, Any] = {
    "calls": BROADCAST_CALLS,
    "waits": BROADCAST_WAITS,
    "constants": frozenset({"capacity", "max_message_size", "slow_reader", "lost"}),
    "never_waits": frozenset({"subscribe"}),  # but for another writer that is at work
    "there": lambda h: h.send(TOKEN, timeout=10),
    "here": lambda made, result: made[0].receive(timeout=10) == TOKEN,  # noqa: ARG005
}


SUBJECTS: tuple[Subject, ...] = (
    Subject(
        "BroadcastRing",
        BroadcastRing,
        make=subscribed(named(BroadcastRing, BROADCAST)),
        naming=BROADCAST,
        **BROADCAST_CONTRACT,
    ),
    Subject(
        "BroadcastRing-anonymous",
        BroadcastRing,
        make=subscribed(lambda: [BroadcastRing.create(capacity=4096)]),
        **BROADCAST_CONTRACT,
    ),
)
