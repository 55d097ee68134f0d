"""See the POSIX message queues, also where no file system of theirs is mounted: mq_overview(7)."""

from __future__ import annotations

import functools
import os
from pathlib import Path

_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432  # the same on every architecture
_FSCONFIG_CMD_CREATE = 6
_CLOEXEC = 1  # FSOPEN_CLOEXEC and FSMOUNT_CLOEXEC


@functools.cache
def folder() -> Path | None:
    """A folder with a file for each queue of this IPC namespace; None if they are not to be seen."""
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, path, kind, *_ = line.split(" ")
        if kind == "mqueue" and os.access(path, os.R_OK | os.X_OK):
            return Path(path)
    mounted = _private_mount()
    return None if mounted is None else Path(f"/proc/self/fd/{mounted}")


@functools.cache
def _private_mount() -> int | None:
    """Mount the file system where no path but this descriptor leads; it takes CAP_SYS_ADMIN: fsmount(2)."""
    import ctypes

    libc = ctypes.CDLL(None)
    context = libc.syscall(_FSOPEN, b"mqueue", _CLOEXEC)
    if context < 0:
        return None
    try:
        if libc.syscall(_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0) < 0:
            return None
        mounted: int = libc.syscall(_FSMOUNT, context, _CLOEXEC, 0)
        return mounted if mounted >= 0 else None
    finally:
        os.close(context)
