"""What a queue tells besides its messages: its status, and that a message came: mq_overview(7), mq_notify(3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from ipckit._handle import NamedHandle
from ipckit.posix._queue_listing import QueueStatus, status_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

    from ipckit.posix.notification import Notification


class NotifyingQueue(NamedHandle):
    """A handle with the message queue descriptor `_fd`."""

    __slots__ = ("_fd",)

    _fd: int

    def stat(self) -> QueueStatus:
        """What the mqueue file system tells of the queue, which need not be mounted for it: mq_overview(7).

        Raises:
            AccessError: opened with ``receive=False`` (EACCES).
        """
        with self._in_use():
            return status_of(self._fd, self._name)

    @overload
    def notify(self) -> Notification: ...
    @overload
    def notify(self, *, signal: int, value: int = 0) -> None: ...
    @overload
    def notify(self, *, callback: Callable[[Self], object]) -> None: ...
    def notify(
        self, *, signal: int | None = None, value: int = 0, callback: Callable[[Self], object] | None = None
    ) -> Notification | None:
        """Ask to be told, once, when a message comes to the empty queue: mq_notify(3).

        Only one process can be registered with a queue at a time. The registration is used up by the message, and
        dropped when this process closes this or any other handle of the same queue. Whoever waits inside `receive`
        does not suppress it, for that is poll(2); a C program inside mq_receive(3) does.

        Args:
            signal: have the process sent this signal, with si_code SI_MESGQ, the sender's pid, and *value*.
            value: arrives as si_value; -2**31 to 2**31 - 1.
            callback: have it called with this handle, in a thread of its own.

        Returns:
            Without arguments, the registration: pollable, to wait on, to renew.

        Raises:
            BusyError: a process, which may be this one, is registered; the message names it (EBUSY).
            UnsupportedError: AF_NETLINK sockets are forbidden here; a signal needs none (EOPNOTSUPP).
        """
        from ipckit.posix import notification

        if callback is None and signal is None:
            return notification.Notification(self)
        if callback is None:
            notification.send_signal(self, signal, value)
        elif signal is None:
            notification.call_back(self, callback)
        else:
            raise TypeError("notify() takes signal or callback, not both")
        return None

    def cancel_notification(self) -> None:
        """Drop this process's registration with the queue, made through whichever handle; none is fine."""
        from ipckit.posix import notification

        notification.cancel(self)
