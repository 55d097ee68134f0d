"""POSIX message queues, semaphores and shared memory as `ipckit.inspect` shows them."""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import struct
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from ipckit import inspect, posix
from ipckit.errors import AccessError, NotFoundError
from ipckit.features import mqueue_mount
from ipckit.inspect import Look
from ipckit.inspect._queue_folder import queue_folder
from ipckit.inspect.posix_memory import PosixMemory
from ipckit.inspect.posix_queues import PosixQueue
from ipckit.inspect.posix_semaphores import PosixSemaphore
from ipckit.ring import SpscRing
from ipckit.testing import pause
from tests.contract.tools import in_fork
from tests.nobody import NOBODY, become_nobody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

CLONE_NEWNS = 0x20000
MS_REC_PRIVATE = 0x4000 | 0x40000
PR_SET_DUMPABLE = 4
MNT_DETACH = 2
SHM = "/dev/shm"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def queue() -> Iterator[posix.MessageQueue]:
    with queue_folder() as folder:
        if folder is None:
            pytest.skip("the mqueue file system is mounted nowhere, and we may not mount it")
    with posix.MessageQueue.create(mode=0o640, unlink_on_close=True) as made:
        yield made


@pytest.fixture
def semaphore() -> Iterator[posix.Semaphore]:
    made = posix.Semaphore.create(value=3, mode=0o640, unlink_on_close=True)
    yield made
    made.close()


@pytest.fixture
def memory() -> Iterator[posix.SharedMemory]:
    with posix.SharedMemory.create(size=5000, mode=0o640, unlink_on_close=True) as made:
        yield made


def become_visible_nobody() -> None:
    become_nobody()
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # or our own /proc would be closed to us


def left(record: inspect.Record) -> str:
    """What an object that nobody is seen to have is judged to be, here."""
    return "unknown" if record.unseen else "unused"


def seen(kind: str) -> dict[str, inspect.Record]:
    return {record.address: record for record in inspect.objects([kind])}


@contextmanager
def shm_file(name: str, content: bytes) -> Iterator[str]:
    with open(f"{SHM}/{name}", "xb") as file:
        file.write(content)
    try:
        yield name
    finally:
        os.unlink(f"{SHM}/{name}")


# --- message queues ---------------------------------------------------------------------------------------------------


def test_a_queue_tells_what_is_in_it_and_who_has_it(queue: posix.MessageQueue) -> None:
    queue.send(b"abc")
    queue.send(b"de")
    record = inspect.find(f"mq:{queue.name}")
    assert isinstance(record, PosixQueue)
    assert (record.messages, record.max_messages, record.max_message_size, record.queued_bytes) == (2, 10, 8192, 5)
    assert (record.size, record.uid, record.gid, record.mode) == (10 * 8192, os.geteuid(), os.getegid(), 0o640)
    assert record.use == "2 of 10 messages"
    assert record.age is not None
    assert record.age < 60
    (holder,) = record.holders
    assert (holder.process.pid, holder.descriptors, holder.access) == (os.getpid(), (queue.fileno(),), "rw")
    assert record.verdict.state == "in use"
    assert str(os.getpid()) in record.verdict.reason
    assert record.verdict.reason.endswith("2 messages wait")


def use_queue(name: str) -> None:
    with posix.MessageQueue.open(name, send=False) as queue:
        queue.notify(signal=signal.SIGUSR2)
        pause("has it")


def test_who_is_registered_is_told_until_it_is_killed(queue: posix.MessageQueue, spawn: Spawn) -> None:
    child = spawn(use_queue, queue.name)
    child.wait_reached("has it")
    record = inspect.find(f"mq:{queue.name}")
    assert isinstance(record, PosixQueue)
    assert (record.notify, record.notify_signal, record.notify_pid) == ("signal", signal.SIGUSR2, child.pid)
    assert sorted(record.pids) == sorted((os.getpid(), child.pid))
    assert {holder.process.pid: holder.access for holder in record.holders}[child.pid] == "r"
    child.kill()
    child.join()
    record = inspect.find(f"mq:{queue.name}")
    assert isinstance(record, PosixQueue)
    assert (record.notify, record.notify_signal, record.notify_pid) == (None, None, None)
    assert record.pids == (os.getpid(),)


def test_to_look_drops_no_registration(queue: posix.MessageQueue) -> None:
    with queue.notify() as notification:
        record = inspect.find(f"mq:{queue.name}")
        assert isinstance(record, PosixQueue)
        assert (record.notify, record.notify_pid) == ("thread", os.getpid())
        assert notification.armed


def make_queue(name: str) -> None:
    queue = posix.MessageQueue.create(name)
    queue.send(b"left")
    pause("made it")


def test_a_queue_whose_only_process_was_killed_is_judged_by_who_could_be_seen(
    queue: posix.MessageQueue, spawn: Spawn
) -> None:
    name = f"{queue.name}-left"
    child = spawn(make_queue, name)
    child.wait_reached("made it")
    try:
        assert inspect.find(f"mq:{name}").pids == (child.pid,)
        child.kill()
        child.join()
        record = inspect.find(f"mq:{name}")
        assert record.holders == ()
        assert record.verdict.state == left(record)
        assert record.verdict.reason.endswith("a message waits")
    finally:
        posix.MessageQueue.unlink_name(name)
    with pytest.raises(NotFoundError):
        inspect.find(f"mq:{name}")


@needs_root
def test_a_queue_that_may_not_be_read_tells_its_owner_alone(queue: posix.MessageQueue) -> None:
    if mqueue_mount() is None:
        pytest.skip("the mqueue file system is mounted nowhere")
    os.chmod(f"/proc/self/fd/{queue.fileno()}", 0o600)

    def look() -> tuple[Any, ...]:
        os.close(queue.fileno())  # through which it could be read
        become_visible_nobody()
        record = seen("mq")[f"mq:{queue.name}"]
        assert isinstance(record, PosixQueue)
        return (record.uid, record.mode, record.messages, record.size, record.notify_pid, record.use)

    assert in_fork(look) == (0, 0o600, None, None, None, "")


def hide_queues() -> str | None:
    """Unmount the mqueue file system for this process alone, and become nobody; why not, where that can't be."""
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None):
        return f"a mount namespace is forbidden here: {os.strerror(ctypes.get_errno())}"
    while (where := mqueue_mount()) is not None:
        if libc.umount2(os.fsencode(where), MNT_DETACH):
            return f"{where} cannot be unmounted: {os.strerror(ctypes.get_errno())}"
    become_visible_nobody()
    return None


@needs_root
def test_where_queues_cannot_be_listed_those_that_are_open_are_found_and_the_rest_is_spoken_of() -> None:
    def look() -> str | list[Any]:
        if why := hide_queues():
            return why
        with posix.MessageQueue.create(unlink_on_close=True) as queue:
            look = Look(["mq", "shm"])
            found = {record.address: record for record in look}
            mine = found[f"mq:{queue.name}"]
            assert isinstance(mine, PosixQueue)
            return [mine.pids == (os.getpid(),), mine.messages, mine.verdict.state, *look.notes]

    found = in_fork(look)
    if isinstance(found, str):
        pytest.skip(found)
    assert found[:3] == [True, None, "in use"]
    assert any("mount -t mqueue none /dev/mqueue" in note for note in found[3:])


@needs_root
def test_where_queues_cannot_be_listed_one_that_nobody_has_open_is_found_by_its_name_and_removed() -> None:
    theirs = posix.MessageQueue.create()

    def look() -> str | list[Any]:
        if why := hide_queues():
            return why
        posix.MessageQueue.create(name).close()
        mine, other, none = inspect.find_all([f"mq:{name}", f"mq:{theirs.name}", f"mq:{name}-none"]).values()
        assert isinstance(mine, PosixQueue)
        assert other is not None
        with pytest.raises(AccessError):
            inspect.remove(other)
        inspect.remove(mine)
        gone = inspect.find_all([mine.address])[mine.address]
        return [mine.address, mine.uid, mine.use, mine.pids, other.address, other.use, none, gone]

    name = f"{theirs.name}-nobody"
    theirs.close()
    try:
        found = in_fork(look)
    finally:
        theirs.unlink()
        with suppress(NotFoundError):
            theirs.unlink_name(name)
    if isinstance(found, str):
        pytest.skip(found)
    assert found == [f"mq:{name}", NOBODY, "0 of 10 messages", (), f"mq:{theirs.name}", "", None, None]


# --- semaphores -------------------------------------------------------------------------------------------------------


def wait_for_it(name: str) -> None:
    semaphore = posix.Semaphore.open(name)
    for _ in range(4):
        semaphore.acquire()


def test_a_semaphore_tells_its_value_and_who_waits(semaphore: posix.Semaphore, spawn: Spawn) -> None:
    record = inspect.find(f"sem:{semaphore.name}")
    assert isinstance(record, PosixSemaphore)
    assert (record.value, record.waiting, record.use) == (3, 0, "value 3")
    assert (record.uid, record.mode, record.size) == (os.geteuid(), 0o640, 32)
    (holder,) = record.holders
    assert (holder.process.pid, holder.mapped) == (os.getpid(), True)
    child = spawn(wait_for_it, semaphore.name)
    child.wait_blocked("futex")
    while True:  # between two slices of its wait the kernel's count of waiters has it not
        record = inspect.find(f"sem:{semaphore.name[1:]}")
        assert isinstance(record, PosixSemaphore)
        if record.waiting:
            break
    assert (record.value, record.waiting, record.use) == (0, 1, "value 0, 1 waiting")
    assert sorted(record.pids) == sorted((os.getpid(), child.pid))
    child.kill()
    child.join()
    record = inspect.find(f"sem:{semaphore.name}")
    assert record.pids == (os.getpid(),)
    assert record.verdict.state == "in use"


def test_a_semaphore_that_nobody_has(semaphore: posix.Semaphore) -> None:
    name = f"{semaphore.name}-left"
    posix.Semaphore.create(name, value=7).close()
    try:
        record = inspect.find(f"sem:{name}")
        assert isinstance(record, PosixSemaphore)
        assert (record.value, record.holders, record.verdict.state) == (7, (), left(record))
    finally:
        posix.Semaphore.unlink_name(name)


@needs_root
def test_a_semaphore_that_may_not_be_read_has_no_value_to_tell(semaphore: posix.Semaphore) -> None:
    def look() -> tuple[Any, ...]:
        become_visible_nobody()
        record = seen("sem")[f"sem:{semaphore.name}"]
        assert isinstance(record, PosixSemaphore)
        return (record.value, record.waiting, record.use, record.mode)

    assert in_fork(look) == (None, None, "", 0o640)


@pytest.mark.parametrize(
    "content",
    [b"", bytes(16), bytes(31), bytes(33), struct.pack("=QQQQ", 1 << 31, 0, 0, 0)],
    ids=["empty", "of 32 bits", "short", "long", "beyond SEM_VALUE_MAX"],
)
def test_what_is_no_semaphore_of_this_c_library_has_no_value(content: bytes) -> None:
    with shm_file(f"sem.ipckit-test-{os.getpid()}", content) as name:
        record = inspect.find(f"sem:/{name[4:]}")
        assert isinstance(record, PosixSemaphore)
        assert (record.value, record.waiting, record.size) == (None, None, len(content))


# --- shared memory ----------------------------------------------------------------------------------------------------


def hold_memory(name: str) -> None:
    with posix.SharedMemory.open(name, read_only=True):
        pause("has it")


def test_shared_memory_tells_its_size_what_it_takes_and_who_has_it(memory: posix.SharedMemory, spawn: Spawn) -> None:
    child = spawn(hold_memory, memory.name)
    child.wait_reached("has it")
    record = inspect.find(f"shm:{memory.name}")
    assert isinstance(record, PosixMemory)
    assert (record.size, record.allocated, record.use) == (5000, 8192, "all of it has memory")
    assert (record.uid, record.gid, record.mode) == (os.geteuid(), os.getegid(), 0o640)
    access = {holder.process.pid: (holder.mapped, holder.access) for holder in record.holders}
    assert access == {os.getpid(): (True, "rw"), child.pid: (True, "r")}
    child.kill()
    child.join()
    assert inspect.find(f"shm:{memory.name}").pids == (os.getpid(),)


def test_memory_that_was_never_touched_takes_none() -> None:
    with shm_file(f"ipckit-test-{os.getpid()}", b"") as name:
        os.truncate(f"{SHM}/{name}", 1 << 20)
        record = inspect.find(f"shm:{name}")
        assert isinstance(record, PosixMemory)
        assert (record.size, record.allocated, record.use) == (1 << 20, 0, "0 bytes have memory")
        assert record.verdict.state == left(record)


def map_and_unlink(name: str, size: int) -> None:
    """Python's mmap objects keep a descriptor; a mapping of C needs none."""
    fd = os.open(f"{SHM}/{name}", os.O_RDWR)
    libc.mmap.restype = ctypes.c_void_p
    start = libc.mmap(None, ctypes.c_size_t(size), mmap.PROT_READ, mmap.MAP_SHARED, fd, ctypes.c_long(0))
    assert start != ctypes.c_void_p(-1).value
    os.close(fd)
    os.unlink(f"{SHM}/{name}")
    pause("unlinked")


def test_memory_that_was_unlinked_is_listed_as_long_as_somebody_has_it(spawn: Spawn) -> None:
    name = f"psm_{os.getpid()}"
    with open(f"{SHM}/{name}", "xb") as file:
        os.fchmod(file.fileno(), 0o640)
        os.posix_fallocate(file.fileno(), 0, 5000)
        inode = os.fstat(file.fileno()).st_ino
        child = spawn(map_and_unlink, name, 5000)
        child.wait_reached("unlinked")
        record = inspect.find(f"shm:[{inode}]")
        assert isinstance(record, PosixMemory)
        assert sorted(record.pids) == sorted((os.getpid(), child.pid))
        assert (record.size, record.allocated, record.mode) == (5000, 8192, 0o640)
        assert record.made_by == "multiprocessing.shared_memory"
        assert record.verdict.state == "in use"
        assert f"its name, {name}, is gone" in record.verdict.reason
    record = inspect.find(f"shm:[{inode}]")
    assert (record.pids, record.size, record.mode, record.use) == ((child.pid,), None, None, "")
    child.kill()
    child.join()
    with pytest.raises(NotFoundError):
        inspect.find(f"shm:[{inode}]")


def test_memory_that_got_its_name_late_is_listed_once(memory: posix.SharedMemory) -> None:
    """It was made without one, and that is what /proc goes on telling."""
    inode = os.fstat(memory.fileno()).st_ino
    assert os.readlink(f"/proc/self/fd/{memory.fileno()}").endswith(" (deleted)")
    found = seen("shm")
    assert f"shm:{memory.name}" in found
    assert f"shm:[{inode}]" not in found
    memory.unlink()
    found = seen("shm")
    assert f"shm:{memory.name}" not in found
    assert found[f"shm:[{inode}]"].size == 5000
    memory.close()


@pytest.mark.parametrize(
    ("file", "address", "who"),
    [
        ("psm_{}", "shm:/psm_{}", "multiprocessing.shared_memory"),
        ("sem.mp-{}", "sem:/mp-{}", "multiprocessing"),
        ("sem.loky-{}", "sem:/loky-{}", "loky"),
        ("nothing-special-{}", "shm:/nothing-special-{}", None),
    ],
)
def test_the_habits_of_well_known_programs_are_recognised(file: str, address: str, who: str | None) -> None:
    with shm_file(file.format(os.getpid()), bytes(32)):
        record = inspect.find(address.format(os.getpid()))
        assert isinstance(record, PosixMemory | PosixSemaphore)
        assert record.made_by == who
        assert ("gives such names" in record.verdict.reason) == (who is not None)


def test_what_else_lies_there_is_no_shared_memory_and_stops_nobody(
    memory: posix.SharedMemory, semaphore: posix.Semaphore
) -> None:
    name = f"ipckit-test-{os.getpid()}"
    folder, fifo, link = (f"{SHM}/{name}{end}" for end in ("-folder", "-fifo", "-link"))
    os.mkdir(folder)
    os.mkfifo(fifo)
    os.symlink(fifo, link)
    try:
        with SpscRing.create(f"/{name}-ring", unlink_on_close=True):
            mine = {address for address in [*seen("shm"), *seen("sem")] if name in address}
            assert mine == set()
            assert f"shm:{memory.name}" in seen("shm")
            assert f"sem:{semaphore.name}" in seen("sem")
            assert not [address for address in seen("shm") if address.startswith(("shm:/sem.", "shm:/ipckit."))]
    finally:
        os.rmdir(folder)
        os.unlink(fifo)
        os.unlink(link)


def test_what_vanishes_while_it_is_listed_is_left_out() -> None:
    names = [f"ipckit-test-{os.getpid()}-{number}" for number in range(300)]
    for name in names:
        open(f"{SHM}/{name}", "xb").close()
    listing = iter(inspect.objects(["shm"]))
    try:
        next(listing)
    finally:
        for name in names:
            os.unlink(f"{SHM}/{name}")
    assert [record.address for record in listing if record.name[1:] in names] == []
