"""Why a message queue could not be created: mq_open(3)."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ipckit.errors import LimitError
from ipckit.posix._translate import errno_of, translated

if TYPE_CHECKING:
    from ipckit.errors import IPCError


def refused(error: Exception, name: str, max_messages: int, max_message_size: int) -> IPCError:
    """What a failed creation means: EINVAL stands for either size being beyond its sysctl."""
    if errno_of(error, creating=True) != errno.EINVAL:
        return translated(error, "mq_open", name, creating=True)
    from ipckit.features import limits

    now = limits()
    reasons = [
        f"{argument}={asked} exceeds sysctl {sysctl}={limit}; raise it, or ask for less"
        for argument, asked, sysctl, limit in (
            ("max_messages", max_messages, "fs.mqueue.msg_max", now.mq_max_messages),
            ("max_message_size", max_message_size, "fs.mqueue.msgsize_max", now.mq_max_message_size),
        )
        if limit is not None and asked > limit
    ]
    if not reasons:
        return translated(error, "mq_open", name, creating=True)
    limit_error = LimitError(errno.EINVAL, f"{os.strerror(errno.EINVAL)} ({'; '.join(reasons)})", name)
    limit_error.syscall = "mq_open"
    return limit_error
