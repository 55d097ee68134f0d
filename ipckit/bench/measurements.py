"""The timed loops. Each measurement has two halves, which run in two processes and meet over a `Sync`.

The clock is CLOCK_MONOTONIC (`time.perf_counter_ns`), which all CPUs and processes share: clock_gettime(2).
"""

from __future__ import annotations

import os
import struct
import time
from itertools import repeat
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any

from ipckit.bench.quantity import HANDOFF, ROUNDTRIP, percentiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from ipckit.bench.row import Caller, Channel, Coder, Lock, OtherMemory

ASLEEP_PAUSE = 300e-6  # s, between two looks at the peer: longer than any sensible spin
ASLEEP_LIMIT = 2.0  # s of the peer's processor time


class CheckFailed(Exception):
    """What arrived is not what was sent, or a peer does not do what the measurement needs."""


class Sync:
    """A handshake with the other process, outside of what is timed."""

    def __init__(self, connection: Connection[bytes, bytes]) -> None:
        self._connection = connection

    def tell(self, word: bytes = b".") -> None:
        """Let the other process go on."""
        self._connection.send_bytes(word)

    def wait(self) -> bytes:
        """Wait for the other process's `tell`; return its word."""
        return self._connection.recv_bytes()


class Peer:
    """The other process, as far as /proc/PID/stat tells: proc_pid_stat(5)."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._stat = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)

    def until_asleep(self) -> None:
        """Return once the other process sleeps in the kernel; a process that spins is no such process."""
        most = None
        while True:
            time.sleep(ASLEEP_PAUSE)
            # The name may hold anything, a bracket as well; the state is the field after its last bracket.
            state, *_, user, system = os.pread(self._stat, 1024, 0).rpartition(b")")[2].split(None, 13)[:13]
            if state == b"S":
                return
            used = int(user) + int(system)  # ticks; one that gets no processor does not spin
            if most is None:
                most = used + ASLEEP_LIMIT * os.sysconf("SC_CLK_TCK")
            elif used > most:
                raise CheckFailed("the receiver never sleeps, so there is no wake-up to measure")


class Side:
    """What one of the two processes has: the row's objects, the other process, and a handshake with it."""

    def __init__(self, objects: tuple[Any, ...], peer: Peer, sync: Sync) -> None:
        self.objects = objects
        self.peer = peer
        self.sync = sync

    @property
    def there(self) -> Channel:
        """The channel from the first process to the second."""
        channel: Channel = self.objects[0]
        return channel

    @property
    def back(self) -> Channel:
        """The channel from the second process to the first."""
        channel: Channel = self.objects[1]
        return channel

    @property
    def lock(self) -> Lock:
        """The lock that both have."""
        lock: Lock = self.objects[0]
        return lock

    @property
    def other_memory(self) -> OtherMemory:
        """The way to the other's memory."""
        way: OtherMemory = self.objects[0]
        return way

    @property
    def coder(self) -> Coder:
        """The row of a codec."""
        coder: Coder = self.objects[0]
        return coder

    @property
    def caller(self) -> Caller:
        """The row of remote procedure calls."""
        caller: Caller = self.objects[0]
        return caller


def sample_payload(size: int) -> bytes:
    """*size* bytes that both processes can make and that are no run of zeros."""
    pattern = bytes(range(251))  # a prime, so that nothing of the size of a page or a line repeats
    return (pattern * (size // len(pattern) + 1))[:size]


# Channel: the first process sends on `there` and receives on `back`, the second the other way round.


def check_first(side: Side, size: int) -> None:
    """Send one message, or one batch, with content."""
    there = side.there
    payload = sample_payload(size)
    there.sender(size)([payload] * there.batch if there.batch > 1 else payload)


def check_second(side: Side, size: int) -> None:
    """The figures of a channel count only if it carries the data."""
    there = side.there
    expected = sample_payload(size)
    receive, count = there.receiver(size), 0
    while count < there.batch:
        received = receive()
        for message in received if there.batch > 1 else [received]:
            if there.payload and there.data(message) != expected:
                raise CheckFailed(f"a message of {size} bytes arrived with other content than was sent")
            count += 1


def throughput_first(side: Side, size: int, count: int) -> int:
    """Send *count* messages as fast as the other process takes them; return the moment before the first."""
    there = side.there
    send = there.sender(size)
    payload = bytes(size)
    batch = [payload] * there.batch
    side.sync.wait()
    start = clock()
    if there.batch > 1:
        for _ in repeat(None, count // there.batch):
            send(batch)
    else:
        for _ in repeat(None, count):
            send(payload)
    return start


def throughput_second(side: Side, size: int, count: int) -> int:
    """Receive *count* messages; return the moment after the last.

    Between the two moments lies the work of both sides: neither what a buffer swallows nor what it held counts alone.
    """
    there = side.there
    receive = there.receiver(size)
    side.sync.tell()
    if there.batch > 1:
        received = 0
        while received < count:
            received += len(receive())
    else:
        for _ in repeat(None, count):
            receive()
    return clock()


def roundtrip_first(side: Side, size: int, count: int) -> tuple[dict[str, float], int]:
    """Make *count* trips and some more before them that are not timed.

    Returns:
        The percentiles in nanoseconds, and the nanoseconds that all trips took together.
    """
    send, receive = side.there.sender(size), side.back.receiver(size)
    payload = bytes(size)
    trips = [0] * count
    side.sync.wait()
    for _ in repeat(None, warm_up(count)):
        send(payload)
        receive()
    for i in range(count):
        start = clock()
        send(payload)
        receive()
        trips[i] = clock() - start
    total = sum(trips)
    trips.sort()
    return percentiles(trips, ROUNDTRIP.statistics), total


def roundtrip_second(side: Side, size: int, count: int) -> None:
    """Answer every message."""
    receive, send = side.there.receiver(size), side.back.sender(size)
    payload = bytes(size)
    side.sync.tell()
    for _ in repeat(None, warm_up(count) + count):
        receive()
        send(payload)


def warm_up(count: int) -> int:
    """How many trips come before the *count* that are timed."""
    return count // 10 + 5


def wakeup_first(side: Side, size: int, count: int) -> list[int]:
    """Send *count* messages, each only when the receiver sleeps; return the moments of sending."""
    send = side.there.sender(size)
    payload = bytes(size)
    sent = [0] * count
    for i in range(count):
        side.peer.until_asleep()
        sent[i] = clock()
        send(payload)
        side.sync.wait()  # on one CPU, what we did instead would be in the figure
    return sent


def wakeup_second(side: Side, size: int, count: int) -> list[int]:
    """Receive *count* messages; return the moments of having them."""
    receive = side.there.receiver(size)
    received = [0] * count
    for i in range(count):
        receive()
        received[i] = clock()
        side.sync.tell()
    return received


# Lock.


def pair_first(side: Side, count: int) -> int:
    """Acquire and release *count* times with nobody else there; return nanoseconds."""
    return side.lock.pairs(count)


def timed_pairs(acquire: Callable[[], object], release: Callable[[], object], count: int) -> int:
    """Nanoseconds of *count* pairs, after some that are not timed."""
    for _ in repeat(None, warm_up(count)):
        acquire()
        release()
    start = clock()
    for _ in repeat(None, count):
        acquire()
        release()
    return clock() - start


def pair_second(side: Side, count: int) -> None:
    """Keep away from the lock."""


def handoff_first(side: Side, count: int) -> list[int]:
    """Hold the lock until the other process sleeps in its acquire; return the moments of release."""
    acquire, release = side.lock.calls()
    released = [0] * count
    for i in range(count):
        acquire()
        side.sync.tell()
        side.sync.wait()  # the other one has nothing left to do before its acquire
        side.peer.until_asleep()
        released[i] = clock()
        release()
        side.sync.wait()  # it had the lock and gave it back: to acquire sooner could snatch it away
    return released


def handoff_second(side: Side, count: int) -> list[int]:
    """Acquire the lock while the other process holds it; return the moments of having it."""
    acquire, release = side.lock.calls()
    granted = [0] * count
    for i in range(count):
        side.sync.wait()
        side.sync.tell()
        acquire()
        granted[i] = clock()
        release()
        side.sync.tell()
    return granted


# OtherMemory: the first process reads and writes what the second one has, and shows.

PLACE = struct.Struct("=iQ")  # pid, address


def read_first(side: Side, size: int, count: int) -> int:
    """Read *size* bytes of the other process *count* times; return nanoseconds."""
    pid, address = PLACE.unpack(side.sync.wait())
    read = side.other_memory.reader(pid, address, size)
    for _ in repeat(None, warm_up(count)):
        data = read()
    if data != sample_payload(size):
        raise CheckFailed(f"{size} bytes were read with other content than the other process has there")
    start = clock()
    for _ in repeat(None, count):
        read()
    taken = clock() - start
    side.sync.tell()
    return taken


def read_second(side: Side, size: int, count: int) -> None:
    """Have the bytes, until the other process is through."""
    del count
    _show(side, bytearray(sample_payload(size)))


def write_first(side: Side, size: int, count: int) -> int:
    """Write *size* bytes into the other process *count* times; return nanoseconds."""
    pid, address = PLACE.unpack(side.sync.wait())
    write, data = side.other_memory.writer(pid, address), sample_payload(size)
    for _ in repeat(None, warm_up(count)):
        write(data)
    start = clock()
    for _ in repeat(None, count):
        write(data)
    taken = clock() - start
    side.sync.tell()
    return taken


def write_second(side: Side, size: int, count: int) -> None:
    """Have room for the bytes, and see that they have come."""
    del count
    memory = bytearray(size)
    _show(side, memory)
    if memory != sample_payload(size):
        raise CheckFailed(f"{size} bytes were written with other content than arrived")


def _show(side: Side, memory: bytearray) -> None:
    from ipckit.bench.permission import permit_others  # these two are for few rows
    from ipckit.remote import address_of

    permit_others()
    side.sync.tell(PLACE.pack(os.getpid(), address_of(memory)))
    side.sync.wait()


def latencies(begun: list[int], ended: list[int], statistics: tuple[str, ...] = HANDOFF.statistics) -> dict[str, float]:
    """The percentiles of the differences of moments that two processes noted."""
    return percentiles(sorted(end - begin for begin, end in zip(begun, ended, strict=True)), statistics)


def encode_first(side: Side, count: int) -> int:
    """Encode the list of structs *count* times; return nanoseconds."""
    encode, _, value, _ = _tried_out(side)
    for _ in repeat(None, warm_up(count)):
        encode(value)
    start = clock()
    for _ in repeat(None, count):
        encode(value)
    return clock() - start


def decode_first(side: Side, count: int) -> int:
    """Decode the list of structs *count* times; return nanoseconds."""
    _, decode, _, data = _tried_out(side)
    for _ in repeat(None, warm_up(count)):
        decode(data)
    start = clock()
    for _ in repeat(None, count):
        decode(data)
    return clock() - start


def encode_second(side: Side, count: int) -> None:
    """Nobody else takes part."""


decode_second = encode_second


def _tried_out(side: Side) -> tuple[Any, Any, Any, bytes]:
    """The two calls of a codec, the list of structs and its encoding, which must be what everybody has."""
    from ipckit.bench.structs import Struct, sample_structs  # not at the top: no other row needs them
    from ipckit.rpc import xdr

    encode, decode = side.coder.calls()
    value = sample_structs()
    data = encode(value)
    if data != xdr.codec(list[Struct]).encode(value):
        raise CheckFailed("the structs are encoded otherwise than RFC 4506 says")
    if decode(data) != value:
        raise CheckFailed("what was decoded is not what was encoded")
    return encode, decode, value, data
