"""One instance at a time: stale files, unlinked files, forks, kills."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.errors import AccessError, BusyError, ClosedError, NotFoundError
from ipckit.filelock import PidFile
from ipckit.testing import pause, reached

if TYPE_CHECKING:
    from pathlib import Path

    from ipckit.testing import Spawn


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "program.pid")


def run_until_told(path: str) -> None:
    file = PidFile(path)
    with file:
        reached("running")
        pause("until")
    file.close()


def count_turns(path: str, turns: int) -> None:
    """Be the instance so many times; the file with the other path shows that nobody else is."""
    alone = path + ".alone"
    file = PidFile(path)
    for _ in range(turns):
        file.acquire()
        os.close(os.open(alone, os.O_CREAT | os.O_EXCL))
        os.unlink(alone)
        file.release()
    file.close()


def test_the_second_instance_is_told_of_the_first(path: str, spawn: Spawn) -> None:
    first = spawn(run_until_told, path)
    first.wait_reached("running")
    with closing(PidFile(path)) as second:
        assert not second.try_acquire()
        assert not second.acquire(timeout=0.01)
        assert second.holder_pid() == first.pid
        with pytest.raises(BusyError, match=f"process {first.pid}"), second:
            pass
        first.resume("until")
        assert second.acquire(timeout=20)
        assert second.holder_pid() == os.getpid()
        second.release()
        assert second.holder_pid() is None
    assert not os.path.exists(path)


def test_a_file_that_a_killed_instance_left_is_taken_over(path: str, spawn: Spawn) -> None:
    first = spawn(run_until_told, path)
    first.wait_reached("running")
    with closing(PidFile(path)) as second:
        first.kill()
        assert first.join() == -signal.SIGKILL
        assert os.path.exists(path)
        assert second.holder_pid() is None
        with second, open(path, encoding="ascii") as file:
            assert file.read() == f"{os.getpid()}\n"


def test_a_file_with_anything_in_it_is_taken_over(path: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write("not a number, and longer than one\n")
    with closing(PidFile(path)) as instance, instance, open(path, encoding="ascii") as file:
        assert file.read() == f"{os.getpid()}\n"


def test_a_replaced_file_excludes_nobody_by_mistake(path: str) -> None:
    with closing(PidFile(path)) as old, closing(PidFile(path)) as new:
        old.acquire()
        os.unlink(path)
        assert new.try_acquire()
        old.release()  # and leaves the file of the other alone
        assert new.holder_pid() == os.getpid()
        new.release()
    assert not os.path.exists(path)


@pytest.mark.parametrize("lost", [0, 1], ids=["at first", "while it waited for another instance"])
def test_close_in_another_thread_leaves_no_instance(path: str, lost: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes when the file is about to be opened: for the first time, or because the one that was locked is gone."""
    file = PidFile(path)
    opened, opens = os.open, 0

    def close_and_open(*args: Any, **how: Any) -> int:
        nonlocal opens
        opens += 1
        if opens == lost + 1:
            closer = threading.Thread(target=file.close)
            closer.start()
            closer.join()
        fd = opened(*args, **how)
        if opens <= lost:
            os.unlink(path)
        return fd

    monkeypatch.setattr(os, "open", close_and_open)
    with pytest.raises(ClosedError):
        file.acquire()
    monkeypatch.undo()
    with PidFile(path) as other:
        assert other.holder_pid() == os.getpid()
    other.close()


def test_many_instances_in_turn_are_never_two(path: str, spawn: Spawn) -> None:
    children = [spawn(count_turns, path, 30) for _ in range(3)]
    for child in children:
        child.result()
    assert not os.path.exists(path)


def test_a_forked_child_keeps_the_instance_only_if_it_lives_on(path: str) -> None:
    reading, writing = os.pipe()
    ready, told = os.pipe()
    instance = PidFile(path)
    instance.acquire()
    if (pid := os.fork()) == 0:
        os.close(writing)
        instance.adopt()
        os.write(told, b"x")
        os.read(reading, 1)
        instance.close()
        os._exit(0)
    os.read(ready, 1)
    with closing(PidFile(path)) as other:
        assert other.holder_pid() == pid
        instance.close()  # the file is the child's now, and so is the lock
        for fd in (reading, ready, told):
            os.close(fd)
        assert not other.try_acquire()
        assert other.holder_pid() == pid
        os.close(writing)
        os.waitpid(pid, 0)
        assert other.holder_pid() is None
        assert not os.path.exists(path)
        assert other.acquire(timeout=20)


def test_a_forked_child_cannot_adopt_what_its_parent_has_let_go_of(path: str) -> None:
    reading, writing = os.pipe()
    instance = PidFile(path)
    instance.acquire()
    if (pid := os.fork()) == 0:
        os.close(writing)
        os.read(reading, 1)
        try:
            instance.adopt()
        except NotFoundError:
            os._exit(7)
        os._exit(1)
    instance.close()
    os.close(reading)
    os.close(writing)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_a_forked_child_that_closes_leaves_the_parents_file_and_lock(path: str) -> None:
    instance = PidFile(path)
    instance.acquire()
    if (pid := os.fork()) == 0:
        instance.close()
        os._exit(0)
    os.waitpid(pid, 0)
    with closing(PidFile(path)) as other:
        assert not other.try_acquire()
        assert other.holder_pid() == os.getpid()
    instance.close()
    assert not os.path.exists(path)


def test_misuse_and_impossible_places_are_errors(path: str, tmp_path: Path) -> None:
    with closing(PidFile(path)) as instance:
        for misused in (instance.release, instance.adopt):
            with pytest.raises(AccessError, match="not the instance"):
                misused()
        instance.acquire()
        with pytest.raises(BusyError):
            instance.acquire()
    with closing(PidFile(tmp_path / "none" / "x.pid")) as nowhere, pytest.raises(NotFoundError):
        nowhere.acquire()
    for bad in ("", "a\0b", b"bytes", 3):
        with pytest.raises((ValueError, TypeError), match="path"):
            PidFile(bad)  # type: ignore[arg-type]
