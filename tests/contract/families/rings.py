"""Rings in shared memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ipckit.ring.spsc import SpscRing
from tests.contract.shapes import TOKEN, Subject, Wait, drain, named, posix_naming, until_full
from tests.contract.traits import MESSAGES

if TYPE_CHECKING:
    from collections.abc import Callable

RING = posix_naming(248, lambda h: os.stat(f"/dev/shm/ipckit.{h.name[1:]}"), capacity=4096)


FULL_RING = (lambda made: until_full(lambda: made[0].try_send(TOKEN)), lambda made: drain(made[0].try_receive))


RING_CALLS: dict[str, Callable[[Any], object]] = {
    **MESSAGES,
    "send_many": lambda h: h.send_many([TOKEN]),
    "receive_many": lambda h: h.receive_many(2),
    "stat": lambda h: h.stat(),
    "set_spin": lambda h: h.set_spin(0),
    "fileno": lambda h: h.fileno(),
    "__iter__": lambda h: next(iter(h)),
}


RING_WAITS = (
    Wait("send", lambda made, timeout: made[0].send(TOKEN, timeout), *FULL_RING, ("futex",)),
    Wait("send_many", lambda made, timeout: made[0].send_many([TOKEN] * 2, timeout), *FULL_RING, ("futex",)),
    Wait(
        "receive",
        lambda made, timeout: made[0].receive(timeout),
        complete=lambda made: made[0].send(TOKEN),
        syscalls=("futex",),
    ),
    Wait(
        "receive_many",
        lambda made, timeout: made[0].receive_many(9, timeout),
        complete=lambda made: made[0].send(TOKEN),
        syscalls=("futex",),
    ),
)


RING_CONSTANTS = frozenset({"capacity", "max_message_size"})


RING_TRAVEL = {
    "there": lambda h: h.send(TOKEN, timeout=10),
    "here": lambda made, result: made[0].receive(timeout=10) == TOKEN,  # noqa: ARG005
}


SUBJECTS: tuple[Subject, ...] = (
    Subject(
        "SpscRing",
        SpscRing,
        make=named(SpscRing, RING),
        calls=RING_CALLS,
        waits=RING_WAITS,
        constants=RING_CONSTANTS,
        naming=RING,
        **RING_TRAVEL,
    ),
    Subject(
        "SpscRing-anonymous",
        SpscRing,
        make=lambda: [SpscRing.create(capacity=4096)],
        calls=RING_CALLS,
        constants=RING_CONSTANTS,
        **RING_TRAVEL,
    ),
)
