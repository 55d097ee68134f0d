"""System V queues, semaphore sets and segments as `ipckit.inspect` shows them."""

from __future__ import annotations

import ctypes
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import inspect, sysv
from ipckit.errors import NotFoundError
from ipckit.inspect._system_v import Past, User
from ipckit.inspect.sysv_memory import SystemVMemory
from ipckit.inspect.sysv_queues import SystemVQueue
from ipckit.inspect.sysv_semaphores import SystemVSet
from ipckit.sysv.key import hashed
from ipckit.testing import pause
from tests.contract.tools import in_fork, let_go
from tests.nobody import become_nobody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

CLONE_NEWNS, CLONE_NEWPID = 0x20000, 0x20000000
MS_REC_PRIVATE = 0x4000 | 0x40000
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user or enter a namespace")


@pytest.fixture
def key() -> int:
    return 0x1CC00000 + os.getpid() % 0x10000


@pytest.fixture
def queue() -> Iterator[sysv.MessageQueue]:
    with sysv.MessageQueue.create(remove_on_close=True) as made:
        yield made


@pytest.fixture
def three() -> Iterator[sysv.SemaphoreSet]:
    with sysv.SemaphoreSet.create(size=3, values=[1, 0, 2], remove_on_close=True) as made:
        yield made


@pytest.fixture
def segment() -> Iterator[sysv.SharedMemory]:
    with sysv.SharedMemory.create(size=5000, remove_on_close=True) as made:
        yield made


def queue_record(address: str) -> SystemVQueue:
    record = inspect.find(address)
    assert isinstance(record, SystemVQueue)
    return record


def set_record(address: str) -> SystemVSet:
    record = inspect.find(address)
    assert isinstance(record, SystemVSet)
    return record


def memory_record(address: str) -> SystemVMemory:
    record = inspect.find(address)
    assert isinstance(record, SystemVMemory)
    return record


def when_all_sleep(address: str, waiters: int) -> inspect.Record:
    """The record, once all are seen to wait: a wait without end wakes now and then to look for signals."""
    while True:
        record = inspect.find(address)
        asleep = record.verdict.state == "in use" and len(record.holders) == waiters
        if asleep and (not isinstance(record, SystemVSet) or sum(record.waiting + record.waiting_for_zero) == waiters):
            return record


def left(record: inspect.Record) -> str:
    """What a queue that nobody is seen to wait for is judged to be, here."""
    return "unknown" if record.unseen else "unused"


def listed(kind: str) -> dict[str, inspect.Record]:
    return {record.address: record for record in inspect.objects([kind])}


# --- what all three have ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("sysv-mq", sysv.MessageQueue.create),
        ("sysv-sem", sysv.SemaphoreSet.create),
        ("sysv-shm", lambda key, **how: sysv.SharedMemory.create(key, size=1, **how)),
    ],
)
def test_an_object_is_found_by_its_key_and_by_its_number(kind: str, make: Any, key: int) -> None:
    with make(key, mode=0o640, remove_on_close=True) as made:
        record = inspect.find(f"{kind}:{key}")
        assert record.address == f"{kind}:{key:#x}"
        assert record.aliases == (f"{kind}:id={made.id}",)
        assert inspect.find(f"{kind}:id={made.id}").address == record.address
        assert (record.uid, record.gid, record.mode) == (os.geteuid(), os.getegid(), 0o640)
        assert (record.creator_uid, record.creator_gid) == (os.geteuid(), os.getegid())  # type: ignore[attr-defined]
        assert (record.id, record.key, record.key_name) == (made.id, key, None)  # type: ignore[attr-defined]
        assert record.age is not None
        assert record.age < 60
    with pytest.raises(NotFoundError):
        inspect.find(f"{kind}:{key}")
    name = f"/test-inspect-{os.getpid()}"
    with make(name, remove_on_close=True) as made:
        record = inspect.find(f"{kind}:{hashed(name)}")
        assert record.key_name == name  # type: ignore[attr-defined]
    with make(None, remove_on_close=True) as made:
        record = inspect.find(f"{kind}:id={made.id}")
        assert (record.address, record.aliases) == (f"{kind}:id={made.id}", ())
        assert (record.key, record.key_name) == (0, None)  # type: ignore[attr-defined]


def test_the_note_of_a_name_is_that_of_one_object_alone() -> None:
    """A queue that was removed behind ipckit's back leaves its note; the next one on the key was not made by name."""
    name = f"/test-inspect-note-{os.getpid()}"
    with sysv.MessageQueue.create(name) as made:
        assert queue_record(f"sysv-mq:id={made.id}").key_name == name
        assert ctypes.CDLL(None).msgctl(made.id, 0, None) == 0
    with sysv.MessageQueue.create(hashed(name), remove_on_close=True):
        assert queue_record(f"sysv-mq:{hashed(name)}").key_name is None
    sysv.MessageQueue.create(name, remove_on_close=True).close()  # takes the note over, and away


def test_a_negative_key_is_shown_as_ipcs_shows_it() -> None:
    key = -0x1CC - os.getpid() % 0x10000
    with sysv.MessageQueue.create(key, remove_on_close=True):
        assert queue_record(f"sysv-mq:{key}").address == f"sysv-mq:{key & 0xFFFFFFFF:#x}"


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("sysv-mq", sysv.MessageQueue.create),
        ("sysv-sem", sysv.SemaphoreSet.create),
        ("sysv-shm", lambda: sysv.SharedMemory.create(size=1)),
    ],
)
def test_what_is_removed_while_it_is_listed_is_left_out(kind: str, make: Any) -> None:
    made = [make() for _ in range(100)]
    mine = {f"{kind}:id={one.id}" for one in made}
    listing = iter(inspect.objects([kind]))
    first = next(listing)
    for one in made:
        one.remove()
        one.close()
    assert mine & {record.address for record in listing} == set()
    assert first.kind == kind


# --- queues -----------------------------------------------------------------------------------------------------------


def send_and(number: int, last: str) -> None:
    queue = sysv.MessageQueue.open_id(number)
    if last == "sent":
        queue.send(b"hello")
    else:
        queue.receive()
    pause("done")


def test_a_queue_tells_what_is_in_it_and_who_used_it_last(queue: sysv.MessageQueue, spawn: Spawn) -> None:
    address = f"sysv-mq:id={queue.id}"
    record = queue_record(address)
    assert (record.messages, record.queued_bytes, record.size) == (0, 0, queue.stat().max_bytes)
    assert (record.send_pid, record.receive_pid, record.send_time, record.receive_time) == (None,) * 4
    assert record.verdict.state == left(record)
    assert "does not note who made it" in record.verdict.reason
    waiting = spawn(send_and, queue.id, "received")
    waiting.wait_blocked("msgrcv")
    record = when_all_sleep(address, 1)
    assert record.pids == (waiting.pid,)
    assert record.verdict.state == "in use"
    assert re.fullmatch(rf"process {waiting.pid} \(.*\) waits", record.verdict.reason)
    waiting.kill()
    waiting.join()
    child = spawn(send_and, queue.id, "sent")
    child.wait_reached("done")
    record = queue_record(address)
    assert (record.messages, record.queued_bytes, record.send_pid) == (1, 5, child.pid)
    assert record.use == f"1 message, 5 of {record.size} bytes"
    assert record.verdict.state == "idle"
    assert f"process {child.pid} " in record.verdict.reason
    assert record.verdict.reason.endswith("a message waits")
    child.kill()
    child.join()
    record = queue_record(address)
    assert record.verdict.state == left(record)
    assert record.verdict.reason.startswith(f"process {child.pid}, which sent to it last, is gone; ")
    assert record.verdict.reason.endswith("a message waits")
    queue.receive()
    record = queue_record(address)
    assert (record.messages, record.receive_pid, record.verdict.state) == (0, os.getpid(), "idle")
    assert "which received from it last, still runs" in record.verdict.reason


# --- sets -------------------------------------------------------------------------------------------------------------


def operate(number: int, pairs: list[tuple[int, int]]) -> None:
    sysv.SemaphoreSet.open_id(number).op(pairs)
    pause("done")


def test_a_set_tells_its_values_and_who_changed_and_who_waits(three: sysv.SemaphoreSet, spawn: Spawn) -> None:
    address = f"sysv-sem:id={three.id}"
    record = set_record(address)
    assert (record.semaphores, record.values) == (3, (1, 0, 2))
    assert (record.waiting, record.waiting_for_zero) == ((0, 0, 0), (0, 0, 0))
    assert set(record.last_pids or ()) == {os.getpid()}
    assert record.operation_time == three.stat().last_op_time
    assert record.use == "values 1 0 2"
    assert record.verdict.state == "idle"
    taking, watching = spawn(operate, three.id, [(1, -1)]), spawn(operate, three.id, [(2, 0)])
    taking.wait_blocked("semtimedop")
    watching.wait_blocked("semtimedop")
    record = when_all_sleep(address, 2)
    assert isinstance(record, SystemVSet)
    assert (record.waiting, record.waiting_for_zero) == ((0, 1, 0), (0, 0, 1))
    assert record.use == "values 1 0 2, 2 waiting"
    assert set(record.pids) == {taking.pid, watching.pid}
    assert record.verdict.state == "in use"
    assert re.match(r"2 threads wait; 2 processes wait: \d+, \d+$", record.verdict.reason)
    watching.kill()
    watching.join()
    record = when_all_sleep(address, 1)
    assert record.pids == (taking.pid,)
    assert re.match(rf"a thread waits; process {taking.pid} ", record.verdict.reason)
    three.op([(1, 1)])
    taking.wait_reached("done")
    assert set_record(address).last_pids == (os.getpid(), taking.pid, os.getpid())
    taking.kill()
    taking.join()
    assert set_record(address).verdict.state == "idle"


def make_set(size: int) -> int:
    with sysv.SemaphoreSet.create(size=size, values=[1] * size) as made:
        return made.id


def test_a_set_of_a_process_that_is_gone(spawn: Spawn) -> None:
    child = spawn(make_set, 20)
    number = child.result()
    with sysv.SemaphoreSet.open_id(number) as made:
        record = set_record(f"sysv-sem:id={number}")
        made.remove()
    assert record.verdict == ("unused", f"process {child.pid}, which changed a value last, is gone")
    assert record.use == "values 1 1 1 1 1 1 1 1 ..."


def test_a_set_that_was_only_made() -> None:
    number = ctypes.CDLL(None, use_errno=True).semget(0, 2, 0o600)
    assert number >= 0
    with sysv.SemaphoreSet.open_id(number) as made:
        record = set_record(f"sysv-sem:id={number}")
        made.remove()
    assert (record.values, record.last_pids, record.operation_time) == ((0, 0), (0, 0), None)
    assert record.verdict.state == "unused"
    assert "nobody has operated on it" in record.verdict.reason


# --- segments ---------------------------------------------------------------------------------------------------------


def attach(number: int) -> None:
    with sysv.SharedMemory.open_id(number).attach(read_only=True):
        pause("attached")


def test_a_segment_tells_who_has_it_attached(segment: sysv.SharedMemory, spawn: Spawn) -> None:
    address = f"sysv-shm:id={segment.id}"
    record = memory_record(address)
    assert (record.size, record.attached, record.creator_pid, record.last_pid) == (5000, 0, os.getpid(), None)
    assert (record.attach_time, record.detach_time, record.removed, record.locked) == (None, None, False, False)
    assert record.use == "not attached"
    assert record.verdict.state == "idle"
    assert "which made it, still runs" in record.verdict.reason
    child = spawn(attach, segment.id)
    child.wait_reached("attached")
    assert memory_record(address).last_pid == child.pid
    with segment.attach() as memory:
        memory.buf[:1] = b"x"
        record = memory_record(address)
        assert record.attached == 2
        access = {holder.process.pid: (holder.mapped, holder.access) for holder in record.holders}
        assert access == {os.getpid(): (True, "rw"), child.pid: (True, "r")}
        assert record.resident_bytes == 4096
        assert record.use == "attached 2 times"
        assert record.verdict.state == "in use"
        assert str(child.pid) in record.verdict.reason
    child.kill()
    child.join()
    let_go(segment)
    record = memory_record(address)
    assert (record.attached, record.holders) == (0, ())
    assert record.last_pid is not None  # the child, or who read its maps as it ended
    assert record.verdict.state == "idle"


def make_segment() -> int:
    with sysv.SharedMemory.create(size=1) as made:
        with made.attach():
            pass
        return made.id


def test_a_segment_whose_processes_are_gone(spawn: Spawn) -> None:
    child = spawn(make_segment)
    number = child.result()
    with sysv.SharedMemory.open_id(number) as segment:
        record = memory_record(f"sysv-shm:id={number}")
        reason = f"nobody has it attached; process {child.pid}, which used it last, is gone"
        assert record.verdict == ("unused", reason)
        with segment.attach():
            pass
        record = memory_record(f"sysv-shm:id={number}")
        assert record.verdict.state == "idle"
        segment.remove()


def test_a_segment_that_is_removed_while_it_is_attached(key: int) -> None:
    with sysv.SharedMemory.create(key, size=10) as segment, segment.attach():
        segment.remove()
        record = memory_record(f"sysv-shm:id={segment.id}")
        assert (record.address, record.removed, record.attached) == (f"sysv-shm:id={segment.id}", True, 1)
        assert record.use == "attached once, removed"
        assert record.verdict.state == "in use"
        assert "goes when it is detached" in record.verdict.reason


# --- what may not be read, and other namespaces -----------------------------------------------------------------------


@needs_root
def test_what_may_not_be_read_is_not_told_and_not_guessed(
    queue: sysv.MessageQueue, three: sysv.SemaphoreSet, segment: sysv.SharedMemory, spawn: Spawn
) -> None:
    queue.send(b"abc")
    child = spawn(attach, segment.id)
    child.wait_reached("attached")

    def look() -> list[Any]:
        kinds = ("sysv-mq", "sysv-sem", "sysv-shm")
        for kind in kinds:
            listed(kind)  # loads all modules, while they may be read
        become_nobody()
        found = [listed(kind)[f"{kind}:id={one.id}"] for kind, one in zip(kinds, (queue, three, segment), strict=True)]
        closed, values, memory = found
        assert isinstance(values, SystemVSet)
        return [
            (closed.size, closed.use, closed.verdict.state),
            (values.values, values.waiting, values.last_pids, values.use, values.verdict.state),
            (memory.size, memory.holders, memory.verdict.state),
        ]

    assert in_fork(look) == [
        (None, "1 message, 3 bytes", "idle"),
        (None, None, None, "3 semaphores", "unknown"),
        (5000, (), "in use"),
    ]


@needs_root
def test_a_process_of_another_pid_namespace_is_neither_running_nor_gone(segment: sysv.SharedMemory) -> None:
    def inside() -> Any:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWPID | CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None):
            return f"namespaces are forbidden here: {os.strerror(ctypes.get_errno())}"
        return in_fork(look)

    def look() -> Any:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"proc", b"/proc", b"proc", 0, None):
            return f"/proc cannot be mounted here: {os.strerror(ctypes.get_errno())}"
        record = memory_record(f"sysv-shm:id={segment.id}")
        return record.creator_pid, record.verdict

    found = in_fork(inside)
    if isinstance(found, str):
        pytest.skip(found)
    assert found[0] is None
    assert found[1].state == "unknown"
    assert "a process that made it is of another pid namespace" in found[1].reason


# --- whether a process that the kernel noted still runs ---------------------------------------------------------------


def test_one_that_ended_and_is_not_yet_waited_for_does_not_run() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert Past().command(User("", pid, time.time())) is None
    os.waitpid(pid, 0)
    assert Past().command(User("", pid, time.time())) is None


def test_a_later_one_of_the_same_number_is_not_taken_for_it() -> None:
    name = Path("/proc/self/comm").read_text(encoding="utf-8").strip()
    past = Past()
    assert past.command(User("", os.getpid(), time.time())) == name
    assert past.command(User("", os.getpid(), time.time() - 7 * 24 * 3600)) is None
    assert past.command(User("", 1, time.time())) is not None
