"""One instance at a time: to claim the pid file and to give it back creates and unlinks a file."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

import fcntl
import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ipckit.bench.row import Lock
from ipckit.filelock import PidFile

if TYPE_CHECKING:
    from collections.abc import Callable


class PidFileRow(Lock):
    """A new file each time, with the pid in it."""

    name = "PidFile"
    about = "ipckit.filelock.PidFile: become the instance, and be it no more"
    family = "file lock"

    def __init__(self) -> None:
        # Nothing is there yet, and after a release nothing is there again.
        self.path = str(Path(tempfile.gettempdir(), f"ipckit-bench-{secrets.token_hex(8)}.pid"))

    def calls(self) -> tuple[Callable[[], object], Callable[[], object]]:
        file = PidFile(self.path)
        return file.acquire, file.release

    def close(self) -> None:
        Path(self.path).unlink(missing_ok=True)  # of a measuring process that was killed with it


class BarePidFile(PidFileRow):
    """What a program does that knows how: open, lock, see whether the file is still the one of that name, write."""

    name = "pid file (bare)"
    about = "open, flock, fstat and stat, write; unlink, close"

    def calls(self) -> tuple[Callable[[], object], Callable[[], object]]:
        path, text = self.path, b"%d\n" % os.getpid()
        fd = -1

        def acquire() -> None:
            nonlocal fd
            while True:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                fcntl.flock(fd, fcntl.LOCK_EX)
                try:
                    if os.path.samestat(os.stat(path), os.fstat(fd)):
                        os.truncate(fd, os.write(fd, text))
                        return
                except FileNotFoundError:  # its last holder has unlinked it
                    pass
                os.close(fd)

        def release() -> None:
            os.unlink(path)
            os.close(fd)

        return acquire, release
