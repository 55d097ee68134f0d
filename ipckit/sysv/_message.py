"""What comes out of a System V message queue, and how a receiver chooses: msgop(2), msgctl(2)."""

from __future__ import annotations

from typing import NamedTuple

from ipckit._arguments import check_int
from ipckit._native import lib

TYPE_MAX = (1 << 63) - 1
TRUNCATE: int = lib.IPK_SYSV_MSG_TRUNCATE


class Message(NamedTuple):
    """One received message."""

    type: int
    data: bytes


class QueueStatus(NamedTuple):
    """What msgctl(2) IPC_STAT tells. Times are whole seconds since 1970, 0 for never; pids are 0 for none."""

    key: int
    """-2**31 to 2**31 - 1; 0 if it is private."""
    uid: int
    gid: int
    creator_uid: int
    creator_gid: int
    mode: int
    """Permission bits."""
    messages: int
    """In the queue now."""
    bytes: int
    """Of data in the queue now."""
    max_bytes: int
    """Of data in the queue at most; it takes no more messages than this number, either."""
    last_send_pid: int
    last_receive_pid: int
    last_send_time: int
    last_receive_time: int
    change_time: int
    """When it was made, or `MessageQueue.set` was last called."""


class Choice(NamedTuple):
    """Which messages a receiver takes."""

    type: int
    flags: int  # as the C core takes them
    max_size: int | None

    @classmethod
    def of(cls, type: int, except_type: int | None, max_size: int | None, *, truncate: bool) -> Choice:
        """What the arguments of `MessageQueue.receive` mean, if they mean anything."""
        flags = 0
        check_int(type, "type", -TYPE_MAX, TYPE_MAX, "a message type")
        if max_size is not None:
            check_int(max_size, "max_size", 0, TYPE_MAX, "bytes")
        if truncate:
            if max_size is None:
                raise ValueError("max_size must be given where truncate is true")
            flags |= TRUNCATE
        if except_type is not None:
            if type != 0:
                raise ValueError("type must be left out where except_type is given")
            type = check_int(except_type, "except_type", 1, TYPE_MAX, "a message type")
            flags |= lib.IPK_SYSV_MSG_EXCEPT
        return cls(type, flags, max_size)
