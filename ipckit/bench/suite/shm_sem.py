"""Memory: the bounded buffer of the textbooks, shm_overview(7) and sem_overview(7), and blocks that are handed over."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any

from ipckit.bench.row import Channel
from ipckit.mapping import Mapping
from ipckit.memfd import Memfd, Seal
from ipckit.posix.semaphore import Semaphore
from ipckit.posix.shm import SharedMemory
from ipckit.posix.unnamed_semaphore import UnnamedSemaphore
from ipckit.sockets.unix import Stream
from ipckit.sysv.sem import SemaphoreSet
from ipckit.sysv.shm import SharedMemory as Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SLOTS = 8
HEADER = 8  # bytes, for the length
LINE = 64  # bytes of a cache line: two counters, each on one of its own


class ShmSemaphores(Channel):
    """One semaphore counts the filled slots and one the free ones."""

    name = "shm + semaphores"
    about = f"ipckit.posix.SharedMemory of {SLOTS} slots, and two posix.Semaphore that count the filled and the free"
    family = "shared memory"

    def __init__(self, size: int, /) -> None:
        self.stride = HEADER + size
        self.memory: Any = SharedMemory.create(size=SLOTS * self.stride, unlink_on_close=True)
        self.filled: Any = Semaphore.create(value=0, unlink_on_close=True)
        self.free: Any = Semaphore.create(value=SLOTS, unlink_on_close=True)

    def _slots(self) -> Iterator[int]:
        # From the first slot anew: all that was sent before has been received.
        return cycle(range(0, SLOTS * self.stride, self.stride))

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        memory, slots, acquire, release = self.memory.buf, self._slots(), self.free.acquire, self.filled.release

        def send(data: bytes) -> None:
            acquire()
            start = next(slots) + HEADER
            memory[start - HEADER : start] = len(data).to_bytes(HEADER, "little")
            memory[start : start + len(data)] = data
            release()

        return send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        memory, slots, acquire, release = self.memory.buf, self._slots(), self.filled.acquire, self.free.release

        def receive() -> bytes:
            acquire()
            start = next(slots) + HEADER
            data = bytes(memory[start : start + int.from_bytes(memory[start - HEADER : start], "little")])
            release()
            return data

        return receive


class MappingSemaphores(ShmSemaphores):
    """The same without any name: the semaphores lie behind the slots."""

    name = "Mapping + sems"
    about = f"ipckit.Mapping of no file, of {SLOTS} slots, and two posix.UnnamedSemaphore in it"

    def __init__(self, size: int, /) -> None:
        self.stride = HEADER + size
        behind = -(-SLOTS * self.stride // LINE) * LINE
        self.memory = Mapping.create(size=behind + 2 * LINE)
        self.filled = UnnamedSemaphore.create(self.memory, behind, value=0)
        self.free = UnnamedSemaphore.create(self.memory, behind + LINE, value=SLOTS)

    def close(self) -> None:
        self.filled.close()
        self.free.close()
        self.memory.close()


class SysvShmSemaphores(ShmSemaphores):
    """The same of System V: sysvipc(7)."""

    name = "sysv shm + sems"
    about = f"ipckit.sysv.SharedMemory of {SLOTS} slots, and a SemaphoreSet of two that count the filled and the free"

    def __init__(self, size: int, /) -> None:
        self.stride = HEADER + size
        self.segment = Segment.create(size=SLOTS * self.stride, remove_on_close=True)
        self.memory = self.segment.attach()
        self.set = SemaphoreSet.create(size=2, values=[0, SLOTS], remove_on_close=True)
        self.filled, self.free = self.set.member(0), self.set.member(1)


class SealedMemfds(Channel):
    """Each message is a file of its own, which the receiver need not trust the sender for."""

    name = "sealed memfd"
    about = "ipckit.Memfd for each message: written, sealed, sent over a unix.Stream, mapped, read"
    family = "shared memory"

    def __init__(self, _size: int, /) -> None:
        self.reader, self.writer = Stream.pair()

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        send_fds, seals = self.writer.send_fds, Seal.SHRINK | Seal.GROW | Seal.WRITE

        def send(data: bytes) -> None:
            with Memfd.create("message", size=len(data)) as memfd:
                memfd.write(data)
                memfd.add_seals(seals)
                send_fds(b"m", [memfd])

        return send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        receive_fds = self.reader.receive_fds

        def receive() -> bytes:
            _, (fd,) = receive_fds(1, 1)
            with Memfd.from_fd(fd) as memfd, memfd.map(read_only=True) as memory:
                return bytes(memory.buf)

        return receive
