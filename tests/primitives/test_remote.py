"""ProcessMemory: reading and writing the memory of another process."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import select
import threading
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import AccessError, NoProcessError, SyscallError
from ipckit.mapping import PAGE_SIZE, Mapping
from ipckit.remote import ProcessMemory, address_of
from ipckit.testing import pause, reached
from tests.nobody import become_nobody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

PR_SET_DUMPABLE = 4


@pytest.fixture
def own() -> Iterator[ProcessMemory]:
    with ProcessMemory.open(os.getpid()) as memory:
        yield memory


@pytest.fixture
def two_pages() -> Iterator[int]:
    """The address of two pages, the second of which can't be touched."""
    with Mapping.create(size=2 * PAGE_SIZE, shared=False) as memory:
        memory.buf[:] = b"x" * (2 * PAGE_SIZE)
        start = address_of(memory.buf)
        protect(start + PAGE_SIZE, 0)
        yield start
        protect(start + PAGE_SIZE, mmap.PROT_READ | mmap.PROT_WRITE)


def protect(address: int, protection: int) -> None:
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), PAGE_SIZE, protection) == 0


# --- another process --------------------------------------------------------------------------------------------------


def show(memory: Mapping) -> None:
    """Tell where a buffer lies, let the other side change it, and check what it did."""
    let_anybody_trace_us()
    text = bytearray(b"hello " * 1000)
    memory.view("Q")[0] = address_of(text)
    reached("told")
    pause("changed")
    assert bytes(text[:12]) == b"Jello hello "
    assert bytes(text[-6:]) == b"hellO "
    memory.close()


def let_anybody_trace_us() -> None:
    """Where the Yama module restricts tracing to descendants, a child is one; a test's process may be no ancestor."""
    ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)


def test_the_memory_of_a_child_is_read_and_written(spawn: Spawn) -> None:
    with Mapping.create(size=8) as place:
        child = spawn(show, place)
        child.wait_reached("told")
        address = place.view("Q")[0]
        with ProcessMemory.open(child.pid) as memory:
            assert memory.pid == child.pid
            assert memory.read(address, 12) == b"hello hello "
            assert memory.read(address, 6000) == b"hello " * 1000
            buffer = bytearray(7)
            assert memory.readinto(address + 3, memoryview(buffer)[:4]) == 4
            assert buffer == b"lo h\0\0\0"
            assert memory.readv([(address, 3), (address + 3, 0), (address + 6, 2)]) == [b"hel", b"", b"he"]
            assert memory.writev([(address, b"J"), (address + 5998, bytearray(b"O"))]) == 2
            child.resume("changed")
            child.result()
            assert select.select([memory], [], [], 20)[0], "a pidfd is readable once the process has ended"
            for attempt in (lambda: memory.read(address, 1), lambda: memory.write(address, b"x")):
                with pytest.raises(NoProcessError) as caught:
                    attempt()
                assert isinstance(caught.value, ProcessLookupError)
                assert caught.value.completed == 0
        with pytest.raises(NoProcessError):
            ProcessMemory.open(child.pid)


def wait_for_the_end() -> None:
    reached("there")
    pause("never")


def test_a_process_that_is_killed_is_no_other_process(spawn: Spawn, own: ProcessMemory) -> None:
    """A handle whose pid has come to be another process's: as if our own pid were that of the dead."""
    child = spawn(wait_for_the_end)
    child.wait_reached("there")
    text = bytearray(b"hello")
    with ProcessMemory.open(child.pid) as memory:
        memory._pid = os.getpid()
        assert memory.read(address_of(text), 5) == b"hello"
        child.kill()
        child.join()
        with pytest.raises(NoProcessError):
            memory.read(address_of(text), 5)


# --- what can't be had ------------------------------------------------------------------------------------------------


def test_a_partial_transfer_says_how_far_it_came(own: ProcessMemory, two_pages: int) -> None:
    start, end = two_pages, two_pages + PAGE_SIZE
    done = bytearray(2 * PAGE_SIZE)
    for attempt, completed in (
        (lambda: own.read(start, 2 * PAGE_SIZE), PAGE_SIZE),
        (lambda: own.read(end - 96, 200), 96),
        (lambda: own.read(end, 1), 0),
        (lambda: own.read(0, 1), 0),
        (lambda: own.readv([(start, 10), (start, 5), (end, 1), (start, 10)]), 15),
        (lambda: own.readinto(start, done), PAGE_SIZE),
        (lambda: own.write(end - 10, bytes(11)), 10),
        (lambda: own.writev([(start, b"abc"), (end, b"d")]), 3),
    ):
        with pytest.raises(SyscallError, match="not mapped, or not permitted") as caught:
            attempt()
        assert caught.value.errno == errno.EFAULT
        assert caught.value.completed == completed
    assert done == b"x" * PAGE_SIZE + bytes(PAGE_SIZE)
    assert own.read(start, 4) == b"abcx"
    assert own.read(end - 11, 11) == b"x" + bytes(10)


def test_read_only_memory_is_not_written(own: ProcessMemory) -> None:
    with Mapping.create(size=PAGE_SIZE, shared=False) as memory:
        address = address_of(memory.buf)
        protect(address, mmap.PROT_READ)
        assert own.read(address, 1) == b"\0"
        with pytest.raises(SyscallError) as caught:
            own.write(address, b"x")
        assert caught.value.errno == errno.EFAULT
        assert caught.value.syscall == "process_vm_writev"


def test_more_pieces_than_one_call_takes(own: ProcessMemory) -> None:
    text = bytearray(range(256)) * 40
    start = address_of(text)
    spans = [(start + i, i % 5) for i in range(5000)]
    assert own.readv(spans) == [bytes(text[i : i + i % 5]) for i in range(5000)]
    assert own.writev([(start + 2 * i, b"ab") for i in range(5000)]) == 10_000
    assert text[:10_000] == b"ab" * 5000
    assert own.readv([]) == []
    assert own.writev([]) == own.write(start, b"") == 0


@pytest.mark.parametrize(
    ("address", "size", "error"),
    [(-1, 1, ValueError), (1 << 64, 1, ValueError), (0, -1, ValueError), ("0", 1, TypeError), (0, 1.0, TypeError)],
)
def test_bad_arguments(own: ProcessMemory, address: object, size: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"address|size"):
        own.read(address, size)
    with pytest.raises(error, match=r"address|size"):
        own.readv([(1, 1), (address, size)])
    with pytest.raises(TypeError, match="buffer must be one that can be written"):
        own.readinto(address_of(b"constant"), b"constant")


def test_pids_that_are_none_or_a_thread() -> None:
    for pid in (0, -1, 1 << 31):
        with pytest.raises(ValueError, match="pid must be 1"):
            ProcessMemory.open(pid)
    event = threading.Event()
    thread = threading.Thread(target=event.wait)
    thread.start()
    try:
        with pytest.raises(ValueError, match="that of a thread"):
            ProcessMemory.open(thread.native_id)
    finally:
        event.set()
        thread.join()


def open_as_nobody(pid: int) -> list[object]:
    become_nobody()
    try:
        ProcessMemory.open(pid)
    except AccessError as error:
        return [error.errno, error.syscall, str(error)]
    return []


def read_what_does_not_want_to(pid: int) -> str:
    """As the same user: a process that made itself undumpable is out of reach without CAP_SYS_PTRACE."""
    become_nobody()
    let_anybody_trace_us()
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        os.kill(os.getpid(), 19)
        os._exit(0)
    os.waitpid(child, os.WUNTRACED)
    try:
        ProcessMemory.open(child)
    except AccessError as error:
        return type(error).__name__
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
    return f"opened, and {pid} is no longer of interest"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_permission_rule_is_in_the_error(spawn: Spawn) -> None:
    number, syscall, text = spawn(open_as_nobody, os.getpid()).result()
    assert (number, syscall) == (errno.EPERM, "process_vm_readv")
    assert "ptrace(2) asks for the same user" in text
    assert spawn(read_what_does_not_want_to, 0).result() == "AccessError"


def test_address_of_needs_a_buffer() -> None:
    text = bytearray(b"abc")
    assert address_of(memoryview(text)[1:]) == address_of(text) + 1
    assert ctypes.string_at(address_of(text), 3) == b"abc"
    with pytest.raises(TypeError):
        address_of("text")
