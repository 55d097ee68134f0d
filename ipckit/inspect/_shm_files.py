"""The files in /dev/shm, and which program's habit a name is: shm_overview(7), sem_overview(7)."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from ipckit._shmfile import DIRECTORY
from ipckit.inspect._verdicts import judge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect._processes.scan import Scan

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
    for entry in list(entries):
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError:  # unlinked meanwhile
            continue
        if stat.S_ISREG(found.st_mode):
            yield entry.name, found


def habit(name: str) -> str | None:
    """Which program or package is known to give such names; None: no guess."""
    return next((who for beginnings, who in _HABITS if name.startswith(beginnings)), None)


def file_fields(name: str, found: os.stat_result, scan: Scan) -> dict[str, Any]:
    """What the records of all such files have: owner, size, time, holders, verdict, and whose habit the name is.

    Args:
        name: without what the kind of object has in front of it.
        found: its status.
    """
    holders = scan.holders(found.st_dev, found.st_ino)
    maker = habit(name)
    return {
        "uid": found.st_uid,
        "gid": found.st_gid,
        "mode": stat.S_IMODE(found.st_mode),
        "size": found.st_size,
        "since": found.st_mtime,
        "holders": holders,
        "unseen": scan.unseen,
        "verdict": judge(holders, scan.unseen, also=f"{maker} gives such names" if maker else ""),
        "made_by": maker,
    }
