"""`ipckit.inspect` beside lslocks(8): the same locks on files, with the same holders and waiters."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

from ipckit import inspect
from ipckit.filelock import Flock, OfdLock, RecordLock
from ipckit.inspect.file_locks import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ipckit.testing import Spawn
    from tests.interop.conftest import Program

TYPES = {"POSIX": "record", "OFDLCK": "ofd", "FLOCK": "flock"}
LARGEST = (1 << 63) - 1


def wait_for(path: str) -> None:
    with open(path, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def test_the_same_locks_as_lslocks(start: Callable[..., Program], spawn: Spawn, tmp_path: Path) -> None:
    path = tmp_path / "locked"
    path.write_bytes(bytes(100))
    record_lock = RecordLock(str(path), start=0, length=5)
    ofd, flock = OfdLock(str(path), start=10), Flock(str(path))
    with closing(record_lock), closing(ofd), closing(flock), record_lock, ofd.shared(), flock:
        child = spawn(wait_for, str(path))
        child.wait_blocked("flock")
        columns = "PID,TYPE,INODE,MODE,START,END,PATH"
        rows: list[dict[str, Any]] = []
        for _ in range(20):  # the kernel's list, where locks of others change meanwhile, may come without some
            said = json.loads(start("lslocks", "--json", "-o", columns, package="util-linux").finish())
            rows = [row for row in said["locks"] if int(row["inode"]) == path.stat().st_ino]
            if len({(row["type"], row["mode"]) for row in rows}) == 4:
                break
        held = {
            (TYPES[row["type"]], row["mode"], int(row["start"]), int(row["end"]), int(row["pid"]))
            for row in rows
            if not row["mode"].endswith("*")
        }
        ours = [
            record
            for record in inspect.objects(["lock"])
            if isinstance(record, FileLock) and record.inode == path.stat().st_ino
        ]
        assert len(held) == len(ours) == 3
        # Versions differ in what they have for the process of an OFD lock and for the end of a file.
        for record in ours:
            end = 0 if record.end is None else record.end
            mode = "READ" if record.shared else "WRITE"
            pid = -1 if record.type == "ofd" else os.getpid()
            matches = {
                (record.type, mode, record.start, last, who) for last in (end, LARGEST) for who in (pid, os.getpid())
            }
            assert matches & held
            assert record.pids == (os.getpid(),)
        waiting = {int(row["pid"]) for row in rows if row["mode"].endswith("*")}
        assert waiting == {who.process.pid for record in ours for who in record.waiters if who.process}
        assert waiting == {child.pid}
        child.kill()
        child.join()
