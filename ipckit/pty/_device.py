"""Making the two descriptors of a pseudo-terminal: pts(4), ptmx(4), TIOCGPTPEER(2const)."""

from __future__ import annotations

import errno
import fcntl
import os
from struct import Struct

from ipckit.errors import syscall_error

# asm-generic/ioctls.h, which the module termios lacks.
_TIOCGPTN = 0x80045430
_TIOCSPTLCK = 0x40045431
_TIOCGPTPEER = 0x5441

_FLAGS = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
_INT = Struct("i")


def open_master() -> int:
    """A new pseudo-terminal's master, with the terminal side ready to be opened: posix_openpt(3), unlockpt(3)."""
    try:
        fd = os.open("/dev/ptmx", _FLAGS | os.O_NONBLOCK)
    except OSError as error:
        remedy = "raise sysctl kernel.pty.max" if error.errno == errno.ENOSPC else None
        raise syscall_error(error.errno or errno.EIO, "posix_openpt", "/dev/ptmx", remedy=remedy) from None
    try:
        fcntl.ioctl(fd, _TIOCSPTLCK, _INT.pack(0))
    except OSError as error:
        os.close(fd)
        raise syscall_error(error.errno or errno.EIO, "unlockpt", "/dev/ptmx") from None
    return fd


def terminal_name(master: int) -> str:
    """The path of the terminal side: ptsname(3).

    Raises:
        ValueError: *master* is no master of a pseudo-terminal.
    """
    try:
        number = _INT.unpack(fcntl.ioctl(master, _TIOCGPTN, bytes(_INT.size)))[0]
    except OSError:
        raise ValueError(f"fd must be the master of a pseudo-terminal, and descriptor {master} is none") from None
    return f"/dev/pts/{number}"


def open_terminal_of(master: int) -> int:
    """The terminal side of *master*, whatever /dev/pts is mounted here (Linux 4.13); non-blocking, close-on-exec."""
    return fcntl.ioctl(master, _TIOCGPTPEER, _FLAGS | os.O_NONBLOCK)


def open_terminal(path: str, *, blocking: bool = False) -> int:
    """The terminal at *path*, close-on-exec; it never becomes the controlling terminal of this process."""
    try:
        return os.open(path, _FLAGS | (0 if blocking else os.O_NONBLOCK))
    except OSError as error:
        raise syscall_error(error.errno or errno.EIO, "open", path) from None
