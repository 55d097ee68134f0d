"""Forks and threads for the contract suite."""

from __future__ import annotations

import os
import pickle
import threading
from typing import TYPE_CHECKING, Any

from ipckit.testing import wait_blocked

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit import sysv


def in_fork(function: Callable[[], object]) -> Any:
    """What *function* returns in a forked copy of this process; its exception is raised here."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            try:
                outcome = (True, function())
            except BaseException as error:
                outcome = (False, error)
            os.write(writing, pickle.dumps(outcome))
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        data = file.read()
    os.waitpid(pid, 0)
    assert data, "the forked child died"
    good, result = pickle.loads(data)
    if not good:
        raise result
    return result


class Background:
    """A thread that runs one function; `join` returns or raises what came of it."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function
        self._result: object = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._function()
        except BaseException as error:
            self._error = error

    @property
    def tid(self) -> int:
        tid = self._thread.native_id
        assert tid is not None
        return tid

    def wait_blocked(self, *syscalls: str) -> None:
        wait_blocked(os.getpid(), *syscalls, tid=self.tid)

    def join(self) -> Any:
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result


def let_go(segment: sysv.SharedMemory) -> None:
    """Wait until the memory of the dead is gone: a program that looks at their /proc/PID has it a little longer."""
    while segment.stat().attached:
        os.sched_yield()


def when_main_thread_blocks(syscalls: tuple[str, ...], action: Callable[[], object]) -> Background:
    """Do *action* in a thread as soon as the main thread sleeps in one of *syscalls*."""

    def run() -> object:
        wait_blocked(os.getpid(), *syscalls)
        return action()

    return Background(run)
