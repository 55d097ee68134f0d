"""System V shared memory."""

from __future__ import annotations

import ctypes

from ipckit.mapping import Advice
from ipckit.sysv import Attachment
from ipckit.sysv.shm import SharedMemory
from tests.contract.shapes import TOKEN, Made, Subject, named, sysv_naming

SEGMENT = sysv_naming(lambda h: h.stat().mode, size=5000)


def write(segment: SharedMemory) -> None:
    with segment.attach() as memory:
        memory.buf[: len(TOKEN)] = TOKEN


def is_written(made: Made, _: object) -> bool:
    with made[0].attach(read_only=True) as memory:
        return bytes(memory.buf[: len(TOKEN)]) == TOKEN


def attachment() -> Made:
    segment = SharedMemory.create(size=5000, remove_on_close=True)
    return [segment.attach(), segment]


def write_attached(memory: Attachment) -> None:
    memory.buf[: len(TOKEN)] = TOKEN


SUBJECTS: tuple[Subject, ...] = (
    Subject(
        "sysv.SharedMemory",
        SharedMemory,
        make=named(SharedMemory, SEGMENT),
        calls={
            "attach": lambda h: h.attach(),
            "stat": lambda h: h.stat(),
            "set": lambda h: h.set(mode=0o600),
            "lock": lambda h: h.lock(),
            "unlock": lambda h: h.unlock(),
        },
        constants=frozenset({"read_only", "size"}),
        naming=SEGMENT,
        there=write,
        here=is_written,
    ),
    Subject(
        "sysv.Attachment",
        Attachment,
        make=attachment,
        calls={
            "buf": lambda h: h.buf,
            "size": lambda h: h.size,
            "detach": lambda h: h.detach(),
            "view": lambda h: h.view("d"),
            "structure": lambda h: h.structure(ctypes.c_int),
            "array": lambda h: h.array("i4"),
            "flush": lambda h: h.flush(),
            "advise": lambda h: h.advise(Advice.NORMAL),
            "lock": lambda h: h.lock(),
            "unlock": lambda h: h.unlock(),
        },
        constants=frozenset({"page_size", "read_only"}),
        addressed=True,
        there=write_attached,
        here=lambda made, result: bytes(made[0].buf[: len(TOKEN)]) == TOKEN,  # noqa: ARG005
    ),
)
