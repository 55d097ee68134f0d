"""posix.SharedMemory: content, size, names, life, a full /dev/shm, rights."""

from __future__ import annotations

import array
import ctypes
import errno
import os
import pickle
import resource
import select
import signal
import subprocess
import sys
import threading
from multiprocessing import shared_memory
from typing import TYPE_CHECKING

import posix_ipc
import pytest

from ipckit import _shmfile
from ipckit._names import unique_name
from ipckit.errors import AccessError, AlreadyExistsError, ClosedError, LimitError, NotFoundError
from ipckit.features import limits
from ipckit.mapping import Mapping
from ipckit.memfd import Memfd
from ipckit.posix import Semaphore, SharedMemory
from ipckit.sysv import SemaphoreSet
from ipckit.sysv import SharedMemory as Segment
from ipckit.sysv.key import hashed
from ipckit.testing import pause, reached
from tests.nobody import become_nobody
from tests.primitives.standstill import HERE, before_event
from tests.rights import needs_namespaces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ipckit.testing import Spawn

CLONE_NEWNS = 0x00020000
MS_REC_PRIVATE = 0x4000 | 0x40000
PAGE = os.sysconf("SC_PAGESIZE")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    with SharedMemory.create(size=PAGE, unlink_on_close=True) as made:
        yield made


# --- content and size -------------------------------------------------------------------------------------------------


def test_a_new_segment_is_zero_and_of_the_exact_size() -> None:
    with SharedMemory.create(size=5000, unlink_on_close=True) as memory:
        assert memory.size == memory.buf.nbytes == 5000
        assert bytes(memory.buf) == bytes(5000)
        assert os.stat("/dev/shm" + memory.name).st_size == 5000
        assert os.stat("/dev/shm" + memory.name).st_blocks * 512 >= 5000  # reserved, before anybody touched it


def test_every_handle_sees_the_same_bytes(memory: SharedMemory) -> None:
    with SharedMemory.open(memory.name) as other:
        memory.buf[:3] = b"abc"
        other.buf[3:6] = b"def"
        assert bytes(memory.buf[:6]) == bytes(other.buf[:6]) == b"abcdef"
        assert other.size == PAGE


def write_in_child(memory: SharedMemory, at: int, data: bytes) -> int:
    with memory:
        memory.buf[at : at + len(data)] = data
        return memory.size


def test_another_process_writes(memory: SharedMemory, spawn: Spawn) -> None:
    assert spawn(write_in_child, memory, PAGE - 4, b"last").result() == PAGE
    assert bytes(memory.buf[-4:]) == b"last"


def test_nothing_is_read_or_written_past_the_end(memory: SharedMemory) -> None:
    with pytest.raises(IndexError):
        memory.buf[PAGE]
    with pytest.raises(ValueError, match="different structures"):
        memory.buf[PAGE - 1 : PAGE + 1] = b"ab"
    assert bytes(memory.buf[PAGE:]) == b""


def test_read_only(memory: SharedMemory) -> None:
    memory.buf[0] = 7
    with SharedMemory.open(memory.name, read_only=True) as reader:
        assert reader.buf.readonly
        assert reader.buf[0] == 7
        with pytest.raises(TypeError, match="read-only"):
            reader.buf[0] = 1
        with pytest.raises(AccessError, match="read_only=True"):
            reader.resize(2 * PAGE)
        with pickle.loads(pickle.dumps(reader)) as again:
            assert again.buf.readonly


def test_a_forked_child_shares_the_memory(memory: SharedMemory) -> None:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            memory.buf[0] = 42
            memory.close()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert memory.buf[0] == 42
    SharedMemory.open(memory.name).close()  # the child unlinked nothing


# --- resizing ---------------------------------------------------------------------------------------------------------


def test_growth_keeps_the_content_and_adds_zeros(memory: SharedMemory) -> None:
    memory.buf[:] = b"x" * PAGE
    memory.resize(3 * PAGE + 1)
    assert memory.size == 3 * PAGE + 1
    assert bytes(memory.buf) == b"x" * PAGE + bytes(2 * PAGE + 1)


def test_other_handles_see_growth_when_they_refresh(memory: SharedMemory) -> None:
    with SharedMemory.open(memory.name) as other:
        view = other.buf
        memory.resize(2 * PAGE)
        memory.buf[PAGE] = 9
        assert other.size == PAGE
        assert os.fstat(other.fileno()).st_size == 2 * PAGE
        assert other.buf is view
        assert other.refresh() == other.size == 2 * PAGE
        assert other.buf[PAGE] == 9
        assert other.refresh() == 2 * PAGE


def test_shrinking_is_asked_for_twice(memory: SharedMemory) -> None:
    memory.resize(2 * PAGE)
    with pytest.raises(ValueError, match="shrink=True"):
        memory.resize(10)
    assert memory.size == 2 * PAGE
    memory.buf[:10] = b"0123456789"
    memory.resize(4, shrink=True)
    assert bytes(memory.buf) == b"0123"
    memory.resize(10)
    assert bytes(memory.buf) == b"0123" + bytes(6)
    memory.resize(10)
    assert memory.size == 10


def touch_after_truncation(name: str) -> int:
    with SharedMemory.open(name) as memory:
        reached("mapped")
        pause("truncated")
        return memory.buf[PAGE]


def test_a_peer_that_shrinks_kills_who_touches_what_is_gone(spawn: Spawn) -> None:
    with SharedMemory.create(size=2 * PAGE, unlink_on_close=True) as memory:
        victim = spawn(touch_after_truncation, memory.name)
        victim.wait_reached("mapped")
        memory.resize(PAGE, shrink=True)
        victim.resume("truncated")
        assert victim.join() == -signal.SIGBUS


@pytest.mark.parametrize("size", [0, -1, 1 << 63])
def test_sizes_out_of_range(memory: SharedMemory, size: int) -> None:
    with pytest.raises(ValueError, match="size must be"):
        SharedMemory.create(size=size)
    with pytest.raises(ValueError, match="size must be"):
        memory.resize(size)
    assert memory.size == PAGE


@pytest.mark.parametrize("size", [1.0, "1", None, True])
def test_sizes_of_a_wrong_type(memory: SharedMemory, size: object) -> None:
    with pytest.raises(TypeError, match="size"):
        SharedMemory.create(size=size)
    with pytest.raises(TypeError, match="size"):
        memory.resize(size)


# --- views ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["close", "resize", "refresh"])
@pytest.mark.parametrize(
    "make", [lambda buf: buf[1:3], lambda buf: buf.cast("I"), ctypes.c_char.from_buffer, memoryview]
)
def test_views_that_are_alive_refuse(memory: SharedMemory, action: str, make: object) -> None:
    with SharedMemory.open(memory.name) as other:
        view = make(other.buf)
        if action == "refresh":
            memory.resize(2 * PAGE)
        with pytest.raises(BufferError, match=f"cannot {action} '{memory.name}' while views"):
            {"close": other.close, "resize": lambda: other.resize(2 * PAGE), "refresh": other.refresh}[action]()
        assert not other.closed
        other.buf[2] = 65  # still usable, and so is the view
        assert other.size == PAGE
        assert bytes(memoryview(view).cast("B"))[:3].strip(b"\0") in (b"A", b"")
        assert os.fstat(other.fileno()).st_size == (2 * PAGE if action == "refresh" else PAGE)
        del view
        if action == "close":
            other.close()
            assert other.closed
        elif action == "resize":
            other.resize(2 * PAGE)
        assert action == "close" or other.refresh() == 2 * PAGE


def test_close_ends_the_view_itself() -> None:
    with SharedMemory.create(size=8, unlink_on_close=True) as memory:
        view = memory.buf
    with pytest.raises(ValueError, match="released"):
        view[0]


def test_a_handle_that_is_collected_leaves_its_views_alive() -> None:
    memory = SharedMemory.create(size=8)
    memory.unlink()
    view = memory.buf[2:4]
    with pytest.warns(ResourceWarning, match="unclosed <SharedMemory"):
        del memory
    view[0] = 1
    assert bytes(view) == b"\1\0"


# --- names and life cycle ---------------------------------------------------------------------------------------------


def test_create_is_exclusive_and_open_is_not(memory: SharedMemory) -> None:
    memory.buf[0] = 1
    with pytest.raises(AlreadyExistsError, match=memory.name):
        SharedMemory.create(memory.name, size=1)
    assert memory.buf[0] == 1
    assert os.fstat(memory.fileno()).st_size == PAGE
    with pytest.raises(NotFoundError, match=r"shm_open: No such file.*'/ipckit-none'"):
        SharedMemory.open("/ipckit-none")
    with pytest.raises(NotFoundError, match="shm_unlink"):
        SharedMemory.unlink_name("/ipckit-none")


def test_open_or_create(memory: SharedMemory) -> None:
    with SharedMemory.open_or_create(memory.name, size=5 * PAGE) as other:
        assert other.size == PAGE
    with SharedMemory.open_or_create(memory.name + "-new", size=3, unlink_on_close=True) as other:
        assert other.size == 3


def test_handles_outlive_the_name() -> None:
    with SharedMemory.create(size=4) as memory:
        memory.unlink()
        memory.buf[:] = b"abcd"
        memory.resize(8)
        assert bytes(memory.buf) == b"abcd\0\0\0\0"
        with pytest.raises(NotFoundError):
            memory.unlink()


@pytest.mark.parametrize("name", ["", "x", "/", "/a/b", "/a\0b", "/.", "/..", "/" + "n" * 256])
def test_bad_names(name: str) -> None:
    for verb in (lambda name: SharedMemory.create(name, size=1), SharedMemory.open, SharedMemory.unlink_name):
        with pytest.raises(ValueError, match="name"):
            verb(name)


def test_the_longest_name_and_one_that_is_not_ascii() -> None:
    own = f"{unique_name()}-"
    for name in (own.ljust(256, "n"), f"{own}sp\N{LATIN SMALL LETTER A WITH DIAERESIS} ce"):
        with SharedMemory.create(name, size=1, unlink_on_close=True), SharedMemory.open(name) as other:
            assert other.name == name


@pytest.mark.parametrize("mode", [0o600, 0o666, 0o640, 0o000])
def test_the_mode_is_exact_whatever_the_umask(mode: int) -> None:
    old = os.umask(0o777)
    try:
        with SharedMemory.create(size=1, mode=mode, unlink_on_close=True) as memory:
            assert os.fstat(memory.fileno()).st_mode & 0o7777 == mode
    finally:
        os.umask(old)


def test_the_descriptor_is_close_on_exec_and_not_pollable(memory: SharedMemory) -> None:
    assert not os.get_inheritable(memory.fileno())
    assert not memory.pollable
    with select.epoll() as poller, pytest.raises(PermissionError):
        poller.register(memory, select.EPOLLIN)
    with SharedMemory.open(memory.name) as other:
        assert not os.get_inheritable(other.fileno())


def test_everything_is_closed_after_close() -> None:
    memory = SharedMemory.create(size=1, unlink_on_close=True)
    assert repr(memory) == f"<SharedMemory {memory.name!r} size=1 fd={memory.fileno()}>"
    memory.close()
    memory.close()
    assert repr(memory) == "<SharedMemory closed>"
    for use in (
        lambda: memory.buf,
        lambda: memory.size,
        memory.fileno,
        memory.refresh,
        lambda: memory.resize(5),
        lambda: pickle.dumps(memory),
    ):
        with pytest.raises(ClosedError):
            use()


def test_a_pickle_does_not_open_another_segment_of_that_name() -> None:
    with SharedMemory.create(size=1) as memory:
        packed = pickle.dumps(memory)
        memory.unlink()
        with pytest.raises(NotFoundError):
            pickle.loads(packed)
        with (
            SharedMemory.create(memory.name, size=1, unlink_on_close=True),
            pytest.raises(NotFoundError, match="belongs to another"),
        ):
            pickle.loads(packed)


def test_what_only_attached_unlinks_nothing(memory: SharedMemory) -> None:
    program = f"from ipckit.posix import SharedMemory; SharedMemory.open({memory.name!r}).buf[0] = 5"
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True, cwd=os.getcwd())
    assert memory.buf[0] == 5
    SharedMemory.open(memory.name).close()


def test_segments_of_other_programs(memory: SharedMemory) -> None:
    foreign = posix_ipc.SharedMemory(memory.name)
    assert foreign.size == PAGE
    foreign.close_fd()
    theirs = shared_memory.SharedMemory(create=True, size=PAGE)
    try:
        theirs.buf[:3] = b"std"
        with SharedMemory.open("/" + theirs.name) as ours:
            assert bytes(ours.buf[:3]) == b"std"
    finally:
        theirs.close()
        theirs.unlink()


def test_a_segment_without_a_size_is_empty_until_it_has_one(memory: SharedMemory) -> None:
    foreign = posix_ipc.SharedMemory(memory.name + "-raw", posix_ipc.O_CREX)
    try:
        with SharedMemory.open(foreign.name) as ours, SharedMemory.open(foreign.name, read_only=True) as reader:
            assert (ours.size, reader.size, len(ours.buf)) == (0, 0, 0)
            assert ours.refresh() == 0
            os.ftruncate(foreign.fd, 10)
            assert ours.refresh() == reader.refresh() == 10
            ours.buf[9] = 1
            assert reader.buf[9] == 1
    finally:
        foreign.close_fd()
        foreign.unlink()


# --- atomic creation, full file system, rights ------------------------------------------------------------------------


def test_one_of_many_creators_wins_and_an_opener_never_meets_half_a_segment(memory: SharedMemory) -> None:
    name = memory.name + "-race"
    problems: list[BaseException] = []

    def make() -> None:
        for _ in range(100):
            try:
                made = SharedMemory.create(name, size=3 * PAGE)
            except AlreadyExistsError:
                continue
            made.close()
            SharedMemory.unlink_name(name)  # only its maker does

    def look() -> None:
        for _ in range(300):
            try:
                with SharedMemory.open(name) as found:
                    assert found.size == 3 * PAGE
            except NotFoundError:
                pass
            except BaseException as error:
                problems.append(error)

    threads = [threading.Thread(target=target) for target in (make, make, look)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert not os.path.exists("/dev/shm" + name)


def test_creation_without_o_tmpfile_keeps_its_promises(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """The way for file systems that refuse O_TMPFILE, taken by calling it: none such can be mounted everywhere."""
    path = f"{tmp_path}/segment"

    def fill(fd: int) -> None:
        assert not os.path.exists(path)
        os.write(fd, b"whole")

    fd = _shmfile._publish_by_rename(path, 0o642, fill, "/segment")
    assert os.fstat(fd).st_mode & 0o777 == 0o642
    assert os.fstat(fd).st_nlink == 1
    os.close(fd)
    with pytest.raises(AlreadyExistsError):
        _shmfile._publish_by_rename(path, 0o600, lambda _: None, "/segment")
    with open(path, "rb") as file:
        assert file.read() == b"whole"

    def failing(fd: int) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        _shmfile._publish_by_rename(path + "2", 0o600, failing, "/segment2")
    with pytest.raises(KeyError):
        _shmfile.publish(path + "3", 0o600, failing, "/segment3")
    assert os.listdir(str(tmp_path)) == ["segment"]


def mount_small_shm(size: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for rc in (
        libc.unshare(CLONE_NEWNS),
        libc.mount(None, b"/", None, MS_REC_PRIVATE, None),
        libc.mount(b"tmpfs", b"/dev/shm", b"tmpfs", 0, f"size={size}".encode()),
    ):
        if rc:
            raise OSError(ctypes.get_errno(), "mount")


def create_too_much() -> list[object]:
    mount_small_shm("1m")
    results: list[object] = []
    try:
        SharedMemory.create("/much", size=2 << 20)
    except LimitError as error:
        results.append((error.errno, error.syscall, "/dev/shm is full" in str(error)))
    results.append(os.listdir("/dev/shm"))
    with SharedMemory.create("/little", size=PAGE) as memory:
        memory.buf[0] = 1
        try:
            memory.resize(1 << 40)
        except LimitError as error:
            results.append(error.errno)
        results.append((memory.size, memory.buf[0], os.fstat(memory.fileno()).st_size))
        memory.resize(512 << 10)
        memory.buf[:] = b"x" * memory.size
        results.append(memory.size)
    return results


@needs_namespaces
def test_a_full_dev_shm_is_an_error_and_never_sigbus(spawn: Spawn) -> None:
    assert spawn(create_too_much).result() == [
        (errno.ENOSPC, "posix_fallocate", True),
        [],
        errno.ENOSPC,
        (PAGE, 1, PAGE),
        512 << 10,
    ]


def create_under_a_fast_timer() -> tuple[int, int]:
    ran = []
    signal.signal(signal.SIGALRM, lambda *_: ran.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
    with SharedMemory.create(size=128 << 20, unlink_on_close=True) as memory:
        signal.setitimer(signal.ITIMER_REAL, 0)
        return memory.size, len(ran)


@pytest.mark.skipif((limits().shm_free or 0) < 256 << 20, reason="/dev/shm is small, as in a container")
def test_signals_do_not_keep_a_large_creation_from_its_end(spawn: Spawn) -> None:
    size, ran = spawn(create_under_a_fast_timer).result()
    assert size == 128 << 20
    assert ran >= 1


def open_as_nobody(name: str) -> list[object]:
    become_nobody()
    results: list[object] = []
    try:
        SharedMemory.open(name)
    except AccessError as error:
        results.append((error.syscall, error.errno))
    with SharedMemory.open(name, read_only=True) as memory:
        results.append(memory.buf[0])
    try:
        SharedMemory.unlink_name(name)
    except AccessError as error:
        results.append(error.syscall)
    return results


@needs_root
def test_another_user_gets_what_the_mode_gives(spawn: Spawn) -> None:
    with SharedMemory.create(size=1, mode=0o604, unlink_on_close=True) as memory:
        memory.buf[0] = 3
        assert spawn(open_as_nobody, memory.name).result() == [("shm_open", errno.EACCES), 3, "shm_unlink"]


def test_memory_counts_against_no_view_of_an_array(memory: SharedMemory) -> None:
    memory.buf[:8] = array.array("Q", [1 << 40]).tobytes()
    with memory.buf[:8].cast("Q") as numbers:
        assert numbers[0] == 1 << 40


def test_a_size_beyond_the_memory_is_refused_before_anything_is_taken() -> None:
    space = os.statvfs("/dev/shm")
    for size in (1 << 62, space.f_blocks * space.f_frsize + (1 << 30)):
        with pytest.raises(LimitError) as caught:
            SharedMemory.create(size=size)
        assert caught.value.errno == errno.ENOSPC
    with SharedMemory.create(size=4096, unlink_on_close=True) as memory:
        with pytest.raises(LimitError):
            memory.resize(1 << 62)
        assert memory.size == 4096


# --- killed -----------------------------------------------------------------------------------------------------------


def create_until(event: str, name: str) -> None:
    before_event(event)
    SharedMemory.create(name, size=3 * PAGE)


@pytest.mark.parametrize(("event", "named"), [("os.link", False), ("mmap.__new__", True)])
def test_a_creator_that_is_killed_leaves_nothing_or_a_whole_segment(
    memory: SharedMemory, event: str, named: bool, spawn: Spawn
) -> None:
    name = memory.name + "-killed"
    creator = spawn(create_until, event, name)
    creator.wait_reached(HERE)
    creator.kill()
    creator.join()
    assert os.path.exists("/dev/shm" + name) == named
    with SharedMemory.open_or_create(name, size=3 * PAGE) as found:
        assert bytes(found.buf) == bytes(3 * PAGE)
        found.unlink()


def hold(memory: SharedMemory) -> None:
    memory.buf[:4] = b"half"
    reached("holding")
    pause("never")


def test_what_a_killed_holder_wrote_is_there_and_so_is_the_name(memory: SharedMemory, spawn: Spawn) -> None:
    holder = spawn(hold, memory)
    holder.wait_reached("holding")
    holder.kill()
    holder.join()
    assert bytes(memory.buf[:5]) == b"half\0"
    memory.resize(2 * PAGE)
    with SharedMemory.open(memory.name) as again:
        assert again.size == 2 * PAGE


# --- too few descriptors ----------------------------------------------------------------------------------------------


def listed(kind: str) -> list[str]:
    """What there is of System V objects, a line each."""
    with open(f"/proc/sysvipc/{kind}", encoding="ascii") as file:
        return file.read().splitlines()[1:]


def make_with_few_descriptors(folder: str) -> list[str]:
    """With room for 0, 1, 2 ... more descriptors: each maker fails with LimitError until there are enough."""
    name = f"/ipckit-few-{os.getpid()}"
    makers = {
        "SharedMemory": lambda: SharedMemory.create(name, size=1, unlink_on_close=True),
        "Mapping of a file": lambda: Mapping.create(f"{folder}/file", size=1, unlink_on_close=True),
        "Mapping of no file": lambda: Mapping.create(size=1),
        "Memfd": lambda: Memfd.create(size=1),
        "Semaphore": lambda: Semaphore.create(name, unlink_on_close=True),
        "SemaphoreSet": lambda: SemaphoreSet.create(name, size=2, values=[1, 1], remove_on_close=True),
        "sysv.SharedMemory": lambda: Segment.create(name, size=1, remove_on_close=True),
    }
    outcomes = []
    highest = max(map(int, os.listdir("/proc/self/fd")))
    while (first_free := os.dup(0)) < highest:  # RLIMIT_NOFILE bounds the numbers: leave no gaps
        pass
    os.close(first_free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for title, make in makers.items():
        make().close()  # imports what it needs
        before = os.listdir("/proc/self/fd")
        for more in range(4):
            resource.setrlimit(resource.RLIMIT_NOFILE, (first_free + more, hard))
            try:
                make().close()
                outcome = "made"
            except LimitError as error:
                outcome = errno.errorcode[error.errno or 0]
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            left = any(map(os.path.exists, (f"/dev/shm{name}", f"/dev/shm/sem.{name[1:]}"))) or bool(os.listdir(folder))
            left |= any(hashed(name) == int(line.split()[0]) for kind in ("sem", "shm") for line in listed(kind))
            outcomes.append(f"{title} {more} {outcome}{' left a name' if left else ''}")
        if sorted(before) != sorted(os.listdir("/proc/self/fd")):
            outcomes.append(f"{title} left a descriptor")
    return outcomes


def test_too_few_descriptors_are_an_error_and_leave_nothing(spawn: Spawn, tmp_path: Path) -> None:
    outcomes = spawn(make_with_few_descriptors, str(tmp_path)).result()
    assert not [outcome for outcome in outcomes if "left" in outcome]
    assert {outcome.split()[-1] for outcome in outcomes if " 0 " in outcome} == {"EMFILE"}
    assert {outcome.split()[-1] for outcome in outcomes if " 3 " in outcome} == {"made"}
