"""The handles of memory: what is mapped, what can be sealed, what is another process's."""

from __future__ import annotations

import ctypes
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ipckit.mapping import Advice, Mapping
from ipckit.memfd import Memfd, Seal
from ipckit.posix.shm import SharedMemory
from ipckit.remote import ProcessMemory
from tests.contract.shapes import PATHS, TOKEN, Made, Subject, named, posix_naming

if TYPE_CHECKING:
    from collections.abc import Callable

SEGMENT = posix_naming(255, lambda h: os.stat(f"/dev/shm/{h.name[1:]}"), size=5000)
FILE = replace(PATHS, create={"size": 5000})

MAPPED: dict[str, Callable[[Any], object]] = {
    "buf": lambda h: h.buf,
    "size": lambda h: h.size,
    "view": lambda h: h.view("d"),
    "structure": lambda h: h.structure(ctypes.c_int),
    "array": lambda h: h.array("i4"),
    "resize": lambda h: h.resize(9000),
    "refresh": lambda h: h.refresh(),
    "fileno": lambda h: h.fileno(),
}
MAPPING: dict[str, Callable[[Any], object]] = {
    **MAPPED,
    "flush": lambda h: h.flush(),
    "advise": lambda h: h.advise(Advice.NORMAL),
    "lock": lambda h: h.lock(),
    "unlock": lambda h: h.unlock(),
}
MAPPING_CONSTANTS = frozenset({"offset", "page_size", "read_only", "shared"})


def write(memory: Mapping | SharedMemory) -> None:
    memory.buf[: len(TOKEN)] = TOKEN


WRITES_THERE = {
    "there": write,
    "here": lambda made, result: bytes(made[0].buf[: len(TOKEN)]) == TOKEN,  # noqa: ARG005
}


def first_bytes(memory: ProcessMemory) -> bytes:
    """What stands where the process's first mapping begins, which is the program's file."""
    with open(f"/proc/{memory.pid}/maps", encoding="utf-8") as maps:
        return memory.read(int(maps.readline().partition("-")[0], 16), 4)


def is_program(_: Made, result: object) -> bool:
    return result == b"\x7fELF"


SUBJECTS: tuple[Subject, ...] = (
    Subject(
        "SharedMemory",
        SharedMemory,
        make=named(SharedMemory, SEGMENT),
        calls=MAPPED,
        constants=frozenset({"read_only"}),
        naming=SEGMENT,
        **WRITES_THERE,
    ),
    Subject(
        "Mapping",
        Mapping,
        make=named(Mapping, FILE),
        calls=MAPPING,
        constants=MAPPING_CONSTANTS,
        naming=FILE,
        **WRITES_THERE,
    ),
    Subject(
        "Mapping-anonymous",
        Mapping,
        make=lambda: [Mapping.create(size=5000)],
        calls=MAPPING,
        constants=MAPPING_CONSTANTS,
        **WRITES_THERE,
    ),
    Subject(
        "Memfd",
        Memfd,
        make=lambda: [Memfd.create("contract", size=5000)],
        calls={
            "fileno": lambda h: h.fileno(),
            "size": lambda h: h.size,
            "page_size": lambda h: h.page_size,
            "path": lambda h: h.path,
            "seals": lambda h: h.seals,
            "add_seals": lambda h: h.add_seals(Seal.SHRINK),
            "resize": lambda h: h.resize(9000),
            "read": lambda h: h.read(),
            "write": lambda h: h.write(TOKEN),
            "map": lambda h: h.map(),
        },
        there=lambda h: h.write(TOKEN),
        here=lambda made, result: result == len(TOKEN) and made[0].read(len(TOKEN)) == TOKEN,
    ),
    Subject(
        "ProcessMemory",
        ProcessMemory,
        make=lambda: [ProcessMemory.open(os.getpid())],
        calls={
            "fileno": lambda h: h.fileno(),
            "read": lambda h: h.read(0, 1),
            "readinto": lambda h: h.readinto(0, bytearray(1)),
            "readv": lambda h: h.readv([(0, 1)]),
            "write": lambda h: h.write(0, b"x"),
            "writev": lambda h: h.writev([(0, b"x"), (1, b"y")]),
        },
        constants=frozenset({"pid"}),
        there=first_bytes,
        here=is_program,
    ),
)
