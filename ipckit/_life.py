"""Names of segments are given and taken away so that nobody who has one loses it: native/include/ipckit/life.h."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ipckit._native_quick import lib as quick
from ipckit._retry import patiently
from ipckit.errors import check, syscall_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

_PATIENCE = 5.0  # seconds; who removes something has it for less than one, unless it is stopped
_FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def open_held(path: str, name: str) -> int:
    """Open the segment at *path*, and hold its life lock: while the descriptor is open, nobody cleans it away.

    Raises:
        NotFoundError: there is none (ENOENT).
        AccessError: its mode forbids it (EACCES).
        BusyError: it has been under removal for five seconds (EBUSY).
    """
    encoded = os.fsencode(path)
    return check(_patiently(lambda: quick.ipk_life_open(encoded), "open", name), "open", name)


def held(fd: int) -> int:
    """*fd*, which came from elsewhere, with the life lock of the segment behind it, if it is one.

    Raises:
        BusyError: it has been under removal for five seconds (EBUSY); *fd* is closed.
    """
    try:
        _patiently(lambda: quick.ipk_life_hold(fd), "fcntl", fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def unlink_held(path: str, name: str, *, wanted: Callable[[int], bool] | None = None) -> None:
    """Take the name away from whatever segment has it; never from one that got it while we looked.

    Where the file may not be opened for writing, its name goes without a look, as by unlink(2).

    Args:
        path: of the file.
        name: for errors.
        wanted: tells of a descriptor whether it leads to the segment that is meant; None: all do.

    Raises:
        NotFoundError: there is no such name, or it is another segment's (ENOENT).
        BusyError: another process has been unlinking it for five seconds (EBUSY).
    """
    _patiently(lambda: _try_to_unlink(path, name, wanted), "unlink", name)


class Removal:
    """The removal of a segment that nobody has: while it lasts, nobody else can open it. For a ``with`` block.

    Attributes:
        fd: the segment, open for reading and writing.
    """

    __slots__ = ("_path", "fd")

    def __init__(self, path: str) -> None:
        """Begin to remove the segment at *path*.

        Raises:
            NotFoundError: there is none (ENOENT).
            AccessError: it may not be written (EACCES).
            BusyError: somebody has it, or removes it (EBUSY).
        """
        self._path = path
        try:
            self.fd = os.open(path, _FLAGS)
        except OSError as error:
            raise syscall_error(error.errno or 0, "open", path) from None
        rc = quick.ipk_life_begin_removal(self.fd)
        if rc < 0:
            os.close(self.fd)
            remedy = "somebody has it, or is removing it" if rc == -errno.EBUSY else None
            raise syscall_error(-rc, "fcntl", path, remedy=remedy)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        quick.ipk_life_let_go(self.fd)  # a child that another thread has forked has the description, too
        os.close(self.fd)

    def finish(self) -> None:
        """Take the name away.

        Raises:
            NotFoundError: the name is gone, or leads to another file (ENOENT).
            AccessError: the directory does not let us (EACCES, EPERM).
        """
        rc = quick.ipk_life_unlink(os.fsencode(self._path), self.fd)
        check(-errno.ENOENT if rc == -errno.ESTALE else rc, "unlink", self._path)


def _try_to_unlink(path: str, name: str, wanted: Callable[[int], bool] | None) -> int:
    """Returns -EAGAIN where it must be tried again."""
    try:
        fd = os.open(path, _FLAGS)
    except OSError:
        _unlink(path, name)
        return 0
    try:
        if wanted is not None and not wanted(fd):
            raise syscall_error(errno.ENOENT, "unlink", name, remedy="the name is another one's now")
        rc = quick.ipk_life_begin_unlink(fd)
        if rc == -errno.EAGAIN:
            return rc
        if rc < 0:  # a file that can't be locked
            _unlink(path, name)
            return 0
        rc = quick.ipk_life_unlink(os.fsencode(path), fd)
        quick.ipk_life_let_go(fd)
    finally:
        os.close(fd)
    return -errno.EAGAIN if rc == -errno.ESTALE else check(rc, "unlink", name)


def _unlink(path: str, name: str) -> None:
    try:
        os.unlink(path)
    except OSError as error:
        raise syscall_error(error.errno or 0, "unlink", name) from None


def _patiently(attempt: Callable[[], int], call: str, subject: object) -> int:
    """Try again while another process is removing the segment."""
    rc = patiently(attempt, _PATIENCE)
    if rc == -errno.EAGAIN:
        remedy = "it is being removed, by a process that is stopped, or hangs"
        raise syscall_error(errno.EBUSY, call, subject, remedy=remedy)
    return rc
