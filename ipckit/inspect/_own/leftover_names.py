"""The names of what ipckit keeps in /dev/shm beside its objects."""

from __future__ import annotations

import re

SPILLED = re.compile(r"(ipckit\..+)\.([0-9a-f]{16})([0-9a-f]{16})([0-9a-f]{16})", re.DOTALL)
"""A message in a file: the file of its ring, the ring's id, its position in the stream, and a number of its own."""

NOTE = re.compile(r"ipckit-sysv\.(\d+)\.(msg|sem|shm)\.([0-9a-f]{8})\.(\d+)")
"""Which name a System V key stands for: the IPC namespace, the kind of object, the key, and who made it."""

START = re.compile(r"ipckit-sysv\.start\.(\d+)")
"""Who gives a semaphore set its first values has it locked: the set's number."""

TEMPORARY = re.compile(r"\.ipckit-[0-9a-f]{16}")
"""A file that is being made, where it cannot be made without a name."""


def is_spill_file(name: str) -> bool:
    """Whether a file of that name in /dev/shm is a message of a ring, unless it is a segment."""
    return SPILLED.fullmatch(name) is not None
