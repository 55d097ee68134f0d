"""`ipckit sem`, for each kind of semaphore."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from ipckit import posix, sync, sysv
from ipckit.cli.transfer.pending import Pending
from tests.cli.shell import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.shell import Running

NAME = f"/ipckit-cli-sem-{os.getpid()}"
KEY = 0x4A000000 | os.getpid() & 0xFFFFFF

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "address", [f"sem:{NAME}", f"sync:{NAME}", f"sysv-sem:{KEY:#x}"], ids=["posix", "sync", "sysv"]
)
def test_tokens(address: str, start: Callable[..., Running]) -> None:
    assert run("sem", address, "create", "--value", 1)[0] == 0
    try:
        assert run("sem", address, "create")[0] == 1
        assert run("sem", address, "value")[:2] == (0, b"1\n")
        assert run("sem", address, "wait")[0] == 0
        assert run("sem", address, "try")[0] == 3
        assert run("sem", address, "wait", "--timeout", "0.1")[0] == 3
        waiter = start("sem", address, "wait")
        waiter.wait_blocked("futex", "semop", "semtimedop")
        assert run("sem", address, "post", "--tokens", 3)[0] == 0
        assert waiter.finish() == (0, b"", "")
        assert run("sem", address, "value")[:2] == (0, b"2\n")
        assert run("sem", address, "try")[0] == 0
        assert run("sem", address, "try")[0] == 0
        waiter = start("sem", address, "wait")
        waiter.wait_blocked("futex", "semop", "semtimedop")
        waiter.process.send_signal(signal.SIGINT)
        assert waiter.finish()[0] == 130
    finally:
        assert run("sem", address, "remove")[0] == 0
    assert run("sem", address, "value")[0] == 1


def test_members_of_a_set() -> None:
    with sysv.SemaphoreSet.create(KEY, size=3, values=[1, 2, 3], remove_on_close=True) as group:
        assert run("sem", f"sysv-sem:{KEY}", "value", "--index", 2)[:2] == (0, b"3\n")
        assert run("sem", f"sysv-sem:id={group.id}", "wait", "--index", 1)[0] == 0
        assert group.values() == (1, 1, 3)
        assert run("sem", f"sysv-sem:{KEY}", "value", "--index", 3)[0] == 2


def test_tokens_that_would_come_back_at_once_are_refused() -> None:
    with closing(sync.Semaphore.create(NAME, value=2, tracked=True, unlink_on_close=True)):
        status, _, err = run("sem", f"sync:{NAME}", "wait")
        assert status == 2
        assert f"ipckit lock sync:{NAME}" in err
        assert run("sem", f"sync:{NAME}", "value")[:2] == (0, b"2\n")


def test_mode_and_usage() -> None:
    assert run("sem", f"sem:{NAME}", "create", "--mode", "640")[0] == 0
    assert os.stat(f"/dev/shm/sem.{NAME[1:]}").st_mode & 0o777 == 0o640
    posix.Semaphore.unlink_name(NAME)
    for words in (["mq:/x", "value"], ["sem:/x", "frobnicate"], ["sysv-sem:id=5", "create"], ["sem:/x/y", "value"]):
        assert run("sem", *words)[0] == 2


def test_a_signal_that_comes_too_late_does_not_make_a_taken_token_a_failure() -> None:
    with Pending({signal.SIGUSR1}) as signals:

        def take(_seconds: float) -> bool:
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)  # the runner of the tests has other threads
            return True

        assert signals.acquire(take, None)
        signals.forget()
    with pytest.raises(KeyboardInterrupt), Pending({signal.SIGINT}) as signals:
        tries = []

        def fail(seconds: float) -> bool:
            tries.append(seconds)
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            return False

        assert not signals.acquire(fail, None)
        assert len(tries) == 1
