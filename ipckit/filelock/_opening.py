"""The file of a lock: open(2)."""

from __future__ import annotations

import errno
import os

from ipckit._arguments import check_int
from ipckit.errors import check, syscall_error


def checked(fd: int) -> int:
    """The descriptor *fd*, if it is open."""
    check_int(fd, "path_or_fd", 0, (1 << 31) - 1, "a descriptor")
    try:
        os.fstat(fd)
    except OSError as error:
        check(-(error.errno or errno.EBADF), "fstat", f"fd {fd}")
    return fd


def opened(path: str | os.PathLike[str], mode: int) -> tuple[str, int]:
    """*path* as text, and a descriptor of its file, which is created with *mode* where there is none."""
    if isinstance(path, bytes) or not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path_or_fd must be a path as str, or a descriptor, not {path!r}")
    text = os.fspath(path)
    if not text or "\0" in text:
        raise ValueError(f"path_or_fd must be a path without NUL characters, and not empty: {text!r}")
    try:
        return text, _open(text, mode)
    except OSError as error:
        raise syscall_error(error.errno or errno.EIO, "open", text) from None


def _open(path: str, mode: int) -> int:
    # fs.protected_regular(5) forbids O_CREAT on another user's file in a sticky directory, whatever the file's mode.
    # To read is enough for shared locks, and for flock(2) of any kind.
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDWR):
        try:
            return os.open(path, flags | os.O_CLOEXEC, mode)
        except OSError as error:
            if error.errno not in {errno.EACCES, errno.EROFS, errno.EISDIR}:
                raise
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
