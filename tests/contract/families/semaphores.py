"""Semaphores."""

from __future__ import annotations

import os
from typing import Any

from ipckit.posix.semaphore import Semaphore
from ipckit.posix.shm import SharedMemory
from ipckit.posix.unnamed_semaphore import UnnamedSemaphore
from ipckit.sysv.sem import SemaphoreSet
from tests.contract.shapes import Made, Subject, Wait, named, posix_naming, sysv_naming

SEMAPHORE = posix_naming(251, lambda h: os.stat(f"/dev/shm/sem.{h.name[1:]}"))


SYSV_SET = sysv_naming(lambda h: h.stat().mode, size=2)


def freed(made: Made) -> Any:
    made[0].release()
    return made[0]


def unnamed_semaphore() -> Made:
    memory = SharedMemory.create(size=4096, unlink_on_close=True)
    return [UnnamedSemaphore.create(memory), memory]


TOKENS: dict[str, Any] = {
    "calls": {
        "acquire": lambda h: h.acquire(),
        "try_acquire": lambda h: h.try_acquire(),
        "release": lambda h: h.release(),
        "value": lambda h: h.value,
    },
    "waits": (
        Wait(
            "acquire",
            lambda made, timeout: made[0].acquire(timeout=timeout),
            complete=lambda made: made[0].release(),
            syscalls=("futex",),
        ),
    ),
    "rival": freed,
    "there": lambda h: h.release(3),
    "here": lambda made, result: made[0].value == 3,  # noqa: ARG005
}


SUBJECTS: tuple[Subject, ...] = (
    Subject("Semaphore", Semaphore, make=named(Semaphore, SEMAPHORE), naming=SEMAPHORE, **TOKENS),
    Subject("UnnamedSemaphore", UnnamedSemaphore, make=unnamed_semaphore, addressed=True, **TOKENS),
    Subject(
        "sysv.SemaphoreSet",
        SemaphoreSet,
        make=named(SemaphoreSet, SYSV_SET),
        calls={
            "op": lambda h: h.op([(0, 1)]),
            "try_op": lambda h: h.try_op([(0, -1)]),
            "member": lambda h: h.member(0).try_acquire(),
            "values": lambda h: h.values(),
            "set_values": lambda h: h.set_values([1, 2]),
            "value": lambda h: h.value(0),
            "set_value": lambda h: h.set_value(0, 1),
            "last_pid": lambda h: h.last_pid(0),
            "waiting": lambda h: h.waiting(0),
            "waiting_for_zero": lambda h: h.waiting_for_zero(0),
            "stat": lambda h: h.stat(),
            "set": lambda h: h.set(mode=0o600),
        },
        waits=(
            Wait(
                "op",
                lambda made, timeout: made[0].op([(0, -1)], timeout=timeout),
                complete=lambda made: made[0].op([(0, 1)]),
                syscalls=("semtimedop",),
            ),
        ),
        constants=frozenset({"size"}),
        naming=SYSV_SET,
        there=lambda h: h.op([(1, 3)]),
        here=lambda made, result: made[0].value(1) == 3,  # noqa: ARG005
    ),
)
