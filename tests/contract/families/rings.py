"""Rings in shared memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ipckit.ring.latest import Latest
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
    "receive_into": lambda h: h.receive_into(bytearray(100)),
    "reserve": lambda h: h.reserve(1).commit(),
    "peek": lambda h: h.peek().release(),
    "depth": lambda h: h.depth,
    "producers": lambda h: h.producers,
    "consumers": lambda h: h.consumers,
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
    Wait(
        "receive_into",
        lambda made, timeout: made[0].receive_into(bytearray(100), timeout),
        complete=lambda made: made[0].send(TOKEN),
        syscalls=("futex",),
    ),
    Wait("reserve", lambda made, timeout: made[0].reserve(len(TOKEN), timeout).commit(), *FULL_RING, ("futex",)),
    Wait(
        "peek",
        lambda made, timeout: made[0].peek(timeout).release(),
        complete=lambda made: made[0].send(TOKEN),
        syscalls=("futex",),
    ),
)


RING_CONSTANTS = frozenset({"capacity", "max_message_size"})


RING_TRAVEL = {
    "there": lambda h: h.send(TOKEN, timeout=10),
    "here": lambda made, result: made[0].receive(timeout=10) == TOKEN,  # noqa: ARG005
}


LATEST = posix_naming(248, lambda h: os.stat(f"/dev/shm/ipckit.{h.name[1:]}"), max_size=64)


LATEST_CALLS: dict[str, Callable[[Any], object]] = {
    "send": lambda h: h.send(TOKEN),
    "reserve": lambda h: h.reserve(1),
    "read": lambda h: h.read(),
    "receive": lambda h: h.receive(),
    "try_receive": lambda h: h.try_receive(),
    "receive_into": lambda h: h.receive_into(bytearray(64)),
    "peek": lambda h: h.peek(),
    "seen": lambda h: h.seen,
    "producers": lambda h: h.producers,
    "stat": lambda h: h.stat(),
    "set_spin": lambda h: h.set_spin(0),
    "fileno": lambda h: h.fileno(),
    "__iter__": lambda h: next(iter(h)),
}


LATEST_WAITS = tuple(
    Wait(verb, wait, complete=lambda made: made[0].send(TOKEN), syscalls=("futex",))
    for verb, wait in (
        ("receive", lambda made, timeout: made[0].receive(timeout)),
        ("receive_into", lambda made, timeout: made[0].receive_into(bytearray(64), timeout)),
    )
)


LATEST_CONTRACT: dict[str, Any] = {
    "calls": LATEST_CALLS,
    "waits": LATEST_WAITS,
    "constants": frozenset({"max_size"}),
    "never_waits": frozenset({"read"}),  # but for a writer that is faster than every copy
    "there": lambda h: h.send(TOKEN),
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
    Subject("Latest", Latest, make=named(Latest, LATEST), naming=LATEST, **LATEST_CONTRACT),
    Subject("Latest-anonymous", Latest, make=lambda: [Latest.create(max_size=64)], **LATEST_CONTRACT),
)
