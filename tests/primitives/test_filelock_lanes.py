"""The two lanes of locks on files, compiled and on cffi: the same outcomes for the same attempts."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING, Any

import pytest

from ipckit._lane import FileLockLane
from ipckit._native import lib
from ipckit.errors import AccessError, ClosedError
from ipckit.filelock import Flock, OfdLock, RecordLock, _lock
from ipckit.filelock._lane import CffiLane

if TYPE_CHECKING:
    from pathlib import Path

LANES = {"compiled": FileLockLane, "cffi": CffiLane}
KINDS = {OfdLock: lib.IPK_FILELOCK_OFD, Flock: lib.IPK_FILELOCK_FLOCK}


@pytest.fixture(params=LANES, autouse=True)
def lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(_lock, "lane_of", LANES[request.param])
    return LANES[request.param]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "locked")


def in_child(function: Any) -> int:
    """What *function* returns, below 100, in a forked child."""
    pid = os.fork()
    if pid == 0:
        status = 100
        try:
            status = function()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_the_compiled_lane_is_the_one_that_is_used(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    lock = OfdLock(path)
    assert type(lock._lane) is FileLockLane
    lock.close()


@pytest.mark.parametrize("kind", KINDS)
def test_shared_and_exclusive_exclude_as_they_should(kind: type[OfdLock | Flock], path: str, lane: Any) -> None:
    mine, other = kind(path), kind(path)
    assert type(mine._lane) is lane
    for shared in (False, True):
        assert mine._lane.take(shared) == 0
        assert other._lane.take(False) == -errno.EAGAIN
        assert other._lane.take(True) == (0 if shared else -errno.EAGAIN)
        assert mine._lane.give() == 0
        assert other._lane.give() == 0
    assert mine._lane.take(True) == 0
    assert mine._lane.take(False) == 0  # converted
    assert other._lane.take(True) == -errno.EAGAIN
    mine.close()
    assert other._lane.take(False) == 0
    other.close()


def test_ranges_are_bytes_from_start(path: str, lane: Any) -> None:
    fds = [os.open(path, os.O_RDWR | os.O_CREAT) for _ in range(2)]
    low, high = 1 << 40, (1 << 63) - 1
    first = lane(fds[0], lib.IPK_FILELOCK_OFD, low, 10)
    assert first.take(False) == 0
    assert lane(fds[1], lib.IPK_FILELOCK_OFD, low + 9, 1).take(True) == -errno.EAGAIN
    assert lane(fds[1], lib.IPK_FILELOCK_OFD, low + 10, 0).take(False) == 0
    assert lane(fds[1], lib.IPK_FILELOCK_OFD, high, 2).take(False) in {-errno.EOVERFLOW, -errno.EINVAL}
    assert first.give() == 0
    for fd in fds:
        os.close(fd)


def test_each_failure_is_its_errno(path: str, lane: Any) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT))
    reading = os.open(path, os.O_RDONLY)
    for kind in (lib.IPK_FILELOCK_RECORD, lib.IPK_FILELOCK_OFD):
        attempt = lane(reading, kind, 0, 0)
        assert attempt.take(False) == -errno.EBADF
        assert attempt.take(True) == attempt.give() == 0
    os.close(reading)
    for kind in (lib.IPK_FILELOCK_RECORD, lib.IPK_FILELOCK_OFD, lib.IPK_FILELOCK_FLOCK):
        attempt = lane(reading, kind, 0, 0)
        assert attempt.take(False) == attempt.give() == -errno.EBADF


@pytest.mark.parametrize("kind", [OfdLock, RecordLock, Flock])
def test_a_closed_handle_never_locks_whatever_has_its_number_next(kind: Any, path: str) -> None:
    lock = kind(path)
    lock.close()
    with open(path, "rb+") as stranger:
        with pytest.raises(ClosedError):
            lock.acquire()
        with pytest.raises(ClosedError):
            lock.release()
        second = kind(path)
        assert second.holder() is None
        second.close()
        assert stranger.fileno() >= 0


def test_a_forked_child_has_no_record_lock(path: str) -> None:
    lock = RecordLock(path)

    def child() -> int:
        if lock.held is not None:
            return 1
        try:
            lock.release()
        except AccessError:
            return 2 if lock.acquire(blocking=False) else 0
        return 3

    with lock:
        assert in_child(child) == 0
        assert lock.held == "exclusive"
    lock.close()


def test_close_in_a_forked_child_leaves_a_lock_on_a_lent_descriptor_to_the_parent(path: str) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    for kind in (OfdLock, Flock):
        lock, other = kind(fd), kind(path)
        lock.acquire()
        assert in_child(lambda held=lock: int(held.close() is not None)) == 0
        assert not other.try_acquire()

        def taken_again(held: Any = lock) -> int:
            held.acquire()
            held.close()
            return 0

        assert in_child(taken_again) == 0
        assert other.try_acquire()  # the child's own, by then, and so given back for both
        other.close()
        lock.close()
    os.close(fd)


def test_the_compiled_lane_refuses_other_calls() -> None:
    for arguments in ((), (1,), ("1", 0, 0, 0), (0, 0, 1 << 63, 0), (0, 0, 0, 0, 0)):
        with pytest.raises((TypeError, OverflowError)):
            FileLockLane(*arguments)  # type: ignore[arg-type, call-arg]
    with pytest.raises(TypeError, match="keyword"):
        FileLockLane(0, 0, 0, length=0)  # type: ignore[call-arg]


def test_the_truth_of_any_object_says_shared(path: str, lane: Any) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    attempt = lane(fd, lib.IPK_FILELOCK_FLOCK, 0, 0)
    with open(path) as other:
        for yes in (1, "yes"):
            assert attempt.take(yes) == 0
            fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(other, fcntl.LOCK_UN)
    os.close(fd)
