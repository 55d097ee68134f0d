"""What IPC_SET changes of every System V object: its mode, owner and group."""

from __future__ import annotations

from typing import Any

from ipckit._arguments import check_int
from ipckit._names import check_mode

_ID_MAX = (1 << 32) - 2  # of a user or group; -1 means none


def set_owner(status: Any, mode: int | None, uid: int | None, gid: int | None) -> None:
    """Write into *status*, a struct of the C core, what is not None.

    Raises:
        TypeError: it is no int.
        ValueError: it is no permission bits, or no user or group.
    """
    if mode is not None:
        status.mode = check_mode(mode)
    if uid is not None:
        status.uid = check_int(uid, "uid", 0, _ID_MAX, "a user")
    if gid is not None:
        status.gid = check_int(gid, "gid", 0, _ID_MAX, "a group")
