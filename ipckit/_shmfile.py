"""Files in /dev/shm that are whole before they have a name: shm_overview(7), open(2) O_TMPFILE, linkat(2)."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ipckit._seals import Seal, seal_against, seals_of
from ipckit.errors import syscall_error

if TYPE_CHECKING:
    from collections.abc import Callable

DIRECTORY = "/dev/shm"

_CHUNK = 8 << 20  # bytes; tmpfs undoes an interrupted fallocate, so a whole one might never end under a fast timer
_NO_TMPFILE = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)
_HIDDEN = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW


def unlink_unlocked(path: str) -> None:
    """Remove a lock file that whoever was killed with it has left; one that is locked, flock(2), is left alone."""
    import fcntl

    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.stat(path), os.fstat(fd)):
            os.unlink(path)
    except OSError:  # whoever has it takes it away; or it is another user's
        pass
    finally:
        os.close(fd)


def publish(path: str, mode: int, fill: Callable[[int], None], subject: str) -> int:
    """Make a file without a name, let *fill* write it, then give it *path*, exclusively and atomically.

    Whoever is killed on the way leaves nothing (a stray ``.ipckit-*`` file where O_TMPFILE or /proc is missing).

    Args:
        path: absolute; in a directory of one file system.
        mode: permission bits, exactly, whatever the umask.
        fill: called with the descriptor; what it raises goes through, and nothing is left.
        subject: the name to blame in errors.

    Returns:
        The descriptor, close-on-exec, open for reading and writing.

    Raises:
        AlreadyExistsError: *path* is taken (EEXIST).
    """
    try:
        fd = os.open(os.path.dirname(path), os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in _NO_TMPFILE:
            return _publish_by_rename(path, mode, fill, subject)
        raise syscall_error(error.errno or 0, "open", subject) from None
    try:
        fill(fd)
        # An os.link without a directory descriptor is link(2), which does not follow the /proc symlink.
        _name_it(fd, f"/proc/self/fd/{fd}", path, mode, subject)
    except FileNotFoundError:
        os.close(fd)
        if os.path.exists("/proc/self/fd"):
            raise
        return _publish_by_rename(path, mode, fill, subject)
    except BaseException:
        os.close(fd)
        raise
    return fd


def reserve(fd: int, start: int, end: int, subject: object, *, full: str | None = None) -> None:
    """Give the file memory for the bytes from *start*, its present size, to *end*: posix_fallocate(3).

    Args:
        full: what the caller can do if there is no room; by default what helps where the file is in /dev/shm.

    Raises:
        LimitError: the file system is full (ENOSPC); the file has its old size again.
        AccessError: a seal of a memfd forbids to grow (EPERM).
    """
    # What is sealed can't be given its old size again. So it gets its memory first, and then its size.
    sealed = Seal.SHRINK in (seals_of(fd) or Seal(0))
    try:
        _allocate(fd, start, end, end - start, _allocate_beyond if sealed else os.posix_fallocate)
    except BaseException as error:
        os.ftruncate(fd, start)  # to the size that it has, too: that frees what lies beyond
        if isinstance(error, OSError) and error.errno is not None:
            remedy = full if error.errno == errno.ENOSPC else seal_against(error.errno, fd, Seal.GROW)
            raise syscall_error(error.errno, "posix_fallocate", subject, remedy=remedy) from None
        raise
    if sealed:
        try:
            os.ftruncate(fd, end)
        except OSError as error:
            number = error.errno or 0
            raise syscall_error(number, "ftruncate", subject, remedy=seal_against(number, fd, Seal.GROW)) from None


def fill_holes(fd: int, subject: object, *, full: str) -> None:
    """Give the file memory where it has holes; its size and content stay.

    Raises:
        LimitError: the file system has no room for them (ENOSPC); some may be filled.
    """
    found = os.fstat(fd)
    try:
        _allocate(fd, 0, found.st_size, found.st_size - found.st_blocks * 512, os.posix_fallocate)
    except OSError as error:
        remedy = full if error.errno == errno.ENOSPC else None
        raise syscall_error(error.errno or 0, "posix_fallocate", subject, remedy=remedy) from None


def set_size(fd: int, before: int, size: int, subject: object, *, full: str | None = None) -> None:
    """Give the file, which has *before* bytes, *size* bytes; what it grows by is reserved, as `reserve` does."""
    if size > before:
        reserve(fd, before, size, subject, full=full)
    elif size < before:
        try:
            os.ftruncate(fd, size)
        except OSError as error:
            number = error.errno or 0
            raise syscall_error(number, "ftruncate", subject, remedy=seal_against(number, fd, Seal.SHRINK)) from None


def refuse_to_shrink(before: int, size: int, shrink: bool) -> None:  # noqa: FBT001
    """Raise ValueError if *size* is less than *before*, unless *shrink* says that it is meant so."""
    if size < before and not shrink:
        raise ValueError(f"size is {before} bytes now; pass shrink=True to cut it to {size}")


def _allocate(fd: int, start: int, end: int, need: int, allocate: Callable[[int, int, int], None]) -> None:
    # In chunks the kernel finds out only when everything is used up, the others' share, too: so ask before.
    space = os.fstatvfs(fd)
    free = space.f_bavail * space.f_frsize if space.f_blocks else _memory()  # a tmpfs without a limit says 0
    if need > free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    for offset in range(start, end, _CHUNK):
        allocate(fd, offset, min(_CHUNK, end - offset))


def _allocate_beyond(fd: int, offset: int, size: int) -> None:
    """As `os.posix_fallocate`, but that the file's end stays where it is: fallocate(2)."""
    from ipckit._native import lib

    while (rc := lib.ipk_memory_allocate(fd, offset, size)) == -errno.EINTR:  # signal handlers run in between
        pass
    if rc:
        raise OSError(-rc, os.strerror(-rc))


def _publish_by_rename(path: str, mode: int, fill: Callable[[int], None], subject: str) -> int:
    hidden = f"{os.path.dirname(path)}/.ipckit-{os.urandom(8).hex()}"
    try:
        fd = os.open(hidden, _HIDDEN | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise syscall_error(error.errno or 0, "open", subject) from None
    try:
        fill(fd)
        _name_it(fd, hidden, path, mode, subject)
    except BaseException:
        os.close(fd)
        raise
    finally:
        os.unlink(hidden)
    return fd


def _name_it(fd: int, source: str, path: str, mode: int, subject: str) -> None:
    try:
        os.fchmod(fd, mode)
        os.link(source, path, src_dir_fd=fd, follow_symlinks=True)
    except OSError as error:
        raise syscall_error(error.errno or 0, "linkat", subject) from None


def _memory() -> int:
    """Bytes of memory that the machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
