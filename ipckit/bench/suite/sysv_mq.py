"""System V message queues: msgop(2).

A queue that is removed is gone at once, for those who use it, too. So it can't be removed before the measurement, as
names are: it stays behind if the benchmark is killed by SIGKILL, until ipcrm(1) removes it.
"""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import sysv_ipc

from ipckit.bench.row import Channel
from ipckit.sysv.msg import MessageQueue

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = Path("/proc/sys/kernel/msgmax")


class SysvQueue(Channel):
    """A queue of the size that the sysctls give it."""

    name = "sysv.MessageQueue"
    about = "ipckit.sysv.MessageQueue, private, of kernel.msgmnb bytes"
    family = "message queue"

    def __init__(self, _size: int, /) -> None:
        self.limit = int(LIMIT.read_text())
        self.queue = MessageQueue.create(remove_on_close=True)

    def refuses(self, size: int, /) -> str | None:
        return refusal(size, self.limit)

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.queue.send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.queue.receive

    def data(self, received: Any, /) -> Any:
        return received[1]


class BareSysvQueue(Channel):
    """The queue of the sysv_ipc package."""

    name = "sysv msg (bare)"
    about = "msgsnd and msgrcv through sysv_ipc.MessageQueue"
    family = "message queue"

    def __init__(self, _size: int, /) -> None:
        self.queue = sysv_ipc.MessageQueue(None, sysv_ipc.IPC_CREX, 0o600)
        self.limit = int(LIMIT.read_text())

    def __getstate__(self) -> tuple[int, int]:
        return self.queue.key, self.limit

    def __setstate__(self, state: tuple[int, int]) -> None:
        key, self.limit = state
        self.queue = sysv_ipc.MessageQueue(key, max_message_size=self.limit)

    def refuses(self, size: int, /) -> str | None:
        return refusal(size, self.limit)

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        send: Callable[[Any], object] = self.queue.send
        return send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        receive: Callable[[], Any] = self.queue.receive
        return receive

    def data(self, received: Any, /) -> Any:
        return received[0]

    def close(self) -> None:
        self.queue.remove()


def refusal(size: int, limit: int) -> str | None:
    """Why no queue carries messages of *size* bytes."""
    return f"message size limit {limit} B (sysctl kernel.msgmax)" if size > limit else None
