"""Files of ours opened for a look, whatever has been put in their place: open(2) with O_PATH first."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from ipckit._glimpse import GLIMPSE

if TYPE_CHECKING:
    from collections.abc import Iterator


class Opened(NamedTuple):
    """A regular file.

    Attributes:
        fd: open for reading; None where that is forbidden.
        status: what stat(2) tells of it.
    """

    fd: int | None
    status: os.stat_result


@contextmanager
def opened(path: str, *, link: bool = False) -> Iterator[Opened | None]:
    """The file at *path*, to be read; None if there is none, or it is no regular file.

    It is looked at before it is opened, so a FIFO or a device is never opened. Nothing here waits.

    Args:
        path: of the file.
        link: follow the link that *path* is, as those in /proc/PID/fd.
    """
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC | (0 if link else os.O_NOFOLLOW))
    except OSError:
        yield None
        return
    fd = None
    try:
        status = os.fstat(place)
        if not stat.S_ISREG(status.st_mode):
            yield None
            return
        try:
            fd = os.open(f"/proc/self/fd/{place}", GLIMPSE)
        except OSError:
            fd = None
        yield Opened(fd, status)
    finally:
        os.close(place)
        if fd is not None:
            os.close(fd)
