"""sysv.SemaphoreSet: what a killed creator leaves, who completes it, limits, and handles that travel: semget(2)."""

from __future__ import annotations

import ctypes
import errno
import os
import pickle
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sysv_ipc

from ipckit._native import ffi, lib
from ipckit.errors import AccessError, AlreadyExistsError, BusyError, LimitError, NotFoundError
from ipckit.sysv import SemaphoreSet, _registry, _sem_start, sem
from ipckit.sysv.key import hashed
from ipckit.testing import pause
from tests.contract.tools import Background, in_fork
from tests.nobody import become_nobody
from tests.rights import needs_sysctls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.testing import Spawn

CLONE_NEWIPC = 0x08000000
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def lock_file(number: int) -> Path:
    return Path(f"/dev/shm/ipckit-sysv.start.{number}")


@pytest.fixture
def name() -> Iterator[str]:
    """A name that is free. Whoever asks for it before `spawn` leaves no set, also where a child is killed half-way."""
    name = f"/ipckit-test-creation-{os.getpid()}"
    yield name
    with suppress(NotFoundError):
        SemaphoreSet.remove_key(name)


def create_and_stop(name: str, size: int, where: str) -> None:
    """Create a set, and stand still after semget, or (of a large one) after its values are set."""
    if where == "made":
        sem.start = lambda *_, **__: pause("here")
    else:
        _sem_start._mark_started = lambda *_: pause("here")  # type: ignore[assignment]
    SemaphoreSet.create(name, size=size, values=[7] * size)


@pytest.mark.parametrize(("size", "where"), [(2, "made"), (1200, "made"), (1200, "set")])
def test_what_a_killed_creator_left_is_completed_by_the_next(size: int, where: str, name: str, spawn: Spawn) -> None:
    child = spawn(create_and_stop, name, size, where)
    child.wait_reached("here")
    child.kill()
    assert child.join() == -signal.SIGKILL
    with SemaphoreSet.open(name, started=False) as half:
        assert half.stat().last_op_time == 0
        assert set(half.values()) == {0 if where == "made" else 7}
    with pytest.raises(AlreadyExistsError):
        SemaphoreSet.create(name, size=size)
    with SemaphoreSet.open_or_create(name, size=size, values=[3] * size) as completed:
        assert set(completed.values()) == {3}
        completed.op([(0, -1)])
        assert not lock_file(completed.id).exists()
    with SemaphoreSet.open(name) as found, SemaphoreSet.open_or_create(name, size=size, values=[9] * size) as again:
        assert found.value(0) == again.value(0) == 2


def open_and_tell(name: str) -> tuple[int, ...]:
    sem._PATIENCE = 60.0
    with SemaphoreSet.open(name) as found:
        return found.values()


def test_an_opener_waits_for_the_values_of_a_living_creator(name: str, spawn: Spawn) -> None:
    creator = spawn(create_and_finish, name)
    creator.wait_reached("here")
    opener = spawn(open_and_tell, name)
    opener.wait_blocked("clock_nanosleep", "select", "pselect6")
    creator.resume("here")
    assert opener.result() == (4, 5)
    creator.join()


def create_and_finish(name: str) -> None:
    """Create a set, and stand still in the middle of giving its values."""
    give = _sem_start._give

    def slow(*arguments: Any) -> None:
        pause("here")
        give(*arguments)

    _sem_start._give = slow
    SemaphoreSet.create(name, size=2, values=[4, 5]).close()


def test_values_are_given_once_however_late_their_maker_comes(
    name: str, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    creator = spawn(create_and_finish, name)
    creator.wait_reached("here")
    monkeypatch.setattr(_registry, "_PATIENCE", 0.01)
    with pytest.raises(BusyError, match="in the middle of creating it"):
        SemaphoreSet.open_or_create(name, size=2, values=[4, 5])
    monkeypatch.setattr(_registry, "_PATIENCE", 60.0)
    other = Background(lambda: SemaphoreSet.open_or_create(name, size=2, values=[4, 5]))
    other.wait_blocked("clock_nanosleep", "select", "pselect6")
    creator.resume("here")
    creator.join()
    with other.join() as found:
        assert found.values() == (4, 5)
        found.op([(0, -4), (1, -5)])  # all zeros again, and it is not new
        SemaphoreSet.open_or_create(name, size=2, values=[4, 5]).close()
        assert found.values() == (0, 0)
        found.remove()
    assert not lock_file(found.id).exists()


def test_a_set_that_another_package_made_is_taken_as_it_is() -> None:
    key = 0x1BA00000 | os.getpid() & 0xFFFFF
    theirs = sysv_ipc.Semaphore(key, sysv_ipc.IPC_CREX, initial_value=3)
    try:
        with SemaphoreSet.open_or_create(key, values=[9]) as ours:
            assert ours.values() == (3,)
        theirs.acquire()
        with SemaphoreSet.open(key) as ours:  # its first operation says that it is complete
            assert ours.values() == (2,)
    finally:
        theirs.remove()


def test_semget_refuses_more_semaphores_than_there_are() -> None:
    key = 0x1B900000 | os.getpid() & 0xFFFFF
    with SemaphoreSet.create(key, size=3, remove_on_close=True) as three:
        assert [lib.ipk_sysv_sem_get(key, size, 0, 0) for size in (0, 2, 3, 4)] == [three.id] * 3 + [-errno.EINVAL]


def beyond_the_limits(limits: str) -> str:
    assert ctypes.CDLL(None).unshare(CLONE_NEWIPC) == 0
    Path("/proc/sys/kernel/sem").write_text(limits)
    try:
        with SemaphoreSet.create(size=4, remove_on_close=True):
            SemaphoreSet.create("/ipckit-test-limit", size=4)
    except (LimitError, ValueError) as error:
        return str(error)
    return "done"


@needs_sysctls
def test_limits_are_errors_that_name_the_sysctl() -> None:
    for limits in ("250 6 32 100", "250 32000 32 1"):  # all semaphores, sets
        assert "semget: No space left on device (raise sysctl kernel.sem" in in_fork(
            lambda limits=limits: beyond_the_limits(limits)
        )
    assert in_fork(lambda: beyond_the_limits("3 32000 32 100")) == (
        "size must be 1 to 3 (semaphores; sysctl kernel.sem), not 4"
    )
    assert in_fork(lambda: too_many_operations()) == (
        "ops must be 1 to 5 pairs (the third number of sysctl kernel.sem), not 6"
    )


def too_many_operations() -> str:
    assert ctypes.CDLL(None).unshare(CLONE_NEWIPC) == 0
    Path("/proc/sys/kernel/sem").write_text("250 32000 5 100")
    # More values than one operation holds: they are set under a lock file.
    with SemaphoreSet.create(size=4, values=[1] * 4, remove_on_close=True) as four:
        assert four.values() == (1, 1, 1, 1)
        assert four.try_op([(0, 1)] * 5)
        with pytest.raises(ValueError, match="ops must be") as caught:
            four.op([(0, 1)] * 6)
    return str(caught.value)


@needs_root
def test_a_mode_that_shuts_out_its_maker_leaves_nothing() -> None:
    def as_nobody() -> list[int]:
        become_nobody()
        with pytest.raises(AccessError, match="semop"):
            SemaphoreSet.create(key, values=[1], mode=0o400)
        return [lib.ipk_sysv_sem_get(key, 0, 0, 0)]

    key = 0x1B800000 | os.getpid() & 0xFFFFF
    assert in_fork(as_nobody) == [-errno.ENOENT]


@needs_root
def test_a_set_that_may_only_be_written_is_operated_upon_and_travels() -> None:
    def as_nobody() -> tuple[int, ...]:
        become_nobody()
        with pickle.loads(data) as found:
            found.op([(1, 5)])
            with found.member(0):
                pass
            with pytest.raises(ValueError, match="index must be that of a semaphore in the set"):
                found.op([(2, 1)])
            with pytest.raises(AccessError):
                found.values()
            with pytest.raises(AccessError):
                assert found.size
        return (1,)

    with SemaphoreSet.create(size=2, values=[1, 0], mode=0o602, remove_on_close=True) as made:
        data = pickle.dumps(made)
        assert in_fork(as_nobody) == (1,)
        assert made.values() == (1, 5)


def take(member: object) -> tuple[bool, str]:
    return member.acquire(timeout=20), repr(member)  # type: ignore[attr-defined]


def test_a_member_travels_with_its_set(spawn: Spawn) -> None:
    with SemaphoreSet.create(size=2, values=[0, 1], remove_on_close=True) as two:
        member = two.member(1, undo=True)
        assert spawn(take, member).result() == (True, repr(member))
        assert member.value == 1  # undone when the child ended
        other = pickle.loads(pickle.dumps(two.member(1)))
        assert other.try_acquire()
        assert member.value == 0
        other._set.close()


def complete(name: str) -> None:
    with SemaphoreSet.open_or_create(name, size=2, values=[4, 5]) as whole:
        assert not lock_file(whole.id).exists()
        whole.remove()


def remove_half(name: str) -> None:
    with SemaphoreSet.open(name, started=False) as half:
        half.remove()


@pytest.mark.parametrize("end", [complete, remove_half, SemaphoreSet.remove_key])
def test_the_lock_file_of_a_killed_creator_goes_with_the_set(
    end: Callable[[str], None], name: str, spawn: Spawn
) -> None:
    creator = spawn(create_and_finish, name)
    creator.wait_reached("here")
    with SemaphoreSet.open(name, started=False) as half:
        left = lock_file(half.id)
    creator.kill()
    assert creator.join() == -signal.SIGKILL
    assert left.exists()
    end(name)
    assert not left.exists()


def test_the_lock_file_of_a_living_creator_is_not_taken_away(name: str, spawn: Spawn) -> None:
    creator = spawn(create_and_finish, name)
    creator.wait_reached("here")
    with SemaphoreSet.open(name, started=False) as half:
        left = lock_file(half.id)
        half.remove()
    assert left.exists()
    creator.kill()
    creator.join()
    left.unlink()


def test_a_lock_file_that_was_left_does_not_matter() -> None:
    number = lib.ipk_sysv_sem_get(0, 1200, 1, 0o600)
    path = lock_file(number)
    path.touch()
    try:
        _sem_start.start(number, [2] * 1200, "test", known=True)
        assert not path.exists()
        values = ffi.new("uint16_t[]", 1200)
        lib.ipk_sysv_sem_values(number, values)
        assert set(values) == {2}
    finally:
        lib.ipk_sysv_sem_remove(number)


def test_its_key_and_note_are_those_of_a_set(name: str) -> None:
    with SemaphoreSet.create(name, remove_on_close=True) as made:
        assert made.key == hashed(name)
        (entry,) = Path("/dev/shm").glob(f"ipckit-sysv.*.sem.{hashed(name):08x}.*")
        assert entry.read_bytes() == name.encode() + b"\0%d" % made.id
    assert not entry.exists()
    with pytest.raises(NotFoundError):
        SemaphoreSet.open(name)
