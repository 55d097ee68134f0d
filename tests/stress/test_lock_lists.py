"""Which files are locked, again and again, as the kernel lists it while locks come and go."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from ipckit.filelock import OfdLock
from ipckit.inspect._own.sysv_notes import _flocked
from ipckit.testing import reached

if TYPE_CHECKING:
    from pathlib import Path

    from ipckit.testing import Spawn

SECONDS = 20
FILES = 300  # so many that the list takes several pages


def take_and_give_back(path: str) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # the locks of the first processor are listed first
    reached("locking")
    with OfdLock(path) as lock:
        while True:
            lock.release() if lock.held else lock.acquire()


@pytest.mark.stress
def test_a_lock_that_is_held_all_the_time_is_always_listed(tmp_path: Path, spawn: Spawn) -> None:
    """The kernel hands out the list by the page and goes on by counting: what is given back leaves another one out."""
    wanted = set()
    with ExitStack() as stack:
        for number in range(FILES):
            file = stack.enter_context(open(tmp_path / str(number), "wb"))
            fcntl.flock(file, fcntl.LOCK_EX)
            status = os.fstat(file.fileno())
            wanted.add((status.st_dev, status.st_ino))
        if not wanted <= _flocked():
            pytest.skip("the file system has another device in /proc/locks than in stat(2)")
        spawn(take_and_give_back, str(tmp_path / "other")).wait_reached("locking")
        lists, end = 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            assert wanted <= _flocked(), f"list {lists}"
            lists += 1
    print(f"{lists} lists")
