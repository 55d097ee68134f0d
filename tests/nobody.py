"""Another user than root: uid and gid 65534, credentials(7)."""

from __future__ import annotations

import codecs
import os

NOBODY = 65534
WAS_ROOT = os.geteuid() == 0  # whoever enters a user namespace becomes its root


def become_nobody() -> None:
    """Give up root for good; nothing where this is no root.

    What Python loads when it is first used is loaded before: nobody may not read a Python in another's home.
    """
    codecs.lookup("ascii")
    if WAS_ROOT:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
