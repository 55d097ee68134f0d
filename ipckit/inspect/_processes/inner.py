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
_STATX_MNT_ID = 0x1000  # since Linux 5.8
_STATX = struct.Struct("=I24xH10xQ80xIIIIQ104x")
"""stx_mask, stx_mode, stx_size, major and minor of stx_rdev and of stx_dev, stx_mnt_id."""
_STATFS = 256  # bytes: more than any architecture's struct statfs; its first word is the type
_MQUEUE_MAGIC = 0x19800202
_QUEUE_SIZE = 80  # FILENT_SIZE of ipc/mqueue.c: st_size of every queue


def device_and_kind(path: str, number: int) -> tuple[int, bool]:
    """The device of the file, and whether it is a message queue.

    It may also lie on what was unmounted while it was in use, so whoever serves that is not asked: statx(2) is told
    to do with what the kernel knows, and only what looks like a queue is asked for the type of its file system.

    Args:
        path: a descriptor's, in /proc, behind which there may be another file by now.
        number: of the mount on which the file that is meant lies.

    Raises:
        FileNotFoundError: it is gone, or another file has its place (ENOENT).
        PermissionError: it may not be looked at (EACCES).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    device, may_be_queue = _looked_at(libc, path, number)
    if not may_be_queue:
        return device, False
    system = ctypes.create_string_buffer(_STATFS)
    if libc.statfs(os.fsencode(path), system):
        raise _error(path)
    kind = ctypes.c_long.from_buffer(system).value & 0xFFFFFFFF
    _looked_at(libc, path, number)  # so statfs(2) was about it, too
    return device, kind == _MQUEUE_MAGIC


def _looked_at(libc: ctypes.CDLL, path: str, number: int) -> tuple[int, bool]:
    """The device, and whether it may be a queue."""
    found = ctypes.create_string_buffer(_STATX.size)
    if libc.statx(_AT_FDCWD, os.fsencode(path), _AT_STATX_DONT_SYNC, _STATX_BASIC_STATS | _STATX_MNT_ID, found):
        raise _error(path)
    mask, mode, size, _, _, major, minor, mount = _STATX.unpack(found.raw)
    if mask & _STATX_MNT_ID and mount != number:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return os.makedev(major, minor), stat.S_ISREG(mode) and size == _QUEUE_SIZE


def _error(path: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number or errno.EIO, os.strerror(number), path)
