"""Threads that wait on futexes as they are found."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import re
import signal
import struct
import threading
import time
from contextlib import closing

import pytest

from ipckit import inspect, posix, sysv
from ipckit._syscalls import name_of_number, numbers
from ipckit.errors import NotFoundError, UnsupportedError
from ipckit.inspect._processes.process_memory import memory_of
from ipckit.inspect._processes.scan import Scan
from ipckit.inspect.futex_waiters import FutexWaiters, collect
from ipckit.sync import Event
from ipckit.testing import pause, reached
from tests.inspect.elsewhere import may_open_what_is_mapped
from tests.nobody import WAS_ROOT, become_nobody

NAME = f"/test-futex-{os.getpid()}"
PRIVATE = 128
WAIT, WAIT_BITSET, LOCK_PI = 0, 9, 6
ALL_BITS = 0xFFFFFFFF
AT = 64  # bytes: where the word lies
SHARED_WORD, OWN_WORD = 2, 2 | PRIVATE  # flags in struct futex_waitv: 32 bits

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
LIBC.syscall.argtypes = [ctypes.c_long] * 7


@pytest.fixture(autouse=True)
def needs_numbers():
    try:
        numbers(("futex",))
    except UnsupportedError as error:
        pytest.skip(str(error))


def number_of(name):
    (number,) = (number for number in numbers((name,)) if name_of_number(number) == name)
    return number


def address_of(memory, at=AT):
    return ctypes.addressof(ctypes.c_char.from_buffer(memory, at))


def wait(memory, operation=WAIT_BITSET, seconds=0):
    """Wait for the word, which is 0, with one call of the kernel."""
    limit = ctypes.create_string_buffer(struct.pack("ll", seconds, 0)) if seconds else None
    at = ctypes.addressof(limit) if limit else 0
    return LIBC.syscall(number_of("futex"), address_of(memory), operation, 0, at, 0, ALL_BITS)


def wait_for_several(addresses, flags):
    """futex_waitv(2); returns errno."""
    packed = b"".join(struct.pack("=QQII", 0, *one, 0) for one in zip(addresses, flags, strict=True))
    entries = ctypes.create_string_buffer(packed, len(packed))
    LIBC.syscall(number_of("futex_waitv"), ctypes.addressof(entries), len(flags), 0, 0, 0, 0)
    return ctypes.get_errno()


def made(kind, name):
    """A page of memory of this kind, in which a word may be waited for."""
    if kind == "anonymous":
        return mmap.mmap(-1, mmap.PAGESIZE)
    if kind == "own":
        return mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    fd = os.memfd_create(name) if kind == "memfd" else os.open(name, os.O_RDWR)
    os.ftruncate(fd, 2 * mmap.PAGESIZE)
    memory = mmap.mmap(fd, mmap.PAGESIZE, offset=mmap.PAGESIZE)
    os.close(fd)
    return memory


def wait_in_memory(kind, name, operation=WAIT_BITSET, seconds=0):
    wait(made(kind, name), operation, seconds)


def wait_in_attached(segment):
    with segment.attach() as memory:
        wait(memory.buf)


def record_of(pid):
    """The record of a process; None if it has none."""
    try:
        found = inspect.find(f"futex:{pid}")
    except NotFoundError:
        return None
    assert isinstance(found, FutexWaiters)
    return found


def seen(pid):
    """The record of a process that waits in slices, and so is missed now and then."""
    end = time.monotonic() + 10
    while (record := record_of(pid)) is None:
        assert time.monotonic() < end, "not seen to wait"
    return record


@pytest.fixture
def ended():
    """Children to be killed and reaped at the end."""
    children = []
    yield children
    for child in children:
        child.kill()
        child.join()


def test_the_object_that_the_word_lies_in_is_told(spawn, tmp_path, ended):
    path, file = f"/dev/shm{NAME}", tmp_path / "file"
    os.close(os.open(path, os.O_CREAT | os.O_RDWR))
    file.touch()
    cases = {
        "shm": (path, f"shm:{NAME}", mmap.PAGESIZE),
        "file": (str(file), re.escape(str(file)), mmap.PAGESIZE),
        "memfd": ("words", r"memfd:\[\d+\]", mmap.PAGESIZE),
        "anonymous": ("", r"anonymous memory \[\d+\]", 0),
    }
    children = {kind: spawn(wait_in_memory, kind, name) for kind, (name, _, _) in cases.items()}
    ended += children.values()
    try:
        for child in children.values():
            child.wait_blocked("futex")
        records = {record.address: record for record in inspect.objects(["futex"])}
        for kind, child in children.items():
            record = records[f"futex:{child.pid}"]
            (waiting,) = record.waiting
            _, told, offset = cases[kind]
            assert (waiting.tid, waiting.operation, waiting.offset) == (child.pid, "wait_bitset", offset + AT)
            assert re.fullmatch(told, waiting.object)
            assert (record.pids, record.verdict.state) == ((child.pid,), "in use")
            assert record.use == f"1 thread waits on {waiting.object}"
            assert record.uid == os.geteuid()
    finally:
        os.unlink(path)
    assert record_of(children["shm"].pid).waiting[0].object.startswith("shm:[")
    children["memfd"].kill()
    children["memfd"].join()
    assert record_of(children["memfd"].pid) is None


def test_memory_of_system_v_is_told_by_its_number(spawn, ended):
    with sysv.SharedMemory.create(size=100, remove_on_close=True) as memory:
        ended.append(spawn(wait_in_attached, memory))
        ended[0].wait_blocked("futex")
        (waiting,) = record_of(ended[0].pid).waiting
        assert (waiting.object, waiting.offset) == (f"sysv-shm:id={memory.id}", AT)


def wait_for_event(name):
    with Event.open(name) as event:
        event.wait()


def wait_for_given(event):
    with event:
        event.wait()


def wait_for_semaphore(name):
    posix.Semaphore.open(name).acquire()


def test_our_objects_and_posix_semaphores_are_told_by_their_addresses(spawn, ended):
    semaphore = posix.Semaphore.create(NAME, value=0, unlink_on_close=True)
    with Event.create(NAME, unlink_on_close=True), closing(semaphore):
        ended += [spawn(wait_for_event, NAME), spawn(wait_for_semaphore, NAME)]
        for child, address in zip(ended, (f"sync:{NAME}", f"sem:{NAME}"), strict=True):
            child.wait_blocked("futex")
            record = seen(child.pid)
            assert {thread.object for thread in record.waiting} == {address}
            assert address in record.verdict.reason
            assert inspect.find(address).address == address


def test_our_objects_without_a_name_have_their_inode(spawn, ended):
    with Event.create() as event:
        inode = os.fstat(event.fileno()).st_ino
        ended.append(spawn(wait_for_given, event))
        ended[0].wait_blocked("futex")
        kinds = {"sync"} if may_open_what_is_mapped() else {"sync", "memfd"}
        assert {thread.object for thread in seen(ended[0].pid).waiting} <= {f"{kind}:[{inode}]" for kind in kinds}


def test_what_only_the_process_has_is_counted_and_not_listed(spawn, ended):
    cases = {"own": WAIT_BITSET, "anonymous": WAIT_BITSET | PRIVATE}
    ended += [spawn(wait_in_memory, kind, "", operation) for kind, operation in cases.items()]
    ended.append(spawn(wait_among_threads))
    ended[2].wait_reached("its threads wait")  # before that it waits for them to begin, in the same call
    for child in ended:
        child.wait_blocked("futex")
    assert [record_of(child.pid) for child in ended[:2]] == [None, None]
    record = record_of(ended[2].pid)
    assert record.private >= 2
    assert [thread.tid for thread in record.waiting] == [ended[2].pid]


def wait_among_threads():
    own, started = made("own", ""), []

    def sleep(operation):
        started.append(threading.get_native_id())
        wait(own, operation)

    for operation in (WAIT, WAIT | PRIVATE):
        threading.Thread(target=sleep, args=(operation,), daemon=True).start()
    while len(started) < 2 or not all(sleeps_at(tid, address_of(own)) for tid in started):
        time.sleep(0.001)
    reached("its threads wait")
    wait(made("anonymous", ""), WAIT)


def sleeps_at(tid, address):
    """Whether a thread of this process sleeps in a call about that address, and not for the lock of the interpreter."""
    with open(f"/proc/self/task/{tid}/syscall") as file:
        words = file.read().split()
    return len(words) > 1 and int(words[1], 16) == address


def wait_for_words():
    memory, own = made("memfd", "words"), made("own", "")
    addresses = [address_of(memory, 4), address_of(memory, 8), address_of(own), address_of(memory, 12)]
    if wait_for_several(addresses, [SHARED_WORD, SHARED_WORD, SHARED_WORD, OWN_WORD]) == errno.ENOSYS:
        pause("no futex_waitv")


def test_each_word_of_futex_waitv_is_told(spawn, ended):
    ended.append(spawn(wait_for_words))
    try:
        ended[0].wait_blocked("futex_waitv")
    except AssertionError:
        ended[0].wait_reached("no futex_waitv")
        pytest.skip("futex_waitv(2) came with Linux 5.16")
    record = record_of(ended[0].pid)
    assert [(word.operation, word.offset - mmap.PAGESIZE) for word in record.waiting] == [("waitv", 4), ("waitv", 8)]
    assert record.use.startswith("1 thread waits on memfd:[")
    assert record.private == 0


def test_a_wait_goes_on_after_a_stop(spawn, ended):
    ended.append(spawn(wait_in_memory, "memfd", "words", WAIT, 60))
    child = ended[0]
    child.wait_blocked("futex")
    child.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    child.send_signal(signal.SIGCONT)
    child.wait_blocked("restart_syscall")
    (waiting,) = record_of(child.pid).waiting
    assert (waiting.operation, waiting.offset) == ("wait", mmap.PAGESIZE + AT)


def look_as_nobody(pid):
    collect(Scan.take({"futex"}), "futex")  # loads all modules, while they may be read
    become_nobody()
    scan = Scan.take({"futex"})
    found = [record.address for record in collect(scan, "futex")]
    return f"futex:{pid}" in found, scan.unseen, scan.notes


@pytest.mark.skipif(not WAS_ROOT, reason="takes root, to have processes of two users")
def test_what_may_not_be_traced_is_said_to_be_unseen(spawn, ended):
    ended.append(spawn(wait_in_memory, "anonymous", ""))
    ended[0].wait_blocked("futex")
    found, unseen, notes = spawn(look_as_nobody, ended[0].pid).result()
    assert not found
    assert unseen or any("the right to trace" in note for note in notes)


def test_only_pages_that_are_in_memory_are_read():
    memory = mmap.mmap(-1, 3 * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    across = address_of(memory, mmap.PAGESIZE - 4)
    memory[0] = 1
    assert memory_of(os.getpid(), across, 8) is None
    memory[mmap.PAGESIZE] = 7
    assert memory_of(os.getpid(), across, 8) == bytes((0, 0, 0, 0, 7, 0, 0, 0))
    assert memory_of(os.getpid(), 0, 8) is None
    assert memory_of(os.getpid(), (1 << 64) - 8, 8) is None
