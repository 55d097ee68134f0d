"""Where the POSIX message queues of this IPC namespace are to be seen: mq_overview(7)."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ipckit._mqueue_mount import private_mount
from ipckit.features import mqueue_mount

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def queue_folder() -> Iterator[str | None]:
    """A folder with a file for each queue; None: they cannot be listed.

    What is mounted for all is not asked by who may mount for himself: it may show the queues of another IPC namespace.
    """
    mounted = private_mount()
    if mounted is None:
        yield mqueue_mount()
        return
    try:
        yield f"/proc/self/fd/{mounted}"
    finally:
        os.close(mounted)
