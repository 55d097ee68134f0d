"""Futex words in shared memory."""

from __future__ import annotations

import os
from typing import Any

from ipckit.posix.shm import SharedMemory
from ipckit.sync.futex import Futex
from tests.contract.shapes import Made, Subject, Wait, named, posix_naming

SEGMENT = posix_naming(248, lambda h: os.stat(f"/dev/shm/ipckit.{h.name[1:]}"))
TOKEN = 0x70617373


def within() -> Made:
    memory = SharedMemory.create(size=4096, unlink_on_close=True)
    return [Futex.create(within=memory, offset=4), memory]


def change(made: Made) -> None:
    made[0].store(TOKEN)
    made[0].wake()


FUTEX: dict[str, Any] = {
    "calls": {
        "fileno": lambda h: h.fileno(),
        "load": lambda h: h.load(),
        "store": lambda h: h.store(1),
        "exchange": lambda h: h.exchange(1),
        "compare_exchange": lambda h: h.compare_exchange(0, 1),
        "fetch_add": lambda h: h.fetch_add(1),
        "wait": lambda h: h.wait(0),
        "wake": lambda h: h.wake(),
        "requeue": lambda h: h.requeue(0, h),
    },
    "constants": frozenset({"ALIGNMENT", "ANY", "SIZE", "offset"}),
    "waits": (Wait("wait", lambda made, timeout: made[0].wait(0, timeout), complete=change, syscalls=("futex",)),),
    "there": lambda h: h.store(TOKEN),
    "here": lambda made, result: made[0].load() == TOKEN,  # noqa: ARG005
}


SUBJECTS: tuple[Subject, ...] = (
    Subject("Futex", Futex, make=named(Futex, SEGMENT), naming=SEGMENT, **FUTEX),
    Subject("Futex-anonymous", Futex, make=lambda: [Futex.create()], **FUTEX),
    Subject(
        "Futex-within",
        Futex,
        make=within,
        addressed=True,
        exempt={
            "test_close_lets_go_of_a_descriptor_number_for_good": "its descriptor is the memory's, which stays open",
        },
        **FUTEX,
    ),
)
