"""How much there is to be read: FIONREAD of ioctl_pipe(2), SIOCINQ of unix(7), tcp(7) and udp(7)."""

from __future__ import annotations

import array
import fcntl
import termios
from typing import TYPE_CHECKING

from ipckit._retry import failure

if TYPE_CHECKING:
    from ipckit._handle import FdHandle


def queued(handle: FdHandle) -> int:
    """The bytes that a read of *handle* would find; of a pipe both ends know it."""
    handle._check_open()
    count = array.array("i", [0])
    try:
        fcntl.ioctl(handle._fd, termios.FIONREAD, count)
    except OSError as error:
        raise failure(handle, error, "ioctl(FIONREAD)") from None
    return count[0]
