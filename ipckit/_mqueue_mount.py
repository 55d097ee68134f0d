"""The mqueue file system of this process's IPC namespace, mounted where nobody sees it: mq_overview(7), fsmount(2)."""

from __future__ import annotations

import os

_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432  # the same on every architecture
_FSCONFIG_CMD_CREATE = 6
_CLOEXEC = 1  # FSOPEN_CLOEXEC and FSMOUNT_CLOEXEC


def private_mount() -> int | None:
    """Mount the file system where no path but this descriptor's in /proc/self/fd leads.

    It is unmounted when the descriptor is closed.

    Returns:
        The descriptor, of its root; None without CAP_SYS_ADMIN, and where the kernel has no fsmount(2) (Linux 5.2).
    """
    import ctypes

    libc = ctypes.CDLL(None)
    context: int = libc.syscall(_FSOPEN, b"mqueue", _CLOEXEC)
    if context < 0:
        return None
    try:
        if libc.syscall(_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0) < 0:
            return None
        mounted: int = libc.syscall(_FSMOUNT, context, _CLOEXEC, 0)
        return mounted if mounted >= 0 else None
    finally:
        os.close(context)
