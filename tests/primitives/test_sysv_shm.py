"""sysv.SharedMemory: creation, rights, limits, status, removal: shmget(2), shmctl(2)."""

from __future__ import annotations

import ctypes
import errno
import os
import pickle
import resource
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sysv_ipc

from ipckit._native import lib
from ipckit.errors import AccessError, AlreadyExistsError, LimitError, NotFoundError, RemovedError
from ipckit.mapping import PAGE_SIZE, page_sizes
from ipckit.sysv import SegmentStatus, SharedMemory
from ipckit.sysv.key import hashed
from ipckit.testing import pause, reached
from tests.contract.tools import in_fork, let_go
from tests.nobody import NOBODY, become_nobody
from tests.rights import needs_huge_pages, needs_sysctls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.testing import Spawn

CLONE_NEWIPC = 0x08000000
SIZE = 5000
HUGE = next(iter(page_sizes()[1:]), 0)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def segment() -> Iterator[SharedMemory]:
    with SharedMemory.create(size=SIZE, remove_on_close=True) as made:
        yield made


@pytest.fixture
def key() -> int:
    return 0x1BB00000 + os.getpid() % 0x10000


def outcome(use: Any) -> str:
    try:
        use()
    except Exception as error:
        return f"{type(error).__name__} {getattr(error, 'errno', '')}".rstrip()
    return "done"


# --- creation ---------------------------------------------------------------------------------------------------------


def test_a_new_segment_is_zeros_of_exactly_the_size_that_was_asked_for(segment: SharedMemory) -> None:
    assert segment.size == segment.stat().size == SIZE
    with segment.attach() as memory:
        assert memory.size == len(memory.buf) == SIZE
        assert bytes(memory.buf) == bytes(SIZE)
    with SharedMemory.open_id(segment.id) as other:
        assert other.size == SIZE


def test_a_handle_by_key_by_number_and_by_pickle_is_of_the_same_segment(key: int) -> None:
    with SharedMemory.create(key, size=SIZE, remove_on_close=True) as segment:
        assert (segment.key, segment.name, segment.read_only) == (key, None, False)
        assert repr(segment) == f"<SharedMemory key={key:#010x} id={segment.id} size={SIZE}>"
        for other in (
            SharedMemory.open(key),
            SharedMemory.open_id(segment.id),
            SharedMemory.open_or_create(key, size=SIZE),
            pickle.loads(pickle.dumps(segment)),
        ):
            assert (other.id, other.key, other.size) == (segment.id, key, SIZE)
            other.close()
        with pytest.raises(AlreadyExistsError):
            SharedMemory.create(key, size=SIZE)
    with pytest.raises(NotFoundError):
        SharedMemory.open(key)


def test_what_is_there_may_be_larger_than_was_asked_for_and_not_smaller(key: int) -> None:
    with SharedMemory.create(key, size=SIZE, remove_on_close=True) as segment:
        for size in (1, SIZE):
            with SharedMemory.open_or_create(key, size=size) as other:
                assert (other.id, other.size) == (segment.id, SIZE)
        with pytest.raises(ValueError, match="size must be at most that of the existing segment, 5000, not 5001"):
            SharedMemory.open_or_create(key, size=SIZE + 1)
        libc = ctypes.CDLL(None, use_errno=True)  # as the kernel itself has it
        assert [libc.shmget(key, size, 0) for size in (0, 1, SIZE)] == [segment.id] * 3
        assert libc.shmget(key, SIZE + 1, 0) == -1
        assert ctypes.get_errno() == errno.EINVAL


@pytest.mark.parametrize("size", [0, -1, 1 << 63, 1 << 64, True, 4096.0, "4096", None])
def test_bad_sizes_are_refused(size: Any) -> None:
    for make in (SharedMemory.create, SharedMemory.open_or_create):
        with pytest.raises((ValueError, TypeError), match="size must be"):
            make("/ipckit-test-bad-size", size=size)
    with pytest.raises(NotFoundError):
        SharedMemory.open("/ipckit-test-bad-size")


def test_a_refused_creation_leaves_nothing(key: int) -> None:
    refused = f"/ipckit-test-refused-{os.getpid()}"
    for name in (key, refused):
        with pytest.raises(LimitError, match=r"shmget: .*has not so much memory free") as caught:
            SharedMemory.create(name, size=1 << 55)
        assert caught.value.errno == errno.ENOMEM
        with pytest.raises(NotFoundError):
            SharedMemory.open(name)
    assert not list(Path("/dev/shm").glob(f"ipckit-sysv.*.shm.{hashed(refused):08x}.*"))


def beyond_the_limits(what: str, value: int) -> list[str]:
    assert ctypes.CDLL(None).unshare(CLONE_NEWIPC) == 0
    Path(f"/proc/sys/kernel/{what}").write_text(str(value))
    said = []
    with SharedMemory.create(size=PAGE_SIZE, remove_on_close=True):
        for key in (None, 5, "/ipckit-test-limit"):
            try:
                SharedMemory.create(key, size=PAGE_SIZE + 1)
            except (LimitError, ValueError) as error:
                said.append(str(error))
    return said


@needs_sysctls
def test_limits_are_errors_that_name_the_sysctl() -> None:
    for what, value in (("shmmni", 1), ("shmall", 1)):
        for said in in_fork(lambda what=what, value=value: beyond_the_limits(what, value)):
            assert "shmget: No space left on device (raise sysctl kernel.shmmni (segments) or kernel.shmall" in said
    for said in in_fork(lambda: beyond_the_limits("shmmax", PAGE_SIZE)):
        assert said == f"size must be 1 to {PAGE_SIZE} (bytes; sysctl kernel.shmmax), not {PAGE_SIZE + 1}"


def free_huge_pages() -> int:
    return int(Path(f"/sys/kernel/mm/hugepages/hugepages-{HUGE >> 10}kB/free_hugepages").read_text())


@needs_huge_pages
@pytest.mark.skipif(not HUGE, reason="this machine has pages of one size")
def test_huge_pages_are_had_or_the_error_says_what_to_raise() -> None:
    if free_huge_pages() == 0:
        with pytest.raises(LimitError, match=rf"free pages of {HUGE} bytes: 0; raise sysctl vm\.nr_hugepages"):
            SharedMemory.create(size=HUGE, page_size=HUGE)
        return
    with SharedMemory.create(size=HUGE, page_size=HUGE, remove_on_close=True) as segment:
        for _ in range(20):  # wherever there is room
            with segment.attach() as memory, segment.attach(read_only=True) as other:
                assert (memory.page_size, other.size) == (HUGE, HUGE)
                memory.buf[HUGE - 1] = 7
                assert other.buf[HUGE - 1] == 7
    assert segment_of_a_size_that_is_no_multiple() == ["UnsupportedError 95"] * 20


def segment_of_a_size_that_is_no_multiple() -> list[str]:
    number = ctypes.CDLL(None).shmget(0, SIZE, 0o1600 | 0o4000)
    assert number >= 0
    with SharedMemory.open_id(number) as odd:
        outcomes = [outcome(odd.attach) for _ in range(20)]
        odd.remove()
    return outcomes


def huge_as_nobody() -> str:
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
    become_nobody()
    with pytest.raises(AccessError) as caught:
        SharedMemory.create(size=HUGE, page_size=HUGE)
    return str(caught.value)


@needs_root
@pytest.mark.skipif(not HUGE, reason="this machine has pages of one size")
def test_huge_pages_take_a_right() -> None:
    assert in_fork(huge_as_nobody).startswith(
        "[Errno 1] shmget: Operation not permitted (huge pages take CAP_IPC_LOCK, or the group of sysctl vm.hugetlb_shm"
    )


def test_page_sizes_that_are_none() -> None:
    with pytest.raises(ValueError, match=r"page_size must be one of page_sizes\(\)"):
        SharedMemory.create(size=SIZE, page_size=3000)
    if HUGE:
        with pytest.raises(ValueError, match="size must be a multiple of the page size"):
            SharedMemory.create(size=HUGE + 1, page_size=HUGE)


# --- status and rights ------------------------------------------------------------------------------------------------


def attach_and_wait(segment: SharedMemory) -> None:
    with segment.attach():
        reached("attached")
        pause("detach")


def test_status_tells_who_did_what_when(segment: SharedMemory, spawn: Spawn) -> None:
    before = segment.stat()
    user, group = os.geteuid(), os.getegid()
    assert before == SegmentStatus(
        0,
        user,
        group,
        user,
        group,
        0o600,
        SIZE,
        0,
        os.getpid(),
        0,
        0,
        0,
        before.change_time,
        locked=False,
        removed=False,
    )
    assert abs(before.change_time - time.time()) < 100
    child = spawn(attach_and_wait, segment)
    child.wait_reached("attached")
    during = segment.stat()
    assert (during.attached, during.last_pid, during.creator_pid) == (1, child.pid, os.getpid())
    assert during.last_attach_time >= before.change_time
    child.resume("detach")
    child.join()
    after = segment.stat()
    assert (after.attached, after.last_pid) == (0, child.pid)
    assert after.last_detach_time >= during.last_attach_time


def test_set_changes_what_it_is_told_and_leaves_the_rest(segment: SharedMemory) -> None:
    before = segment.stat()
    data = pickle.dumps(segment)
    segment.set(mode=0o640)
    segment.set(uid=NOBODY) if os.geteuid() == 0 else None
    changed = segment.stat()
    assert changed.mode == 0o640
    assert changed.uid == (NOBODY if os.geteuid() == 0 else before.uid)
    assert (changed.gid, changed.creator_uid, changed.size) == (before.gid, before.creator_uid, SIZE)
    for bad in ({"mode": 0o1000}, {"uid": -1}, {"gid": 1 << 32}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            segment.set(**bad)
    pickle.loads(pickle.dumps(segment)).close()
    if changed.change_time != before.change_time:
        with pytest.raises(NotFoundError, match="changed"):
            pickle.loads(data)


def what_nobody_may(number: int, key: int) -> list[str]:
    become_nobody()
    with SharedMemory.open_id(number) as found:
        return [
            outcome(lambda: SharedMemory.open(key).close()),
            outcome(lambda: SharedMemory.open(key, read_only=True).close()),
            outcome(lambda: found.attach().close()),
            outcome(lambda: found.attach(read_only=True).close()),
            outcome(found.stat),
            outcome(lambda: found.set(mode=0o666)),
            outcome(found.lock),
            outcome(found.remove),
        ]


@needs_root
def test_the_mode_says_who_may_read_write_and_remove(key: int) -> None:
    no, never = f"AccessError {errno.EACCES}", f"AccessError {errno.EPERM}"
    for mode, expected in (
        (0o600, [no] * 6),
        (0o604, [no, "done", no, "done", "done", never]),
        (0o602, [no] * 6),
        (0o606, [*["done"] * 5, never]),
    ):
        with SharedMemory.create(key, size=SIZE, mode=mode, remove_on_close=True) as segment:
            outcomes = in_fork(lambda segment=segment: what_nobody_may(segment.id, key))
            assert outcomes == [*expected, never, never], f"{mode:o}"


@needs_root
def test_a_refused_attachment_says_what_would_be_granted(key: int) -> None:
    def as_nobody() -> str:
        become_nobody()
        with SharedMemory.open_id(segment.id) as found, pytest.raises(AccessError) as caught:
            found.attach()
        return str(caught.value)

    with SharedMemory.create(key, size=SIZE, mode=0o644, remove_on_close=True) as segment:
        assert "shmat: Permission denied (attach(read_only=True) asks for less)" in in_fork(as_nobody)


def test_locking_is_shown_in_the_status(segment: SharedMemory) -> None:
    for _ in range(2):
        segment.lock()
        assert segment.stat().locked
    segment.unlock()
    assert not segment.stat().locked


def lock_as_nobody(allowed: int) -> str:
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (allowed, allowed))
    become_nobody()
    with SharedMemory.create(size=3 * PAGE_SIZE, remove_on_close=True) as segment:
        try:
            segment.lock()
        except (AccessError, LimitError) as error:
            return str(error)
        segment.unlock()
        return "done"


@needs_root
def test_locking_is_bounded_by_the_limit_of_the_process() -> None:
    assert in_fork(lambda: lock_as_nobody(3 * PAGE_SIZE)) == "done"
    assert in_fork(lambda: lock_as_nobody(PAGE_SIZE)).startswith(
        "[Errno 12] shmctl: Cannot allocate memory (raise RLIMIT_MEMLOCK (ulimit -l))"
    )
    assert in_fork(lambda: lock_as_nobody(0)).startswith("[Errno 1] shmctl: Operation not permitted")


# --- removal ----------------------------------------------------------------------------------------------------------


def test_removed_while_attached_it_loses_its_key_and_lives_until_the_last_detaches() -> None:
    name = f"/ipckit-test-removed-{os.getpid()}"
    segment = SharedMemory.create(name, size=SIZE)
    memory = segment.attach()
    memory.buf[:4] = b"here"
    segment.remove()
    status = segment.stat()
    assert (status.removed, status.key, status.attached) == (True, 0, 1)
    with pytest.raises(NotFoundError):
        SharedMemory.open(name)
    with SharedMemory.create(name, size=10, remove_on_close=True) as successor:
        assert successor.id != segment.id
        with successor.attach() as other:
            assert bytes(other.buf[:4]) == bytes(4)
    assert bytes(memory.buf[:4]) == b"here"
    with segment.attach() as again, SharedMemory.open_id(segment.id) as found:  # Linux still allows it
        assert bytes(again.buf[:4]) == b"here"
        assert found.stat().attached == 2
    for remove in (segment.remove, lambda: SharedMemory.remove_id(segment.id)):
        with pytest.raises(NotFoundError):
            remove()
    memory.close()
    for use in (segment.stat, segment.attach, segment.lock, lambda: segment.set(mode=0o600)):
        with pytest.raises(RemovedError):
            use()
    assert segment.size == SIZE
    segment.close()


def test_a_private_segment_is_removed_once() -> None:
    with SharedMemory.create(size=SIZE) as segment, segment.attach():
        segment.remove()
        with pytest.raises(NotFoundError):
            segment.remove()


def test_remove_on_close_leaves_attachments() -> None:
    with SharedMemory.create(size=SIZE, remove_on_close=True) as segment:
        memory = segment.attach()
    memory.buf[SIZE - 1] = 5
    with pickle.loads(pickle.dumps(memory)) as other:
        assert other.buf[SIZE - 1] == 5
    memory.close()


def test_to_let_go_of_the_last_attachment_removes_nothing(segment: SharedMemory) -> None:
    with segment.attach() as memory:
        memory.buf[0] = 9
    assert segment.stat().attached == 0
    with segment.attach() as memory:
        assert memory.buf[0] == 9


# --- deaths -----------------------------------------------------------------------------------------------------------


def write_and_die(segment: SharedMemory) -> None:
    memory = segment.attach()
    memory.buf[:4] = b"left"
    reached("written")
    signal.pause()


def test_what_a_killed_process_wrote_is_there_and_its_attachment_is_gone(segment: SharedMemory, spawn: Spawn) -> None:
    child = spawn(write_and_die, segment)
    child.wait_reached("written")
    assert segment.stat().attached == 1
    child.kill()
    assert child.join() == -signal.SIGKILL
    let_go(segment)
    assert segment.stat().attached == 0
    with segment.attach(read_only=True) as memory:
        assert bytes(memory.buf[:4]) == b"left"


def test_the_death_of_the_last_that_has_a_removed_segment_frees_it(spawn: Spawn) -> None:
    segment = SharedMemory.create(size=SIZE)
    child = spawn(write_and_die, segment)
    child.wait_reached("written")
    segment.remove()
    assert segment.stat().attached == 1
    child.kill()
    child.join()
    with pytest.raises(RemovedError):
        let_go(segment)
        segment.stat()
    segment.close()


def make_and_stop(name: str, when: str) -> None:
    """Create the segment of *name*, and stand still before or after the system call."""

    def make() -> int:
        if when == "before":
            pause("here")
        number = lib.ipk_sysv_shm_make(hashed(name), SIZE, 0o600, 0)
        pause("here")
        return number

    SharedMemory._kind.registry.make(name, hashed(name), make)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_creator_that_is_killed_leaves_a_whole_segment_or_none(when: str, spawn: Spawn) -> None:
    name = f"/ipckit-test-killed-{os.getpid()}-{when}"
    child = spawn(make_and_stop, name, when)
    child.wait_reached("here")
    child.kill()
    assert child.join() == -signal.SIGKILL
    with SharedMemory.open_or_create(name, size=SIZE) as segment, segment.attach() as memory:
        assert memory.size == SIZE
        segment.remove()
    assert not list(Path("/dev/shm").glob(f"ipckit-sysv.*.shm.{hashed(name):08x}.*"))


# --- another package --------------------------------------------------------------------------------------------------


def test_the_sysv_ipc_package_uses_the_same_segment(key: int) -> None:
    with SharedMemory.create(key, size=SIZE, remove_on_close=True) as segment, segment.attach() as memory:
        theirs = sysv_ipc.SharedMemory(key)
        theirs.write(b"theirs")
        assert bytes(memory.buf[:6]) == b"theirs"
        memory.buf[:4] = b"ours"
        assert theirs.read(6) == b"oursrs"
        assert segment.stat().attached == theirs.number_attached == 2
        theirs.detach()
