"""A user's program under ``mypy --strict``: POSIX objects, the ring, errors. It is checked, and never run."""

from __future__ import annotations

from typing_extensions import assert_type

import ipckit
from ipckit import SpscRing, errors, posix
from ipckit.posix import Message, MessageQueue, Semaphore, SharedMemory

queue = MessageQueue.create("/queue", max_messages=5, max_message_size=100, mode=0o600, unlink_on_close=True)
assert_type(queue, MessageQueue)
assert_type(queue, posix.MessageQueue)
message = queue.receive(timeout=1.0)
assert_type(message.data, bytes)
assert_type(message.priority, int)
assert_type(queue.try_receive(), Message | None)
assert_type(queue.try_send(b"x", priority=3), bool)
assert_type(queue.attributes().current_messages, int)
assert_type(queue.name, str)
queue.send(b"x", priority="high")  # type: ignore[arg-type]
queue.send("x")  # type: ignore[arg-type]
queue.name = "/other"  # type: ignore[misc]
MessageQueue.create(5)  # type: ignore[arg-type]
MessageQueue.open()  # type: ignore[call-arg]

semaphore = Semaphore.create(value=2)
assert_type(semaphore.acquire(), bool)
assert_type(semaphore.acquire(blocking=False), bool)
assert_type(semaphore.acquire(timeout=1), bool)
assert_type(semaphore.value, int)
with semaphore:
    semaphore.release(2)

memory = SharedMemory.create(size=4096)
assert_type(memory.buf, memoryview)
memory.buf[:4] = b"abcd"
assert_type(SharedMemory.open("/memory", read_only=True), SharedMemory)
memory.resize(8192, shrink=True)
SharedMemory.create("/memory")  # type: ignore[call-arg]


class Ring(SpscRing):
    """Constructors return the subclass."""


with Ring.create("/ring", capacity=1 << 16) as ring:
    assert_type(ring, Ring)
    ring.send(b"x", timeout=1)
    ring.send_many([b"x", bytearray(b"y"), memoryview(b"z")])
    assert_type(ring.receive(), bytes)
    assert_type(ring.try_receive(), bytes | None)
    assert_type(ring.receive_many(10, timeout=0.5), list[bytes])
    assert_type(list(ring), list[bytes])
    assert_type(ring.stat().sent, int)
    ring.send_many("text")  # type: ignore[arg-type]
    ring.receive_many()  # type: ignore[call-arg]
assert_type(Ring.open("/ring"), Ring)
assert_type(Ring.from_fd(3), Ring)

try:
    ring.receive(timeout=0)
except errors.TimeoutExpired as error:
    assert_type(error.errno, int | None)
    assert_type(error.syscall, str)
    assert_type(error.completed, int)
except (FileNotFoundError, errors.IPCError) as error:
    assert_type(error, FileNotFoundError | errors.IPCError)


def as_builtin(error: errors.TimeoutExpired) -> TimeoutError:
    return error


def as_value(error: errors.ClosedError) -> ValueError:
    return error


def as_other(error: errors.ClosedError) -> OSError:
    return error  # type: ignore[return-value]


assert_type(ipckit.__version__, str)
print(ipckit.Nothing)  # type: ignore[attr-defined]
