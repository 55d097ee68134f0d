"""See the POSIX message queues, also where no file system of theirs is mounted: mq_overview(7)."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from ipckit._mqueue_mount import private_mount


@functools.cache
def folder() -> Path | None:
    """A folder with a file for each queue of this IPC namespace; None if they are not to be seen."""
    with open("/proc/self/mounts", "rb") as file:  # whose paths are bytes
        mounts = file.readlines()
    for line in mounts:
        _, path, kind, *_ = line.split(b" ")
        if kind == b"mqueue" and os.access(path, os.R_OK | os.X_OK):
            return Path(os.fsdecode(path))
    mounted = private_mount()
    return None if mounted is None else Path(f"/proc/self/fd/{mounted}")
