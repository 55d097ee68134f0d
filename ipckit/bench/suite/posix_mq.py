"""POSIX message queues: mq_overview(7)."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import posix_ipc

from ipckit.bench.row import Channel
from ipckit.posix.mqueue import MessageQueue

if TYPE_CHECKING:
    from collections.abc import Callable


class PosixQueue(Channel):
    """A queue with the limits that the unprivileged have."""

    name = "posix.MessageQueue"
    about = "ipckit.posix.MessageQueue, as many messages of as many bytes as the sysctls allow everybody"
    family = "message queue"

    def __init__(self, _size: int, /) -> None:
        from ipckit.features import limits  # not at the top: the measuring processes start without it

        allowed = limits()
        self.limit = allowed.mq_max_message_size or 8192
        self.queue = MessageQueue.create(
            max_messages=allowed.mq_max_messages or 10, max_message_size=self.limit, unlink_on_close=True
        )

    def refuses(self, size: int, /) -> str | None:
        return f"message size limit {self.limit} B (sysctl fs.mqueue.msgsize_max)" if size > self.limit else None

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        return self.queue.send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        return self.queue.receive

    def data(self, received: Any, /) -> Any:
        return received[0]


class BarePosixQueue(PosixQueue):
    """The same queue, through the posix_ipc package alone."""

    name = "posix_ipc mq (bare)"
    about = "the same queue through posix_ipc.MessageQueue"

    def __getstate__(self) -> str:
        return self.queue.name

    def __setstate__(self, name: str) -> None:
        self.bare = posix_ipc.MessageQueue(name)

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        send: Callable[[Any], object] = self.bare.send
        return send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        receive: Callable[[], Any] = self.bare.receive
        return receive
