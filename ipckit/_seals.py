"""Seals, which take from everybody the right to change a memfd in some way: F_ADD_SEALS of fcntl(2)."""

from __future__ import annotations

import enum
import errno
import fcntl


class Seal(enum.IntFlag):
    """What nobody can do any more, whoever has the memfd; seals are added and never taken away."""

    SEAL = 0x01
    """Add further seals (F_SEAL_SEAL)."""
    SHRINK = 0x02
    """Make it smaller: to touch its memory can't be SIGBUS any more (F_SEAL_SHRINK)."""
    GROW = 0x04
    """Make it larger (F_SEAL_GROW)."""
    WRITE = 0x08
    """Change its content (F_SEAL_WRITE)."""
    FUTURE_WRITE = 0x10
    """Change its content, except through mappings that exist (F_SEAL_FUTURE_WRITE, Linux 5.1)."""
    EXEC = 0x20
    """Change its execute permission bits (F_SEAL_EXEC, Linux 6.3)."""


def seals_of(fd: int) -> Seal | None:
    """The seals of *fd*, with bits that this module does not know, too; None where it is of no kind that has any."""
    try:
        return Seal(fcntl.fcntl(fd, fcntl.F_GET_SEALS))
    except OSError:
        return None


def seal_against(number: int, fd: int, *kinds: Seal) -> str | None:
    """What to say of an EPERM: which of *kinds* of seals *fd* has; None where that is not the reason."""
    found = seals_of(fd)
    if number != errno.EPERM or not found:
        return None
    names = [f"Seal.{kind.name}" for kind in kinds if kind in found]
    return f"it has the seal {' and '.join(names)}, which nobody can take off" if names else None
