"""How a file is opened by who only looks into it, so that others who look take nobody for its user: open(2)."""

from __future__ import annotations

import os

GLIMPSE = os.O_RDONLY | os.O_DSYNC | os.O_CLOEXEC
"""The flags. O_DSYNC is about writing; whoever has a use for the file, and reads it, does not say so."""

_PLACE = os.O_PATH | os.O_NOFOLLOW


def is_glimpse(flags: int) -> bool:
    """Whether a descriptor that has these flags, as proc_pid_fdinfo(5) tells them, is of such a look.

    It may also be one of the place alone, which a look takes before it opens the file.
    """
    return flags & (os.O_ACCMODE | os.O_DSYNC) == os.O_DSYNC or flags & _PLACE == _PLACE
