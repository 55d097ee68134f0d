"""Mapping: files and memory of no file, shared and private; sizes, pages, advice."""

from __future__ import annotations

import errno
import mmap
import os
import pickle
import re
import resource
import signal
import struct
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.errors import (
    AccessError,
    AlreadyExistsError,
    LimitError,
    NotFoundError,
    SyscallError,
    UnsupportedError,
)
from ipckit.mapping import PAGE_SIZE, Advice, Mapping, page_sizes
from ipckit.memfd import Memfd
from ipckit.remote import address_of
from ipckit.testing import pause, reached
from tests.nobody import become_nobody
from tests.primitives.standstill import HERE, before_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.testing import Spawn

HUGE = next(iter(page_sizes()[1:]), 0)


def in_fork(function: Callable[[], object]) -> int:
    """The exit status of a forked copy that runs *function*."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# --- files ------------------------------------------------------------------------------------------------------------


def test_a_new_file_is_zeros_reserved_and_of_the_exact_size(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with Mapping.create(path, size=5000) as memory:
        assert memory.size == memory.buf.nbytes == 5000
        assert bytes(memory.buf) == bytes(5000)
        assert memory.name == str(path)
        found = path.stat()
        assert found.st_size == 5000
        assert found.st_blocks * 512 >= 5000
        memory.buf[:5] = b"hello"
        assert path.read_bytes()[:5] == b"hello"
        with pytest.raises(AlreadyExistsError):
            Mapping.create(path, size=1)
        assert path.stat().st_size == 5000
    assert path.exists()


def test_shared_is_the_file_and_private_is_not(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc" * 1000)
    path.chmod(0o400)
    with (
        Mapping.open(path, shared=False) as private,
        Mapping.open(path, shared=False, read_only=True) as still,
        Mapping.open(path, read_only=True) as shared,
    ):
        private.buf[0] = 0
        assert (shared.buf[0], still.buf[0], private.buf[0]) == (97, 97, 0)
        assert not private.read_only
        assert shared.buf.readonly
        assert still.buf.readonly
        assert (private.shared, shared.shared) == (False, True)
        with pytest.raises(TypeError, match="read-only"):
            shared.buf[0] = 1
    assert path.read_bytes()[:3] == b"abc"


def test_a_part_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(PAGE_SIZE) + b"second" + bytes(PAGE_SIZE))
    with (
        Mapping.open(path, offset=PAGE_SIZE, size=6) as part,
        Mapping.open(path, offset=PAGE_SIZE) as rest,
    ):
        assert bytes(part.buf) == b"second"
        assert (part.offset, part.size, rest.size) == (PAGE_SIZE, 6, PAGE_SIZE + 6)
        part.buf[0] = ord("S")
        assert bytes(rest.buf[:6]) == b"Second"
        os.truncate(path, PAGE_SIZE + 3)
        assert (part.refresh(), rest.refresh()) == (3, 3)
        os.truncate(path, PAGE_SIZE * 5)
        assert (part.refresh(), rest.refresh()) == (6, PAGE_SIZE * 4)
        os.truncate(path, 1)
        assert (part.refresh(), rest.refresh(), len(rest.buf)) == (0, 0, 0)


def test_what_is_shorter_than_asked_for_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(5000))
    for how, words in (
        ({"size": 5001}, "size must be at most 5000"),
        ({"offset": 2 * PAGE_SIZE}, "size must be at most 0"),
        ({"offset": PAGE_SIZE, "size": 905}, "size must be at most 904"),
        ({"offset": 1}, "offset must be a multiple of the page size"),
        ({"offset": -1}, "offset must be 0"),
        ({"size": 0}, "size must be 1"),
        ({"size": 1 << 63}, "size must be 1"),
    ):
        with pytest.raises(ValueError, match=words):
            Mapping.open(path, **how)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="size must be at most 0"):
        Mapping.open(path)
    for size in (None, "1", 1.0, True):
        with pytest.raises(TypeError, match="size"):
            Mapping.create(size=size)


def test_what_is_no_file_is_refused_or_a_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path, words in ((tmp_path / "fifo", "something else"), ("/dev/zero", "size must be given")):
        with pytest.raises(ValueError, match=words):
            Mapping.open(path)
    with pytest.raises(ValueError, match="something else"):
        Mapping.open(tmp_path, read_only=True)
    with pytest.raises(ValueError, match="something else"):
        Mapping.unlink_name(tmp_path)
    with Mapping.open("/dev/zero", size=PAGE_SIZE, shared=False) as zero:
        assert bytes(zero.buf[:3]) == b"\0\0\0"
    with pytest.raises(NotFoundError):
        Mapping.create(tmp_path / "none" / "file", size=1)


def test_an_open_file_stays_the_callers(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    with path.open("rb") as file:
        with pytest.raises(AccessError, match=r"read_only=True or shared=False"):
            Mapping.of(file)
        with Mapping.of(file, read_only=True) as memory, Mapping.of(file.fileno(), shared=False) as private:
            file.close()
            assert bytes(memory.buf) == bytes(private.buf) == b"abc"
            assert not os.get_inheritable(memory.fileno())
    with pytest.raises(SyscallError) as caught:
        Mapping.of(-1)
    assert caught.value.errno == errno.EBADF


def test_flush_writes_to_the_file_and_takes_any_part(tmp_path: Path) -> None:
    with Mapping.create(tmp_path / "file", size=3 * PAGE_SIZE) as memory, Mapping.create(size=9, shared=False) as none:
        memory.buf[5000:5003] = b"abc"
        memory.flush()
        memory.flush(5000, 3)
        memory.flush(3 * PAGE_SIZE)
        none.flush()
        for part in ((-1, None), (3 * PAGE_SIZE + 1, None), (0, 3 * PAGE_SIZE + 1), (0, -1)):
            with pytest.raises(ValueError, match=r"(offset|size) must be 0 to"):
                memory.flush(*part)


# --- another size -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["file", "memory of no file", "private"])
def test_growth_keeps_the_content_and_adds_zeros(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file" if kind == "file" else None
    with Mapping.create(path, size=PAGE_SIZE, shared=kind != "private") as memory:
        memory.buf[:] = b"x" * PAGE_SIZE
        view = memory.buf[:2]
        with pytest.raises(BufferError, match="cannot resize"):
            memory.resize(3 * PAGE_SIZE)
        assert bytes(view) == b"xx"
        assert memory.size == PAGE_SIZE
        del view
        memory.resize(300 * PAGE_SIZE + 1)
        assert bytes(memory.buf) == b"x" * PAGE_SIZE + bytes(299 * PAGE_SIZE + 1)
        with pytest.raises(ValueError, match="shrink=True"):
            memory.resize(10)
        with pytest.raises(ValueError, match="size must be 1"):
            memory.resize(0)
        assert memory.size == 300 * PAGE_SIZE + 1


@pytest.mark.parametrize("kind", ["file", "private"])
def test_shrinking_is_asked_for_twice(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file" if kind == "file" else None
    with Mapping.create(path, size=2 * PAGE_SIZE, shared=kind != "private") as memory:
        memory.buf[:4] = b"abcd"
        memory.resize(2, shrink=True)
        assert bytes(memory.buf) == b"ab"
        memory.resize(2)
        memory.resize(PAGE_SIZE)
        assert bytes(memory.buf[:2]) == b"ab"


def test_shared_memory_of_no_file_never_shrinks() -> None:
    with Mapping.create(size=2 * PAGE_SIZE) as memory:
        with pytest.raises(AccessError, match=r"the seal Seal\.SHRINK"):
            memory.resize(1, shrink=True)
        with pytest.raises(PermissionError):
            os.ftruncate(memory.fileno(), 1)
        memory.buf[2 * PAGE_SIZE - 1] = 1
        assert memory.size == 2 * PAGE_SIZE


def test_what_has_one_size_for_its_life(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(2 * PAGE_SIZE))
    with (
        Mapping.open(path, size=10) as part,
        Mapping.open(path, shared=False) as private,
        Mapping.open(path, read_only=True) as reader,
    ):
        for memory in (part, private):
            with pytest.raises(UnsupportedError, match="only what is shared and all of a file"):
                memory.resize(3 * PAGE_SIZE)
        with pytest.raises(AccessError, match="read_only=True"):
            reader.resize(3 * PAGE_SIZE)
        os.truncate(path, 3 * PAGE_SIZE)
        private.buf[0] = 1
        with pytest.raises(UnsupportedError):
            private.refresh()
        assert private.buf[0] == 1
        assert reader.refresh() == 3 * PAGE_SIZE


def grow(memory: Mapping) -> int:
    with memory:
        memory.resize(2 * PAGE_SIZE)
        memory.buf[PAGE_SIZE] = 7
        return memory.size


def test_another_process_resizes(spawn: Spawn, tmp_path: Path) -> None:
    for path in (tmp_path / "file", None):
        with Mapping.create(path, size=PAGE_SIZE) as memory:
            view = memory.buf
            assert spawn(grow, memory).result() == 2 * PAGE_SIZE
            assert memory.buf is view
            assert memory.size == PAGE_SIZE
            assert memory.refresh() == memory.size == 2 * PAGE_SIZE
            assert memory.buf[PAGE_SIZE] == 7


# --- full, cut short --------------------------------------------------------------------------------------------------


def test_no_room_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    for path in (tmp_path / "file", None):
        with pytest.raises(LimitError) as caught:
            Mapping.create(path, size=1 << 62)
        assert caught.value.errno in {errno.ENOSPC, errno.EFBIG}
        with Mapping.create(path, size=PAGE_SIZE, unlink_on_close=True) as memory:
            memory.buf[0] = 1
            with pytest.raises(LimitError):
                memory.resize(1 << 62)
            assert (memory.size, memory.buf[0]) == (PAGE_SIZE, 1)
    with pytest.raises(LimitError):
        Mapping.create(size=1 << 62, shared=False)
    assert os.listdir(tmp_path) == []


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """For this process, by RLIMIT_FSIZE; Python ignores the signal that comes with the error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_is_sealed_against_shrinking_grows_as_a_whole_or_not_at_all() -> None:
    with Mapping.create(size=PAGE_SIZE) as memory:
        before = os.fstat(memory.fileno())
        with no_file_larger_than(20 << 20), pytest.raises(SyscallError, match="RLIMIT_FSIZE") as caught:
            memory.resize(40 << 20)
        assert caught.value.errno == errno.EFBIG
        after = os.fstat(memory.fileno())
        assert (after.st_size, after.st_blocks) == (before.st_size, before.st_blocks)
        assert memory.size == PAGE_SIZE
        memory.resize(20 << 20)
        assert os.fstat(memory.fileno()).st_blocks * 512 >= 20 << 20
        assert memory.size == 20 << 20


def test_holes_are_filled_on_request(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.write(b"begin")
        file.truncate(1 << 20)
    assert path.stat().st_blocks * 512 < 1 << 20
    with Mapping.open(path, fill=True) as memory:
        assert path.stat().st_blocks * 512 >= 1 << 20
        assert path.stat().st_size == memory.size == 1 << 20
        assert bytes(memory.buf[:6]) == b"begin\0"
    space = os.statvfs(tmp_path)
    too_much = (space.f_blocks + 1000) * space.f_frsize  # however much others give back meanwhile
    os.truncate(path, too_much)
    with pytest.raises(LimitError, match="the file system is full"):
        Mapping.open(path, fill=True)
    assert path.stat().st_size == too_much


def touch_after_truncation(path: str, how: dict[str, Any]) -> int:
    with Mapping.open(path, **how) as memory:
        reached("mapped")
        pause("truncated")
        return memory.buf[2 * PAGE_SIZE - 1]


def test_who_touches_what_was_cut_off_a_named_file_is_killed(spawn: Spawn, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(2 * PAGE_SIZE))
    victims = [spawn(touch_after_truncation, str(path), how) for how in ({}, {"shared": False})]
    for victim in victims:
        victim.wait_reached("mapped")
    with Mapping.open(path) as memory:
        os.truncate(path, PAGE_SIZE)
        with pytest.raises(SyscallError, match="shorter than what is mapped") as caught:
            memory.advise(Advice.POPULATE_READ)
        assert caught.value.errno == errno.EFAULT  # asked by a system call, it is an error
        assert memory.refresh() == PAGE_SIZE
        memory.buf[PAGE_SIZE - 1] = 1
    for victim in victims:
        victim.resume("truncated")
        assert victim.join() == -signal.SIGBUS


def test_bytes_behind_the_end_of_the_file_are_out_of_reach(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    with Mapping.open(path) as memory:
        with pytest.raises(IndexError):
            memory.buf[3]
        with pytest.raises(ValueError, match="different structures"):
            memory.buf[2:5] = b"xyz"
    assert path.read_bytes() == b"abc"


# --- memory of no file ------------------------------------------------------------------------------------------------


def test_a_forked_child_shares_the_shared_and_has_a_copy_of_the_private() -> None:
    with Mapping.create(size=10) as shared, Mapping.create(size=10, shared=False) as private:

        def write() -> None:
            shared.buf[0] = 1
            private.buf[0] = 1
            shared.close()
            private.close()

        assert in_fork(write) == 0
        assert (shared.buf[0], private.buf[0]) == (1, 0)


def test_private_memory_is_nobody_elses() -> None:
    with Mapping.create(size=10, shared=False) as memory:
        with pytest.raises(TypeError, match="private"):
            pickle.dumps(memory)
        with pytest.raises(ValueError, match="no descriptor"):
            memory.fileno()
        with pytest.raises(ValueError, match="no path"):
            memory.unlink()
        assert repr(memory) == "<Mapping size=10 private>"
        assert memory.refresh() == 10


def test_a_mapping_that_was_not_named_has_no_path_to_unlink() -> None:
    with Mapping.create(size=10) as memory:
        with pytest.raises(ValueError, match="no path"):
            memory.unlink()
        assert repr(memory) == f"<Mapping size=10 fd={memory.fileno()}>"


# --- pages ------------------------------------------------------------------------------------------------------------


def resident(memory: Mapping) -> int:
    """Bytes of the mapping that are in memory, as /proc/self/pagemap tells; smaps counts mappings beside it as well."""
    pages = memory.size // PAGE_SIZE
    with Path("/proc/self/pagemap").open("rb") as pagemap:
        pagemap.seek(address_of(memory.buf) // PAGE_SIZE * 8)
        entries = struct.unpack(f"={pages}Q", pagemap.read(8 * pages))
    return sum(entry >> 63 for entry in entries) * PAGE_SIZE


def smaps(memory: Mapping) -> dict[str, int]:
    start = f"{address_of(memory.buf):x}-"
    fields: dict[str, int] = {}
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0]:
            inside = line.startswith(start)
        elif inside and line.endswith(" kB"):
            fields[line.split(":")[0]] = int(line.split()[1])
    return fields


def test_populate_brings_in_every_page(tmp_path: Path) -> None:
    size = 64 * PAGE_SIZE
    with Mapping.create(size=size) as lazy, Mapping.create(size=size, populate=True) as eager:
        assert resident(lazy) == 0
        assert resident(eager) == size
        lazy.advise(Advice.POPULATE_WRITE, PAGE_SIZE, 2 * PAGE_SIZE)
        assert resident(lazy) == 2 * PAGE_SIZE
    with Mapping.create(size=size, shared=False, populate=True) as private:
        assert resident(private) == size
        private.buf[0] = 1
        private.advise(Advice.DONTNEED)
        assert resident(private) == 0
        assert private.buf[0] == 0
    (tmp_path / "file").write_bytes(bytes(size))
    with Mapping.open(tmp_path / "file", read_only=True, populate=True) as reader:
        assert resident(reader) == size


def test_advice_that_the_memory_does_not_take_is_an_error() -> None:
    with Mapping.create(size=2 * PAGE_SIZE) as memory:
        for advice in (Advice.RANDOM, Advice.SEQUENTIAL, Advice.WILLNEED, Advice.DONTDUMP, Advice.NORMAL):
            memory.advise(advice)
        memory.advise(Advice.NORMAL, 2 * PAGE_SIZE)
        with pytest.raises(UnsupportedError, match="does not know WIPEONFORK"):
            memory.advise(Advice.WIPEONFORK)
        with pytest.raises(ValueError, match="multiple of the page size"):
            memory.advise(Advice.NORMAL, 1)
        with pytest.raises(ValueError, match="10"):
            memory.advise(10)  # MADV_DONTFORK: a child that touched the memory would crash


def test_a_forked_child_finds_what_was_to_be_wiped_wiped() -> None:
    with Mapping.create(size=PAGE_SIZE, shared=False) as memory:
        memory.buf[0] = 1
        memory.advise(Advice.WIPEONFORK)

        def look() -> None:
            assert memory.buf[0] == 0

        assert in_fork(look) == 0
        assert memory.buf[0] == 1


def test_locked_pages_stay_and_the_limit_is_named(spawn: Spawn) -> None:
    with Mapping.create(size=8 * PAGE_SIZE) as memory:
        before = locked()
        memory.lock(PAGE_SIZE + 5, PAGE_SIZE)
        memory.lock(PAGE_SIZE + 5, PAGE_SIZE)
        assert locked() - before == 2 * PAGE_SIZE
        memory.unlock()
        assert locked() == before
        memory.lock()
        assert smaps(memory)["Locked"] << 10 == 8 * PAGE_SIZE
        memory.unlock()
        memory.lock(on_fault=True)
        memory.unlock()
        assert smaps(memory)["Locked"] == 0
    assert spawn(lock_beyond_the_limit).result() == [
        ("LimitError", errno.ENOMEM, True),
        ("AccessError", errno.EPERM, True),
    ]


def locked() -> int:
    """Bytes that this process has locked."""
    return int(re.findall(r"VmLck:\s*(\d+)", Path("/proc/self/status").read_text())[0]) << 10


def lock_beyond_the_limit() -> list[object]:
    outcomes: list[object] = []
    become_nobody()  # root's CAP_IPC_LOCK knows no limit
    with Mapping.create(size=64 * PAGE_SIZE) as memory:
        for limit in (8 * PAGE_SIZE, 0):
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
            try:
                memory.lock()
            except SyscallError as error:
                outcomes.append((type(error).__name__, error.errno, "RLIMIT_MEMLOCK" in str(error)))
    return outcomes


# --- huge pages -------------------------------------------------------------------------------------------------------


def free_huge_pages() -> int:
    return int(Path(f"/sys/kernel/mm/hugepages/hugepages-{HUGE >> 10}kB/free_hugepages").read_text())


@pytest.mark.skipif(not HUGE, reason="this machine has pages of one size")
@pytest.mark.parametrize("shared", [True, False])
def test_huge_pages_are_had_or_the_error_says_what_to_raise(shared: bool) -> None:
    """Whether there are any is the administrator's choice: both outcomes are right, and each is checked."""
    if free_huge_pages() == 0:
        with pytest.raises(LimitError, match=rf"free pages of {HUGE} bytes: 0; raise sysctl vm\.nr_hugepages"):
            Mapping.create(size=HUGE, shared=shared, page_size=HUGE)
        return
    with Mapping.create(size=HUGE, shared=shared, page_size=HUGE) as memory:
        assert memory.page_size == HUGE
        memory.buf[HUGE - 1] = 1
        assert smaps(memory)["KernelPageSize"] << 10 == HUGE
        with pytest.raises(ValueError, match="multiple of the page size"):
            memory.resize(HUGE + 1)
        if not shared:
            with pytest.raises(UnsupportedError):
                memory.resize(2 * HUGE)


def test_page_sizes() -> None:
    assert page_sizes()[0] == PAGE_SIZE == mmap.PAGESIZE
    assert list(page_sizes()) == sorted(set(page_sizes()))
    with Mapping.create(size=PAGE_SIZE, page_size=PAGE_SIZE) as memory:
        assert memory.page_size == PAGE_SIZE
        memory.advise(Advice.HUGEPAGE)  # what is to be had without a pool
    with pytest.raises(ValueError, match=r"page_size must be one of page_sizes\(\)"):
        Mapping.create(size=PAGE_SIZE, page_size=PAGE_SIZE - 1)
    if HUGE:
        with pytest.raises(ValueError, match="size must be a multiple"):
            Mapping.create(size=HUGE + 1, page_size=HUGE)
        with pytest.raises(ValueError, match="page_size is for memory of no file"):
            Mapping.create("/tmp/ipckit-never", size=HUGE, page_size=HUGE)


# --- killed -----------------------------------------------------------------------------------------------------------


def create_until(path: str, event: str) -> None:
    before_event(event)
    Mapping.create(path, size=3 * PAGE_SIZE)


@pytest.mark.parametrize(("event", "named"), [("os.link", False), ("mmap.__new__", True)])
def test_a_creator_that_is_killed_leaves_nothing_or_a_whole_file(
    event: str, named: bool, spawn: Spawn, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    creator = spawn(create_until, str(path), event)
    creator.wait_reached(HERE)
    creator.kill()
    creator.join()
    assert os.listdir(tmp_path) == (["file"] if named else [])
    with Mapping.open_or_create(path, size=3 * PAGE_SIZE) as memory:
        assert bytes(memory.buf) == bytes(3 * PAGE_SIZE)


def hold(memory: Mapping) -> None:
    memory.buf[:4] = b"half"
    memory.lock()
    reached("holding")
    pause("never")


def test_what_a_killed_holder_wrote_is_there(spawn: Spawn, tmp_path: Path) -> None:
    for path in (tmp_path / "file", None):
        with Mapping.create(path, size=PAGE_SIZE) as memory:
            holder = spawn(hold, memory)
            holder.wait_reached("holding")
            holder.kill()
            holder.join()
            assert bytes(memory.buf[:5]) == b"half\0"
            memory.resize(2 * PAGE_SIZE)


def resize_until_mapped(memory: Mapping) -> None:
    before_event("mmap.__new__")
    memory.resize(2 * PAGE_SIZE)


def test_what_a_process_has_resized_is_there_when_it_is_killed_before_it_maps_that(
    spawn: Spawn, tmp_path: Path
) -> None:
    with Mapping.create(tmp_path / "file", size=PAGE_SIZE) as memory:
        memory.buf[0] = 1
        victim = spawn(resize_until_mapped, memory)
        victim.wait_reached(HERE)
        victim.kill()
        victim.join()
        assert memory.refresh() == 2 * PAGE_SIZE
        assert (memory.buf[0], memory.buf[PAGE_SIZE]) == (1, 0)


def test_a_mapping_of_a_memfd_outlives_its_descriptor() -> None:
    with Memfd.create(size=10) as memfd:
        memory = memfd.map()
    with memory:
        memory.buf[0] = 1
        memory.resize(20)
        assert memory.buf[0] == 1
