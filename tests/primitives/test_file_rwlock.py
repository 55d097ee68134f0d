"""Readers and writers on a lock file: what they exclude, and that neither starves."""

from __future__ import annotations

import pickle
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import DeadlockError, TimeoutExpired
from ipckit.filelock import FileRWLock, OfdLock
from ipckit.testing import pause, reached

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ipckit.testing import Spawn


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lock")


@pytest.fixture
def three(path: str) -> Iterator[list[FileRWLock]]:
    with ExitStack() as stack:
        locks = [FileRWLock(path) for _ in range(3)]
        for lock in locks:
            stack.callback(lock.close)
        yield locks


def write_once(lock: FileRWLock) -> None:
    with lock.writing():
        reached("writing")
    lock.close()


def read_until_told(lock: FileRWLock) -> None:
    with lock.reading():
        reached("reading")
        pause("until")
    lock.close()


def test_readers_share_and_a_writer_is_alone(three: list[FileRWLock]) -> None:
    first, second, third = three
    with first.reading(), second.reading():
        assert not third.try_acquire()
    with first.writing():
        assert not second.try_acquire()
        assert not third.try_acquire(shared=True)
        with pytest.raises(TimeoutExpired), third.reading(timeout=0.01):
            pass
    with first, pytest.raises(TimeoutExpired), second.writing(timeout=0):
        pass


def test_a_waiting_writer_keeps_new_readers_out(path: str, three: list[FileRWLock], spawn: Spawn) -> None:
    reader, newcomer, _ = three
    reader.acquire(shared=True)
    writer = spawn(write_once, reader)
    writer.wait_blocked("fcntl")
    assert not newcomer.try_acquire(shared=True)
    reader.release()
    writer.wait_reached("writing")
    assert writer.join() == 0
    assert newcomer.acquire(shared=True, timeout=20)


def test_a_killed_waiting_writer_lets_the_readers_in(three: list[FileRWLock], spawn: Spawn) -> None:
    reader, newcomer, _ = three
    reader.acquire(shared=True)
    writer = spawn(write_once, reader)
    writer.wait_blocked("fcntl")
    writer.kill()
    assert newcomer.acquire(shared=True, timeout=20)
    writer.join()


def test_a_killed_reader_is_taken_off(three: list[FileRWLock], spawn: Spawn) -> None:
    reader = spawn(read_until_told, three[0])
    reader.wait_reached("reading")
    assert not three[0].try_acquire()
    reader.kill()
    assert three[0].acquire(timeout=20)
    reader.join()


def test_a_writer_becomes_a_reader_and_a_reader_no_writer(three: list[FileRWLock]) -> None:
    first, second, third = three
    first.acquire()
    assert first.acquire(shared=True)
    assert first.held == "shared"
    assert second.try_acquire(shared=True)
    with pytest.raises(DeadlockError, match="give the shared lock back first"):
        first.acquire()
    assert first.held == "shared"
    assert not third.try_acquire()


def test_two_plain_locks_on_its_bytes_take_part(path: str, three: list[FileRWLock]) -> None:
    gate, data = OfdLock(path, start=1, length=1), OfdLock(path, start=0, length=1)
    with data:
        assert not three[0].try_acquire(shared=True)
    with gate:
        assert not three[0].try_acquire(shared=True)
    with three[0].writing():
        assert gate.try_acquire()  # given back once the lock is held
        assert not data.try_acquire(shared=True)
    gate.close()
    data.close()


def test_a_timeout_spans_gate_and_lock(three: list[FileRWLock]) -> None:
    first, second, _ = three
    with first.reading():
        assert not second.acquire(timeout=0.02)
        assert second.held is None
        assert not second._gate.held
    assert second.acquire(timeout=0)


def test_a_descriptor_is_refused_and_a_pickle_is_another_owner(three: list[FileRWLock]) -> None:
    with pytest.raises(TypeError, match="path"):
        FileRWLock(0)  # type: ignore[arg-type]
    other = pickle.loads(pickle.dumps(three[0]))
    with three[0].writing():
        assert not other.try_acquire()
    other.close()
