"""The watchdog ends what hangs, shows where it hung, and leaves all else alone."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import ClosedError
from ipckit.testing import Child, Spawn, Watchdog, pause, reached, wait_blocked
from ipckit.testing import spawn as spawn_one
from tests.nobody import become_nobody
from tests.rights import may_trace_its_parent

if TYPE_CHECKING:
    from collections.abc import Callable


def hang_with_child() -> None:
    # pytest has its own standard error; what the watchdog says must come through whatever was dup'ed first.
    with Watchdog(1000) as watchdog:
        child = spawn_one(hang_in_child)
        child.wait_reached("there")
        sleeper = subprocess.Popen(["/bin/sleep", "1000"])
        thread = threading.Thread(target=hang_in_thread, daemon=True)
        thread.start()
        order_to_bite(watchdog, thread.native_id, child.pid, sleeper.pid)
        hang_in_lock()


def order_to_bite(watchdog: Watchdog, *ids: int | None) -> None:
    """Stop the watchdog until `let_bite`, so that no thread runs while stacks are written: Python may die of that."""
    os.kill(watchdog.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, watchdog.pid, os.WSTOPPED)
    watchdog.feed(0, "the test's name")
    reached(" ".join(map(str, (watchdog.pid, *ids))))
    reached("ordered")


def let_bite(child: Child) -> list[int]:
    """Once its main thread hangs in the lock, and the second, if there is one, in its sleep. Returns the other ids."""
    child.wait_reached("ordered")
    watchdog, *ids = map(int, next(iter(child._talk.reached)).split())
    child.wait_blocked("futex")
    if ids:
        child.wait_blocked("nanosleep", "select", tid=ids.pop(0))  # the latter in Python 3.10
    os.kill(watchdog, signal.SIGCONT)
    return ids


def hang_in_child() -> None:
    pause("there")


def hang_in_thread() -> None:
    time.sleep(1000)


def hang_in_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def hang_with_gil() -> None:
    with Watchdog(0.1):
        ctypes.PyDLL(None).sleep(1000)


def hang_deaf() -> None:
    with Watchdog(0.1):
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        time.sleep(1000)


def test_hang_is_shown_and_ended(spawn: Spawn) -> None:
    child = spawn(hang_with_child)
    pids = let_bite(child)
    assert child.join() == -signal.SIGKILL
    text = child._stderr_text()
    for clue in (
        "the time is up, in",
        "the test's name",
        "in hang_in_lock",
        "in hang_in_thread",
        "in hang_in_child",
        "/bin/sleep 1000",
        *(["in futex"] if may_trace_its_parent() else []),  # the watchdog is a child of whom it watches
    ):
        assert clue in text, text
    assert len(pids) == 2
    assert all(map(ended, pids))


def ended(pid: int) -> bool:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], 20)[0])
    finally:
        os.close(fd)


@pytest.mark.parametrize("hang", [hang_with_gil, hang_deaf])
def test_neither_a_held_gil_nor_blocked_signals_stop_it(spawn: Spawn, hang: Callable[[], None]) -> None:
    child = spawn(hang)
    assert child.join() == -signal.SIGKILL
    assert "the time is up ===" in child._stderr_text()


def hang_and_have_nobody_read() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with Watchdog(0.1, stderr=writer):
        time.sleep(1000)


def hang_with_a_full_pipe() -> None:
    _, writer = os.pipe()
    while select.select([], [writer], [], 0)[1]:
        os.write(writer, bytes(select.PIPE_BUF))
    with Watchdog(0.1, stderr=writer):
        os.write(writer, b"no more")


@pytest.mark.parametrize("hang", [hang_and_have_nobody_read, hang_with_a_full_pipe])
def test_it_bites_though_nobody_takes_its_report(spawn: Spawn, hang: Callable[[], None]) -> None:
    assert spawn(hang).join() == -signal.SIGKILL


def hang_with_a_child_of_root() -> None:
    with subprocess.Popen(["/bin/sleep", "1000"]):
        become_nobody()
        pause("for ever")


def bite_as_nobody(pid: int) -> None:
    from ipckit.testing._watchdog_main import _bite  # while all that it needs may be read

    watched = os.pidfd_open(pid)
    become_nobody()
    _bite(watched, pid, repr(""))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_it_bites_though_a_child_is_another_users(spawn: Spawn) -> None:
    child = spawn(hang_with_a_child_of_root)
    child.wait_reached("for ever")
    spawn(bite_as_nobody, child.pid).result()
    assert child.join() == -signal.SIGKILL


def be_fed() -> int:
    with Watchdog(1000) as watchdog:
        os.kill(watchdog.pid, signal.SIGSTOP)  # or we might be held up for longer than it is told
        os.waitid(os.P_PID, watchdog.pid, os.WSTOPPED)
        for _ in range(3):
            watchdog.feed(0.01)
            watchdog.rest()
        os.kill(watchdog.pid, signal.SIGCONT)
        time.sleep(0.05)  # longer than what was revoked
        watchdog.feed(1000, "x" * 100_000)
        for seconds in (1e7, float("inf")):  # beyond what poll(2) takes
            watchdog.feed(seconds)
            wait_blocked(watchdog.pid, "poll")
        return watchdog.pid


def test_it_bites_nobody_who_feeds_it(spawn: Spawn) -> None:
    assert ended(spawn(be_fed).result())


def end_without_closing() -> None:
    watchdog = Watchdog(1000)
    reached(str(watchdog.pid))
    os._exit(0)


def test_it_ends_with_whom_it_watches(spawn: Spawn) -> None:
    child = spawn(end_without_closing)
    assert child.join() == 0
    (pid,) = child._talk.reached
    assert ended(int(pid))


def test_inner_one_leaves_the_outer_one_its_signal(spawn: Spawn) -> None:
    child = spawn(nest)
    let_bite(child)
    assert child.join() == -signal.SIGKILL
    assert "in hang_in_lock" in child._stderr_text()


def nest() -> None:
    with Watchdog(1000) as outer:
        with Watchdog(1000):
            pass
        order_to_bite(outer)
        hang_in_lock()


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_time_is_validated(seconds: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        Watchdog(seconds)


def test_closing_twice_does_nothing() -> None:
    watchdog = Watchdog(1000)
    watchdog.close()
    watchdog.close()


def test_once_closed_it_is_not_fed() -> None:
    with Watchdog(1000) as watchdog:
        pass
    for use in (watchdog.rest, lambda: watchdog.feed(1)):
        with pytest.raises(ClosedError, match="Watchdog is closed"):
            use()


def test_run_of_pytest_is_ended_with_the_tests_name(pytestconfig: pytest.Config) -> None:
    environment = {**os.environ, "IPCKIT_HANG": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"{__file__}::test_that_hangs_when_asked"],
        cwd=pytestconfig.rootpath,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == -signal.SIGKILL
    assert "test_that_hangs_when_asked" in done.stderr
    assert "in hang_in_lock" in done.stderr


@pytest.mark.watchdog(0.5 if os.environ.get("IPCKIT_HANG") else 60)
def test_that_hangs_when_asked() -> None:
    if os.environ.get("IPCKIT_HANG"):
        hang_in_lock()
