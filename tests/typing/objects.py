"""A user's program under ``mypy --strict``: POSIX objects, the ring, errors. It is checked, and never run."""

from __future__ import annotations

from typing_extensions import assert_type

import ipckit
from ipckit import SpscRing, errors, posix, sysv
from ipckit.posix import Message, MessageQueue, Notification, QueueStatus, Semaphore, SharedMemory
from ipckit.ring import Loan, Reservation

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
assert_type(queue.stat(), QueueStatus)
assert_type(queue.stat().notify_pid, int | None)
assert_type(posix.message_queues(), list[QueueStatus])
with queue.notify() as notification:
    assert_type(notification, Notification)
    notification.wait(timeout=1)
    assert_type(notification.armed, bool)
    notification.arm()


def drain(it: MessageQueue) -> None:
    it.notify(callback=drain)


queue.notify(callback=drain)
queue.notify(signal=10, value=5)
queue.notify(callback=drain, signal=10)  # type: ignore[call-overload]
queue.notify(value=5)  # type: ignore[call-overload]
queue.send(b"x", priority="high")  # type: ignore[arg-type]
queue.send("x")  # type: ignore[arg-type]
queue.name = "/other"  # type: ignore[misc]
MessageQueue.create(5)  # type: ignore[arg-type]
MessageQueue.open()  # type: ignore[call-arg]

typed = sysv.MessageQueue.create(0x1234, mode=0o600, remove_on_close=True)
assert_type(typed, sysv.MessageQueue)
assert_type(sysv.MessageQueue.create("/name"), sysv.MessageQueue)
assert_type(sysv.MessageQueue.open(sysv.ftok("/", 1), send=False), sysv.MessageQueue)
assert_type(sysv.MessageQueue.open_id(5), sysv.MessageQueue)
assert_type(typed.receive(type=-3, max_size=5, truncate=True, timeout=1), sysv.Message)
assert_type(typed.try_receive(except_type=2), sysv.Message | None)
assert_type(typed.peek(3), sysv.Message | None)
assert_type(typed.receive().type, int)
assert_type(typed.receive().data, bytes)
assert_type(typed.try_send(bytearray(b"x"), type=3), bool)
assert_type(typed.stat(), sysv.QueueStatus)
assert_type(typed.stat().max_bytes, int)
assert_type(typed.key, int | None)
assert_type(typed.name, str | None)
typed.send("x")  # type: ignore[arg-type]
typed.send(b"x", 3)  # type: ignore[call-arg]
sysv.MessageQueue.open()  # type: ignore[call-arg]
sysv.MessageQueue.create(b"/name")  # type: ignore[arg-type]

forks = sysv.SemaphoreSet.create(size=3, values=[1, 1, 0])
assert_type(forks, sysv.SemaphoreSet)
assert_type(sysv.SemaphoreSet.open("/forks", started=False), sysv.SemaphoreSet)
assert_type(sysv.SemaphoreSet.open_or_create(5, size=2, values=(1, 2)), sysv.SemaphoreSet)
assert_type(forks.try_op([(0, -1), (1, -1)], undo=True), bool)
forks.op(((0, 1),), timeout=1.5)
assert_type(forks.values(), tuple[int, ...])
assert_type(forks.stat(), sysv.SetStatus)
assert_type(forks.member(0, undo=True), sysv.SemaphoreMember)
assert_type(forks.member(0).acquire(timeout=1), bool)
with forks.member(0) as fork:
    assert_type(fork.value, int)
forks.op([0, 1])  # type: ignore[list-item]
forks.op([(0, 1)], True)  # type: ignore[call-arg]

segment = sysv.SharedMemory.create("/segment", size=5000)
assert_type(segment, sysv.SharedMemory)
assert_type(sysv.SharedMemory.open(5, read_only=True), sysv.SharedMemory)
assert_type(segment.attach(read_only=True), sysv.Attachment)
assert_type(segment.stat(), sysv.SegmentStatus)
assert_type(segment.stat().removed, bool)
with segment.attach() as attached:
    assert_type(attached, sysv.Attachment)
    assert_type(attached.buf, memoryview)
    attached.buf[:4] = b"abcd"
sysv.SharedMemory.create("/segment")  # type: ignore[call-arg]

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
    assert_type(ring.depth + ring.producers + ring.consumers, int)
    assert_type(ring.receive_into(bytearray(10), timeout=1), int)
    with ring.reserve(10, timeout=1) as room:
        assert_type(room, Reservation)
        assert_type(room.buf, memoryview)
        room.commit(5)
    with ring.peek() as loan:
        assert_type(loan, Loan)
        assert_type(loan.buf, memoryview)
        loan.commit()  # type: ignore[attr-defined]
    ring.send_many("text")  # type: ignore[arg-type]
    ring.receive_many()  # type: ignore[call-arg]
assert_type(Ring.open("/ring"), Ring)
assert_type(Ring.from_fd(3), Ring)
Ring.create(oversize="fragments", on_consumer_gone="drop")
Ring.create(oversize="fragment")  # type: ignore[arg-type]

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
