"""Events and event pairs in shared memory."""

from __future__ import annotations

import os
from typing import Any

from ipckit.posix.shm import SharedMemory
from ipckit.sync.event import Event
from ipckit.sync.event_pair import EventPair
from tests.contract.shapes import Made, Subject, Wait, named, posix_naming

SEGMENT = posix_naming(248, lambda h: os.stat(f"/dev/shm/ipckit.{h.name[1:]}"))
COMMON: dict[str, Any] = {"fileno": lambda h: h.fileno(), "set_spin": lambda h: h.set_spin(0)}
CONSTANTS = frozenset({"SIZE", "offset"})


def within(cls: type[Any], **how: Any) -> Made:
    memory = SharedMemory.create(size=4096, unlink_on_close=True)
    return [cls.create(within=memory, offset=128, **how), memory]


EVENT: dict[str, Any] = {
    "calls": {
        **COMMON,
        "set": lambda h: h.set(),
        "clear": lambda h: h.clear(),
        "is_set": lambda h: h.is_set(),
        "wait": lambda h: h.wait(),
    },
    "constants": CONSTANTS | {"auto_reset"},
    "waits": (
        Wait(
            "wait",
            lambda made, timeout: made[0].wait(timeout),
            complete=lambda made: made[0].set(),
            syscalls=("futex",),
        ),
    ),
    "there": lambda h: h.set(),
    "here": lambda made, result: made[0].is_set(),  # noqa: ARG005
}


def waiting(verb: str, wakes: str) -> Wait:
    return Wait(
        verb,
        lambda made, timeout: getattr(made[0], verb)(timeout),
        complete=lambda made: getattr(made[0], wakes)(),
        syscalls=("futex",),
    )


PAIR: dict[str, Any] = {
    "calls": {
        **COMMON,
        "set_low": lambda h: h.set_low(),
        "set_high": lambda h: h.set_high(),
        "wait_low": lambda h: h.wait_low(),
        "wait_high": lambda h: h.wait_high(),
        "set_low_wait_high": lambda h: h.set_low_wait_high(),
        "set_high_wait_low": lambda h: h.set_high_wait_low(),
        "clear": lambda h: h.clear(),
    },
    "constants": CONSTANTS,
    "waits": (
        waiting("wait_low", "set_low"),
        waiting("wait_high", "set_high"),
        waiting("set_low_wait_high", "set_high"),
        waiting("set_high_wait_low", "set_low"),
    ),
    "there": lambda h: h.set_low(),
    "here": lambda made, result: made[0].wait_low(timeout=0) is None,  # noqa: ARG005
}


SUBJECTS: tuple[Subject, ...] = (
    Subject("Event", Event, make=named(Event, SEGMENT), naming=SEGMENT, **EVENT),
    Subject("Event-auto-anonymous", Event, make=lambda: [Event.create(auto_reset=True)], **EVENT),
    Subject("Event-within", Event, make=lambda: within(Event, auto_reset=True), addressed=True, **EVENT),
    Subject("EventPair", EventPair, make=named(EventPair, SEGMENT), naming=SEGMENT, **PAIR),
    Subject("EventPair-within", EventPair, make=lambda: within(EventPair), addressed=True, **PAIR),
)
