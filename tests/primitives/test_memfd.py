"""Memfd: seals, sizes, hand-over."""

from __future__ import annotations

import ctypes
import errno
import os
import pickle
import subprocess
from contextlib import suppress
from ctypes.util import find_library
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipckit import sockets
from ipckit.errors import AccessError, BusyError, ClosedError, LimitError, NotFoundError, UnsupportedError
from ipckit.mapping import page_sizes
from ipckit.memfd import NAME_MAX, Memfd, Seal
from ipckit.testing import pause, reached

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

PAGE = os.sysconf("SC_PAGESIZE")
EVERY = Seal.SEAL | Seal.SHRINK | Seal.GROW | Seal.WRITE


@pytest.fixture
def memfd() -> Iterator[Memfd]:
    with Memfd.create("test", size=PAGE) as made:
        yield made


def has_noexec_seal() -> bool:
    with Memfd.create() as probe:
        return Seal.EXEC in probe.seals


needs_noexec = pytest.mark.skipif(not has_noexec_seal(), reason="MFD_NOEXEC_SEAL came with Linux 6.3")
NOTHING = Seal.EXEC if has_noexec_seal() else Seal(0)  # what a new one has


# --- making one -------------------------------------------------------------------------------------------------------


def test_a_new_one_is_zeros_and_reserved(memfd: Memfd) -> None:
    assert memfd.size == PAGE
    assert memfd.read() == bytes(PAGE)
    assert os.fstat(memfd.fileno()).st_blocks * 512 == PAGE
    assert memfd.name == "test"
    assert memfd.page_size == PAGE
    assert repr(memfd) == f"<Memfd 'test' size={PAGE} fd={memfd.fileno()}>"
    assert not os.get_inheritable(memfd.fileno())
    with Memfd.create() as empty:
        assert empty.size == 0
        with pytest.raises(ValueError, match="size must be at most 0"):
            empty.map()


def test_names_need_not_be_unique_and_have_a_longest() -> None:
    for name in ("n" * NAME_MAX, "", "a/b", "\u00fc" * (NAME_MAX // 2), "x (deleted)"):
        with Memfd.create(name) as one, Memfd.create(name) as other:
            assert one.name == other.name == name
    for name in ("n" * (NAME_MAX + 1), "\u00fc" * (NAME_MAX // 2 + 1), "a\0b"):
        with pytest.raises(ValueError, match=f"at most {NAME_MAX} bytes"):
            Memfd.create(name)
    for name in (b"bytes", 5, None):
        with pytest.raises(TypeError, match="name must be a str"):
            Memfd.create(name)


@pytest.mark.parametrize("mode", [0o600, 0o666, 0o640, 0o000])
def test_the_mode_is_exact_whatever_the_umask(mode: int) -> None:
    old = os.umask(0o777)
    try:
        with Memfd.create(mode=mode) as made:
            assert os.fstat(made.fileno()).st_mode & 0o7777 == mode
    finally:
        os.umask(old)


@needs_noexec
def test_it_can_be_executed_only_on_request() -> None:
    with Memfd.create(mode=0o666) as data, Memfd.create(mode=0o700, executable=True) as program:
        assert data.seals == Seal.EXEC
        assert program.seals == Seal(0)
        for made in (data, program):
            made.write(Path("/bin/true").read_bytes())
        with pytest.raises(PermissionError):
            os.fchmod(data.fileno(), 0o777)
        with pytest.raises(PermissionError):
            subprocess.run([data.path], check=True)
        os.fchmod(program.fileno(), 0o500)
        with Memfd.open(program.path, read_only=True) as again:
            program.close()  # a program that is open for writing is not executed
            subprocess.run([again.path], check=True)
    with pytest.raises(ValueError, match="executable=True"):
        Memfd.create(mode=0o700)


def test_no_room_is_an_error() -> None:
    with pytest.raises(LimitError, match="not so much memory") as caught:
        Memfd.create(size=1 << 62)
    assert caught.value.errno == errno.ENOSPC
    with Memfd.create(size=5) as made:
        made.write(b"hello")
        with pytest.raises(LimitError):
            made.resize(1 << 62)
        assert made.read() == b"hello"
    for size in (-1, 1 << 63):
        with pytest.raises(ValueError, match="size must be 0"):
            Memfd.create(size=size)


@pytest.mark.skipif(len(page_sizes()) < 2, reason="this machine has pages of one size")
def test_huge_pages_are_had_or_the_error_says_what_to_raise() -> None:
    huge = page_sizes()[1]
    free = Path(f"/sys/kernel/mm/hugepages/hugepages-{huge >> 10}kB/free_hugepages").read_text()
    if int(free) == 0:
        with pytest.raises(LimitError, match=r"raise sysctl vm\.nr_hugepages"):
            Memfd.create(size=huge, page_size=huge)
        with Memfd.create(page_size=huge) as empty:
            assert empty.page_size == huge
            with pytest.raises(LimitError, match=r"raise sysctl vm\.nr_hugepages"):
                empty.resize(huge)
            assert empty.size == 0
            with pytest.raises(ValueError, match="multiple of the page size"):
                empty.resize(5)
        return
    with Memfd.create(size=huge, page_size=huge) as made, made.map() as memory:
        assert memory.page_size == made.page_size == huge
        memory.buf[huge - 1] = 1
        with pytest.raises(UnsupportedError, match="through a mapping"):
            made.write(b"x")


# --- seals ------------------------------------------------------------------------------------------------------------


def test_each_seal_forbids_what_it_says(memfd: Memfd) -> None:
    memfd.write(b"hello")
    memfd.add_seals(Seal.SHRINK)
    with pytest.raises(AccessError, match=r"the seal Seal\.SHRINK") as caught:
        memfd.resize(1, shrink=True)
    assert (caught.value.errno, caught.value.syscall) == (errno.EPERM, "ftruncate")
    memfd.resize(2 * PAGE)
    memfd.add_seals(Seal.GROW)
    with pytest.raises(AccessError, match=r"the seal Seal\.GROW") as caught:
        memfd.resize(3 * PAGE)
    assert (caught.value.errno, caught.value.syscall) == (errno.EPERM, "posix_fallocate")
    with pytest.raises(AccessError, match=r"the seal Seal\.GROW"):
        memfd.write(b"x", 2 * PAGE)
    assert memfd.write(b"J") == 1
    memfd.add_seals(Seal.WRITE)
    with pytest.raises(AccessError, match=r"the seal Seal\.WRITE"):
        memfd.write(b"x")
    with pytest.raises(AccessError, match=r"the seal Seal\.WRITE"):
        memfd.map()
    memfd.add_seals(Seal.SEAL)
    with pytest.raises(AccessError, match=r"the seal Seal\.SEAL"):
        memfd.add_seals(Seal.GROW)
    assert memfd.seals == EVERY | NOTHING
    assert memfd.size == 2 * PAGE
    assert memfd.read(5) == b"Jello"


def test_what_is_sealed_against_writing_is_still_mapped_to_read_or_privately(memfd: Memfd) -> None:
    memfd.write(b"hello")
    memfd.add_seals(Seal.WRITE)
    with memfd.map(read_only=True) as reader, memfd.map(shared=False) as private:
        private.buf[0] = ord("J")
        assert bytes(private.buf[:5]) == b"Jello"
        assert bytes(reader.buf[:5]) == memfd.read(5) == b"hello"


def test_a_writable_mapping_keeps_the_write_seal_off(memfd: Memfd) -> None:
    with memfd.map() as memory:
        with pytest.raises(BusyError, match=r"take Seal\.FUTURE_WRITE") as caught:
            memfd.add_seals(Seal.WRITE)
        assert caught.value.errno == errno.EBUSY
        assert memfd.seals == NOTHING
        memory.buf[0] = 1
    memfd.add_seals(Seal.WRITE)
    assert Seal.WRITE in memfd.seals


def test_future_write_spares_the_mappings_that_exist(memfd: Memfd) -> None:
    with memfd.map() as memory:
        memfd.add_seals(Seal.FUTURE_WRITE)
        memory.buf[0] = 1
        for attempt in (lambda: memfd.write(b"x"), memfd.map):
            with pytest.raises(AccessError, match=r"the seal Seal\.FUTURE_WRITE"):
                attempt()
        with memfd.map(read_only=True) as reader:
            assert reader.buf[0] == 1


def test_sealing_is_refused_where_it_was_not_allowed() -> None:
    with Memfd.create(allow_sealing=False) as made, Memfd.create(allow_sealing=False, executable=True) as plain:
        assert made.seals == Seal.SEAL | NOTHING
        assert plain.seals == Seal.SEAL
        for each in (made, plain):
            with pytest.raises(AccessError, match=r"the seal Seal\.SEAL"):
                each.add_seals(Seal.SHRINK)
            each.write(b"x")
            each.resize(0, shrink=True)


def test_a_seal_that_the_kernel_does_not_know() -> None:
    with Memfd.create() as made, pytest.raises(UnsupportedError, match="does not know"):
        made.add_seals(Seal(1 << 30))


def test_segments_with_a_name_take_no_seals() -> None:
    fd = os.open("/dev/shm", os.O_TMPFILE | os.O_RDWR)
    try:
        with pytest.raises(ValueError, match="fd must be a memfd"):
            Memfd.from_fd(fd)
        os.fstat(fd)  # still open
    finally:
        os.close(fd)


# --- size and content -------------------------------------------------------------------------------------------------


def test_sizes(memfd: Memfd) -> None:
    memfd.write(b"x" * PAGE)
    with memfd.map() as memory:
        memfd.resize(3 * PAGE)
        assert (memory.size, memory.refresh()) == (PAGE, 3 * PAGE)
        assert bytes(memory.buf) == b"x" * PAGE + bytes(2 * PAGE)
        with pytest.raises(ValueError, match="shrink=True"):
            memfd.resize(0)
        memfd.resize(1, shrink=True)
        assert memory.refresh() == 1
    memfd.resize(0, shrink=True)
    assert memfd.read() == b""
    for size in (-1, 1 << 63):
        with pytest.raises(ValueError, match="size must be 0"):
            memfd.resize(size)


def test_read_and_write(memfd: Memfd) -> None:
    assert memfd.write(b"abc", PAGE - 1) == 3
    assert memfd.size == PAGE + 2
    assert memfd.read(10, PAGE - 1) == b"abc"
    assert memfd.read(offset=PAGE) == b"bc"
    assert memfd.read(0) == b""
    assert memfd.read(5, 10 * PAGE) == b""
    assert memfd.write(b"") == 0
    array = memoryview(bytearray(range(16))).cast("I")
    assert memfd.write(array) == 16
    assert memfd.read(16) == bytes(range(16))


def fill_memory() -> list[object]:
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * PAGE, 2 * PAGE))
    with Memfd.create() as made:
        try:
            made.write(bytes(3 * PAGE))
        except OSError as error:
            return [error.errno, error.completed, made.size]
    return []


def test_a_write_that_ends_in_the_middle_says_how_far_it_came(spawn: Spawn) -> None:
    assert spawn(fill_memory).result() == [errno.EFBIG, 2 * PAGE, 2 * PAGE]


# --- hand-over --------------------------------------------------------------------------------------------------------


def use(memfd: Memfd) -> tuple[str, bytes, int]:
    with memfd, memfd.map() as memory:
        memory.buf[0] = ord("J")
        return memfd.name, memfd.read(5), memfd.seals


def test_it_travels_to_a_child_and_only_there(memfd: Memfd, spawn: Spawn) -> None:
    memfd.write(b"hello")
    memfd.add_seals(Seal.SHRINK)
    assert spawn(use, memfd).result() == ("test", b"Jello", Seal.SHRINK | NOTHING)
    assert memfd.read(5) == b"Jello"
    with pytest.raises(TypeError, match="send_fds"):
        pickle.dumps(memfd)


def test_it_goes_through_a_unix_socket(memfd: Memfd) -> None:
    memfd.write(b"hello")
    memfd.add_seals(EVERY)
    one, other = sockets.unix.Stream.pair()
    with one, other:
        one.send_fds(b"x", [memfd])
        memfd.close()
        _, (fd,) = other.receive_fds()
    with Memfd.from_fd(fd) as received:
        assert received.seals == EVERY | NOTHING
        with received.map(read_only=True) as memory:
            assert bytes(memory.buf[:5]) == b"hello"


def open_by_path(path: str) -> list[object]:
    with Memfd.open(path, read_only=True) as reader, Memfd.open(path) as writer:
        writer.write(b"J")
        outcomes: list[object] = [reader.read(5)]
        for attempt in (lambda: reader.write(b"x"), reader.map, lambda: reader.add_seals(Seal.GROW)):
            try:
                attempt()
            except AccessError as error:
                outcomes.append(error.errno)
    return outcomes


def test_another_process_opens_it_by_its_path_with_less_rights(memfd: Memfd, spawn: Spawn) -> None:
    memfd.write(b"hello")
    assert spawn(open_by_path, memfd.path).result() == [b"Jello", errno.EACCES, errno.EACCES, errno.EPERM]
    path = memfd.path
    memfd.close()
    with pytest.raises(NotFoundError):
        Memfd.open(path)
    with pytest.raises(ValueError, match="fd must be a memfd"):
        Memfd.open("/dev/null")
    for use in (lambda: memfd.path, lambda: memfd.name, memfd.map):
        with pytest.raises(ClosedError):
            use()


def test_a_program_that_is_executed_gets_it_as_a_descriptor(memfd: Memfd) -> None:
    memfd.write(b"hello")
    fd = memfd.fileno()
    run = subprocess.run(["cat", f"/proc/self/fd/{fd}"], pass_fds=[fd], capture_output=True, check=True)
    assert run.stdout.rstrip(b"\0") == b"hello"


# --- killed -----------------------------------------------------------------------------------------------------------


def hold(memfd: Memfd) -> None:
    memory = memfd.map()
    memory.buf[:4] = b"half"
    reached("holding")
    pause("never")


def seal_once_let_go(memfd: Memfd) -> None:
    """When the memory of the dead is gone: a program that looks at their /proc/PID has it a little longer."""
    while Seal.WRITE not in memfd.seals:
        with suppress(BusyError):
            memfd.add_seals(Seal.WRITE)


def test_a_killed_holder_leaves_what_it_wrote_and_its_mapping_is_gone(memfd: Memfd, spawn: Spawn) -> None:
    holder = spawn(hold, memfd)
    holder.wait_reached("holding")
    with pytest.raises(BusyError):
        memfd.add_seals(Seal.WRITE)
    holder.kill()
    holder.join()
    assert memfd.read(5) == b"half\0"
    seal_once_let_go(memfd)  # nobody has it mapped for writing any more


def create_and_wait() -> None:
    made = Memfd.create("of the dead", size=PAGE)
    reached("made")
    pause("never")
    made.close()


def test_a_killed_maker_takes_it_along_unless_somebody_has_it(spawn: Spawn, memfd: Memfd) -> None:
    maker = spawn(create_and_wait)
    maker.wait_reached("made")
    (path,) = (str(fd) for fd in Path(f"/proc/{maker.pid}/fd").iterdir() if "of the dead" in os.readlink(fd))
    with Memfd.open(path) as kept:
        maker.kill()
        maker.join()
        with pytest.raises(NotFoundError):
            Memfd.open(path)
        assert kept.read() == bytes(PAGE)


@pytest.mark.skipif(not find_library("atomic"), reason="libatomic is not installed")
def test_atomic_additions_of_three_processes_are_exact(spawn: Spawn, memfd: Memfd) -> None:
    children = [spawn(add, memfd, 5_000) for _ in range(3)]
    for child in children:
        child.result()
    with memfd.map() as memory:
        assert memory.view("q")[0] == 15_000


def add(memfd: Memfd, times: int) -> None:
    atomic = ctypes.CDLL("libatomic.so.1").__atomic_fetch_add_8
    with memfd, memfd.map() as memory:
        number = memory.structure(ctypes.c_int64)
        for _ in range(times):
            atomic(ctypes.byref(number), ctypes.c_int64(1), 5)
        del number
