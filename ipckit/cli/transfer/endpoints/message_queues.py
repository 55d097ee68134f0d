"""POSIX and System V message queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.cli.transfer.addresses import system_v
from ipckit.cli.transfer.endpoints import Endpoint, How

if TYPE_CHECKING:
    from ipckit import posix, sysv

_MAX_MESSAGES, _MAX_SIZE = 10, 8192  # the kernel's defaults


class PosixQueue(Endpoint):
    """A POSIX message queue."""

    handle: posix.MessageQueue

    def __init__(self, handle: posix.MessageQueue, priority: int) -> None:
        super().__init__(handle)
        self._priority = priority

    def send(self, message: bytes, timeout: float | None) -> None:
        """Append the message with the priority that was chosen."""
        self.handle.send(message, priority=self._priority, timeout=timeout)

    def receive(self, timeout: float | None) -> bytes:
        """Take the oldest message of the highest priority."""
        return self.handle.receive(timeout).data

    def unlink(self) -> None:
        """Remove its name."""
        self.handle.unlink()


class SystemVQueue(Endpoint):
    """A System V message queue."""

    handle: sysv.MessageQueue

    def __init__(self, handle: sysv.MessageQueue, type: int) -> None:
        super().__init__(handle)
        self._type = type

    def send(self, message: bytes, timeout: float | None) -> None:
        """Append the message with the type that was chosen."""
        self.handle.send(message, type=self._type, timeout=timeout)

    def receive(self, timeout: float | None) -> bytes:
        """Take the message that the chosen type selects."""
        return self.handle.receive(type=self._type, timeout=timeout).data

    def unlink(self) -> None:
        """Remove the queue; whoever waits on it is told."""
        self.handle.remove()


def sender(kind: str, name: str, how: How) -> Endpoint:
    """A queue, opened to send."""
    if kind == "mq":
        return PosixQueue(_posix(name, how, receive=False), how.priority)
    type = _type(how, 1)
    return SystemVQueue(_system_v(name, how, receive=False), type)


def receiver(kind: str, name: str, how: How) -> Endpoint:
    """A queue, opened to receive."""
    if kind == "mq":
        return PosixQueue(_posix(name, how, send=False), 0)
    type = _type(how, 0)
    return SystemVQueue(_system_v(name, how, send=False), type)


def _posix(name: str, how: How, **access: bool) -> posix.MessageQueue:
    from ipckit.posix import MessageQueue

    if not how.create:
        return MessageQueue.open(name, **access)
    sizes = {"max_messages": how.max_messages or _MAX_MESSAGES, "max_message_size": how.max_size or _MAX_SIZE}
    return MessageQueue.open_or_create(name, mode=how.mode, **sizes)


def _system_v(name: str, how: How, **access: bool) -> sysv.MessageQueue:
    from ipckit.sysv import MessageQueue

    number, own = system_v(name)
    if own:
        return MessageQueue.open_id(number)
    if not how.create:
        return MessageQueue.open(number, **access)
    return MessageQueue.open_or_create(number, mode=how.mode)


def _type(how: How, usual: int) -> int:
    try:
        return usual if how.type is None else int(how.type, 0)
    except ValueError:
        raise ValueError(f"--type of a System V message must be a number, not {how.type!r}") from None
