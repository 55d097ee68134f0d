"""Rules for the names and modes of objects: mq_overview(7), sem_overview(7), shm_overview(7), chmod(2)."""

from __future__ import annotations

import errno
import os
from typing import AnyStr

from ipckit.errors import syscall_error

NAME_MAX = 255  # limits.h; tmpfs and the mqueue file system keep to it


def unique_name() -> str:
    """A name that nobody else has: it carries 64 random bits, and the pid for those who look in /dev/shm."""
    return f"/ipckit-{os.getpid()}-{os.urandom(8).hex()}"


def posix_name(name: object, *, prefix: str = "") -> str:
    """Return *name* if it is "/" and then 1 to 255 bytes without a slash or NUL; else say what is wrong with it.

    Args:
        name: what the user gave.
        prefix: what the kernel's or our file name has in front of it, which counts against the 255 bytes.

    Raises:
        TypeError: *name* is no str.
        ValueError: it breaks a rule.
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a str such as '/name', not {type(name).__name__}")
    if not name.startswith("/"):
        raise ValueError(f"name must begin with a slash, as in '/name': {name!r}")
    if len(name) == 1:
        raise ValueError("name must have at least one character after its slash: '/'")
    if "/" in name[1:]:
        raise ValueError(f"name must have no slash but its first: {name!r}")
    if "\0" in name:
        raise ValueError(f"name must have no NUL character: {name!r}")
    if name in ("/.", "/.."):
        raise ValueError(f"name must not be a directory's own entry: {name!r}")
    length = len(os.fsencode(name)) - 1
    limit = NAME_MAX - len(prefix)
    if length > limit:
        raise ValueError(
            f"name must have at most {limit} bytes after its slash, this one has {length}: {name[:40]!r}..."
        )
    return name


def checked_path(path: object) -> str:
    """Return *path* as an absolute str, for whoever gets it may stand in another directory.

    Raises:
        TypeError: *path* is no str and no path object.
        ValueError: it is empty, or has a NUL.
        NotFoundError: it is relative, and the current directory is no more (ENOENT).
    """
    if isinstance(path, bytes) or not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a str or a path object, not {type(path).__name__}")
    name = os.fsdecode(path)
    if not name:
        raise ValueError("path must not be empty")
    if "\0" in name:
        raise ValueError(f"path must have no NUL character: {name!r}")
    return absolute(name)


def absolute(path: AnyStr) -> AnyStr:
    """Return *path* as an absolute one.

    Raises:
        NotFoundError: it is relative, and the current directory is no more (ENOENT).
    """
    try:
        return os.path.abspath(path)
    except FileNotFoundError:
        remedy = "the current directory was removed"
        raise syscall_error(errno.ENOENT, "getcwd", os.fsdecode(path), remedy=remedy) from None


def check_mode(mode: object) -> int:
    """Return *mode* if it is permission bits: 0 to 0o777."""
    if isinstance(mode, bool) or not isinstance(mode, int):
        raise TypeError(f"mode must be an int of permission bits such as 0o600, not {mode!r}")
    if not 0 <= mode <= 0o777:
        raise ValueError(f"mode must be permission bits, 0 to 0o777, not {mode:#o}")
    return mode
