"""The memory of another process: process_vm_readv(2), process_vm_writev(2), proc_pid_mem(5)."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

import os
import struct
from collections import deque
from typing import TYPE_CHECKING, Any

from ipckit.bench.permission import permit_others
from ipckit.bench.row import OtherMemory
from ipckit.bench.suite.shm_sem import SLOTS, MappingSemaphores
from ipckit.remote import ProcessMemory, address_of

if TYPE_CHECKING:
    from collections.abc import Callable

_PLACE = struct.Struct("=QQQ")  # pid, address, bytes


class ProcessMemoryRow(OtherMemory):
    """One system call for each copy, and nobody tells the other process."""

    name = "ProcessMemory"
    about = "ipckit.ProcessMemory: read, and write, of the other process's memory"
    family = "shared memory"

    def reader(self, pid: int, address: int, size: int, /) -> Callable[[], bytes]:
        read = ProcessMemory.open(pid).read
        return lambda: read(address, size)

    def writer(self, pid: int, address: int, /) -> Callable[[Any], object]:
        write = ProcessMemory.open(pid).write
        return lambda data: write(address, data)


class BareProcessMemory(OtherMemory):
    """What the standard library reaches of it: the memory as a file, at the offset that is the address."""

    name = "/proc/PID/mem (bare)"
    about = "os.pread, and os.pwrite, of /proc/PID/mem of the other process"
    family = "shared memory"

    def reader(self, pid: int, address: int, size: int, /) -> Callable[[], bytes]:
        fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        return lambda: os.pread(fd, size, address)

    def writer(self, pid: int, address: int, /) -> Callable[[Any], object]:
        fd = os.open(f"/proc/{pid}/mem", os.O_WRONLY | os.O_CLOEXEC)
        return lambda data: os.pwrite(fd, data, address)


class ProcessMemorySemaphores(MappingSemaphores):
    """Messages that stay where they are until the receiver fetches them: one copy, made by the kernel."""

    name = "ProcessMemory + sems"
    about = f"ipckit.ProcessMemory reads each message; a Mapping of {SLOTS} slots says where; two UnnamedSemaphore"

    def __init__(self, _size: int, /) -> None:
        super().__init__(_PLACE.size)

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        permit_others()
        places, slots, acquire, release = self.memory.buf, self._slots(), self.free.acquire, self.filled.release
        pid, pack = os.getpid(), _PLACE.pack_into
        # A message must not go before its slot is free again, and the last ones outlive the sender.
        self.kept: deque[Any] = deque(maxlen=SLOTS)
        keep = self.kept.append

        def send(data: bytes) -> None:
            acquire()
            keep(data)
            pack(places, next(slots), pid, address_of(data), len(data))
            release()

        return send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        places, slots, acquire, release = self.memory.buf, self._slots(), self.filled.acquire, self.free.release
        unpack = _PLACE.unpack_from
        read: Callable[[int, int], bytes] | None = None

        def receive() -> bytes:
            nonlocal read
            acquire()
            pid, address, size = unpack(places, next(slots))
            if read is None:
                read = ProcessMemory.open(pid).read
            data = read(address, size)
            release()
            return data

        return receive
