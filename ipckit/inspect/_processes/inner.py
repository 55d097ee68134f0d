"""Files on mounts of the kernel's own, which no list of mounts has: statx(2), statfs(2)."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct

_AT_FDCWD = -100
_AT_STATX_DONT_SYNC = 0x4000
_STATX_BASIC_STATS = 0x7FF
_STATX = struct.Struct("=28xH10xQ80xIIII112x")  # stx_mode, stx_size, then major and minor of stx_rdev and stx_dev
_STATFS = 256  # bytes: more than any architecture's struct statfs; its first word is the type
_MQUEUE_MAGIC = 0x19800202
_QUEUE_SIZE = 80  # FILENT_SIZE of ipc/mqueue.c: st_size of every queue


def device_and_kind(path: str) -> tuple[int, bool]:
    """The device of the file, and whether it is a message queue.

    It may also lie on what was unmounted while it was in use, so whoever serves that is not asked: statx(2) is told
    to do with what the kernel knows, and only what looks like a queue is asked for the type of its file system.

    Raises:
        FileNotFoundError: it is gone (ENOENT).
        PermissionError: it may not be looked at (EACCES).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    found = ctypes.create_string_buffer(_STATX.size)
    if libc.statx(_AT_FDCWD, os.fsencode(path), _AT_STATX_DONT_SYNC, _STATX_BASIC_STATS, found):
        raise _error(path)
    mode, size, _, _, major, minor = _STATX.unpack(found.raw)
    if not stat.S_ISREG(mode) or size != _QUEUE_SIZE:
        return os.makedev(major, minor), False
    system = ctypes.create_string_buffer(_STATFS)
    if libc.statfs(os.fsencode(path), system):
        raise _error(path)
    kind = ctypes.c_long.from_buffer(system).value & 0xFFFFFFFF
    return os.makedev(major, minor), kind == _MQUEUE_MAGIC


def _error(path: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number or errno.EIO, os.strerror(number), path)
