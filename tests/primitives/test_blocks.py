"""`with` on the kernel's own locks and semaphores: whatever a signal handler raises, nothing stays taken."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from ipckit import posix, sysv
from ipckit.errors import AccessError, ClosedError, SyscallError
from ipckit.filelock import FileRWLock, Flock, OfdLock, RecordLock
from tests.primitives.interrupting import blocks_interrupted, interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


class Subject(NamedTuple):
    """Something to enter, and whether somebody has it."""

    block: Callable[[], AbstractContextManager[Any]]
    taken: Callable[[], bool]
    entered: object
    close: Callable[[], None]


def named(_path: Path) -> Subject:
    made = posix.Semaphore.create(value=1, unlink_on_close=True)
    return Subject(lambda: made, lambda: made.value == 0, made, made.close)


def unnamed(_path: Path) -> Subject:
    made = posix.UnnamedSemaphore.create(bytearray(64), value=1)
    return Subject(lambda: made, lambda: made.value == 0, made, made.close)


def member(_path: Path) -> Subject:
    made = sysv.SemaphoreSet.create(size=2, values=[0, 1], remove_on_close=True)
    one = made.member(1)
    return Subject(lambda: one, lambda: one.value == 0, one, made.close)


def locked(lock: OfdLock | Flock | RecordLock, block: Any) -> Subject:
    """A lock, which is taken if the kernel or the handle says so."""
    other = type(lock)(lock.name)

    def taken() -> bool:
        if isinstance(other, FileRWLock) and other._gate.holder() is not None:
            return True
        return lock.held is not None or (not isinstance(lock, RecordLock) and other.holder() is not None)

    def close() -> None:
        lock.close()
        other.close()

    return Subject(block, taken, lock, close)


def exclusively(kind: type[OfdLock | Flock | RecordLock]) -> Callable[[Path], Subject]:
    def made(path: Path) -> Subject:
        lock = kind(path)
        return locked(lock, lambda: lock)

    return made


def shared(path: Path) -> Subject:
    lock = OfdLock(path)
    return locked(lock, lambda: lock.shared(1))


def reading(path: Path) -> Subject:
    lock = FileRWLock(path)
    return locked(lock, lock.reading)


def writing(path: Path) -> Subject:
    lock = FileRWLock(path)
    return locked(lock, lambda: lock.writing(1))


IN_C = {
    "posix": named,
    "unnamed": unnamed,
    "System V": member,
    "OFD": exclusively(OfdLock),
    "record": exclusively(RecordLock),
    "flock": exclusively(Flock),
}
IN_PYTHON = {"shared": shared, "reading": reading, "writing": writing, "gate": exclusively(FileRWLock)}
SUBJECTS = IN_C | IN_PYTHON
AROUND = SUBJECTS if sys.version_info >= (3, 11) else IN_C  # in 3.10 a handler may run as a function in Python returns
ROOT = Path(__file__).parents[2]

in_one_step = pytest.mark.skipif(
    find_spec("ipckit._lane") is None or sys.version_info >= (3, 14),
    reason="without the extension, and around the block from 3.14 on, a handler may come between",
)


@pytest.fixture
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    made = SUBJECTS[request.param](tmp_path / "file")
    yield made
    made.close()


@in_one_step
@pytest.mark.parametrize("subject", SUBJECTS, indirect=True)
def test_a_handler_that_raises_at_any_moment_leaves_nothing_taken(subject: Subject) -> None:
    def act() -> None:
        with subject.block():
            assert subject.taken()

    for moment in count(1):
        there_was_one = interrupted(moment, act, "ipckit")
        assert not subject.taken(), moment
        if not there_was_one:
            break
    act()


@in_one_step
@pytest.mark.parametrize("subject", AROUND, indirect=True)
def test_a_signal_anywhere_around_the_block_leaves_nothing_taken(subject: Subject) -> None:
    for moment in blocks_interrupted(subject.block, 100):
        assert not subject.taken(), moment


def takes_and_gives_back(subject: Subject) -> None:
    for _ in range(2):
        with subject.block() as entered:
            assert entered is subject.entered
            assert subject.taken()
        assert not subject.taken()
    subject.close()
    with pytest.raises(ClosedError), subject.block():
        pass


@pytest.mark.parametrize("subject", SUBJECTS, indirect=True)
def test_a_block_takes_and_gives_back(subject: Subject) -> None:
    takes_and_gives_back(subject)


WITHOUT = """
import sys
from pathlib import Path
sys.modules["ipckit._lane"] = None
from ipckit._block import Block
from tests.primitives.test_blocks import SUBJECTS, takes_and_gives_back
for made in SUBJECTS.values():
    subject = made(Path(sys.argv[1]))
    assert isinstance(subject.block(), Block)
    takes_and_gives_back(subject)
"""


def test_a_block_takes_and_gives_back_without_the_extension(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, tmp_path / "file"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("subject", ["OFD", "record", "flock", "shared", "reading"], indirect=True)
def test_a_block_whose_lock_was_given_back_within_says_so(subject: Subject) -> None:
    lock: Any = subject.entered
    with pytest.raises(AccessError, match="does not hold the lock"), subject.block():
        lock.release()
    assert not subject.taken()


def test_a_member_that_is_given_too_often_within_says_so() -> None:
    with sysv.SemaphoreSet.create(values=[1], remove_on_close=True) as made:
        one = made.member(0)
        with pytest.raises(SyscallError, match="32767"), one:
            one.release(32767)


@in_one_step
@pytest.mark.parametrize("kind", [OfdLock, RecordLock, Flock])
def test_a_handler_that_raises_leaves_the_lock_that_was_being_converted(kind: Any, tmp_path: Path) -> None:
    with closing(kind(tmp_path / "file")) as lock:

        def act() -> None:
            with lock.shared():  # converted
                pass

        for moment in count(1):
            lock.acquire()
            if not interrupted(moment, act, "ipckit"):
                break
            assert lock.held == "exclusive", moment
        assert lock.held is None
