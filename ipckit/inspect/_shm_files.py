"""The files in /dev/shm, and which program's habit a name is: shm_overview(7), sem_overview(7)."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from ipckit._shmfile import DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Iterator

SEMAPHORE = "sem."
OURS = ("ipckit.", "ipckit-sysv.", ".ipckit-")

_HABITS = (
    (("psm_",), "multiprocessing.shared_memory"),
    (("mp-",), "multiprocessing"),
    (("pym-",), "multiprocessing.heap"),
    (("loky-",), "loky"),
    (("torch_",), "PyTorch"),
    (("pulse-shm-",), "PulseAudio"),
    (("PostgreSQL.",), "PostgreSQL"),
    ((".org.chromium.", ".com.google.Chrome."), "Chromium"),
)


def shm_files() -> Iterator[tuple[str, os.stat_result]]:
    """Name and status of each file in /dev/shm that is one; of links, FIFOs and folders it is not the place."""
    try:
        entries = os.scandir(DIRECTORY)
    except OSError:
        return
    with entries:
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
            except OSError:  # unlinked meanwhile
                continue
            if stat.S_ISREG(found.st_mode):
                yield entry.name, found


def habit(name: str) -> str | None:
    """Which program or package is known to give such names; None: no guess."""
    return next((who for beginnings, who in _HABITS if name.startswith(beginnings)), None)
