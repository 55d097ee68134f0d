"""Locks on files against flock(1), lslocks(8), and a C program on plain libc."""

from __future__ import annotations

import json
import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.filelock import Flock, Holder, OfdLock, RecordLock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KINDS = {"record": RecordLock, "ofd": OfdLock, "flock": Flock}


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lock")


@pytest.mark.parametrize("kind", KINDS)
def test_a_c_program_and_we_exclude_each_other(kind: str, path: str, build: Any, start: Callable[..., Any]) -> None:
    where: dict[str, int] = {} if kind == "flock" else {"start": 10, "length": 5}
    with closing(KINDS[kind](path, **where)) as lock:
        lock.acquire()
        program = start(build("lock"), path, kind, "14", "1")
        program.wait_blocked("fcntl", "flock")
        lock.release()
        assert program.line() == b"locked"
        assert not lock.acquire(timeout=0.01)
        if kind != "record":  # for a record lock the kernel names the bytes of the other's
            assert lock.holder().pids == (program.pid,)
        else:
            assert lock.holder() == Holder((program.pid,), False, 14, 1)
        program.finish()
        assert lock.acquire(timeout=20)


def test_flock_1_waits_for_us_and_we_for_it(path: str, start: Callable[..., Any]) -> None:
    with closing(Flock(path)) as lock:
        with lock:
            assert start("flock", "-n", "-E", "75", path, "true", package="util-linux").process.wait(20) == 75
            shared = start("flock", "--shared", path, "cat")
            shared.wait_blocked("flock")
        shared.process.stdin.write(b"go\n")
        shared.process.stdin.flush()
        assert shared.line() == b"go"  # it has the lock now
        assert not lock.try_acquire()
        assert lock.try_acquire(shared=True)
        lock.release()
        assert shared.process.pid in lock.holder().pids
        shared.finish()
        assert lock.acquire(timeout=20)


def test_lslocks_lists_ours(path: str, start: Callable[..., Any]) -> None:
    with closing(OfdLock(path, start=3, length=4)) as ofd, closing(Flock(path)) as flock, ofd, flock.shared():
        inode = os.stat(path).st_ino
        columns = "TYPE,MODE,START,END,INODE"
        for _ in range(20):  # the kernel's list, where locks of others change meanwhile, may come without some
            listing = start("lslocks", "--json", "--output", columns, package="util-linux").finish()
            ours = [row for row in json.loads(listing)["locks"] if row["inode"] in (inode, str(inode))]
            found = {(row["type"], row["mode"], int(row["start"]), int(row["end"])) for row in ours}
            if len(found) == 2:
                break
        assert found == {("OFDLCK", "WRITE", 3, 6), ("FLOCK", "READ", 0, 0)}
