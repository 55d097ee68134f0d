"""POSIX message queues: mq_overview(7)."""

from __future__ import annotations

import errno
import os
import select
from typing import TYPE_CHECKING, Any, NamedTuple

import posix_ipc

from ipckit._arguments import check_int, check_timeout
from ipckit._handle import new_name, reopen
from ipckit._names import check_mode, posix_name
from ipckit._wait import Deadline, wait_fd
from ipckit.errors import syscall_error
from ipckit.posix._queue_lane import Lane, lane_of
from ipckit.posix._queue_listing import QueueStatus, message_queues
from ipckit.posix._queue_notifying import NotifyingQueue
from ipckit.posix._queue_refusal import refused
from ipckit.posix._translate import translated

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer, Self

__all__ = ["Message", "MessageQueue", "QueueAttributes", "QueueStatus", "message_queues"]

_EAGAIN = -errno.EAGAIN
_EINTR = -errno.EINTR
_INT_MAX = (1 << 31) - 1
_PRIORITY_MAX = posix_ipc.QUEUE_PRIORITY_MAX  # MQ_PRIO_MAX - 1


class Message(NamedTuple):
    """One received message."""

    data: bytes
    priority: int


class QueueAttributes(NamedTuple):
    """What mq_getattr(3) tells: sizes in bytes."""

    max_messages: int
    max_message_size: int
    current_messages: int


class MessageQueue(NotifyingQueue):
    """A kernel queue of discrete messages, highest priority first, oldest first among equals.

    A message arrives whole or not at all, and stays in the kernel until one receiver takes it, whoever dies
    meanwhile. Safe to share between threads and across fork(2): the kernel serialises every operation. A wait ends
    after a signal handler that raises, and with ClosedError when another thread closes the handle.

    `fileno` is pollable: POLLIN when there is a message, POLLOUT when there is room. O_NONBLOCK of its file
    description, which a forked child and whoever else was given the descriptor share, is neither set nor looked at:
    change it as others need it.

    >>> with MessageQueue.create("/ipckit-doc-mq", unlink_on_close=True) as queue:
    ...     queue.send(b"ping", priority=3)
    ...     queue.receive(timeout=1.0)
    Message(data=b'ping', priority=3)
    """

    __slots__ = ("_access", "_lane", "_max_message_size", "_max_messages", "_queue", "_receive", "_send")

    pollable = True

    def __init__(self, name: str, queue: posix_ipc.MessageQueue, access: dict[str, bool], *, unlink: bool) -> None:
        super().__init__(name, unlink_on_close=unlink)
        self._queue = queue
        self._access = access
        self._fd: int = queue.mqd
        self._max_messages: int = queue.max_messages
        self._max_message_size: int = queue.max_message_size
        self._lane: Lane[Message] = lane_of(self._fd, self._max_message_size, Message)
        self._send = self._lane.send
        self._receive = self._lane.receive

    @classmethod
    def create(
        cls,
        name: str | None = None,
        *,
        max_messages: int = 10,
        max_message_size: int = 8192,
        mode: int = 0o600,
        unlink_on_close: bool = False,
    ) -> Self:
        """Create a queue, exclusively.

        Args:
            name: "/" and then up to 255 bytes; None makes a unique one, which is yours to unlink all the same.
            max_messages: at most `features.limits().mq_max_messages` unless privileged.
            max_message_size: bytes; at most `features.limits().mq_max_message_size` unless privileged.
            mode: permission bits, exactly, whatever the umask (which narrows them until fchmod(2) has run).
            unlink_on_close: `close` unlinks the name too, in the process that created it.

        Raises:
            AlreadyExistsError: *name* is taken (EEXIST).
            LimitError: a size is beyond its sysctl (EINVAL), there are too many queues (ENOSPC), or they take
                more than RLIMIT_MSGQUEUE bytes (EMFILE).
        """
        name = posix_name(new_name(name))
        check_int(max_messages, "max_messages", 1, _INT_MAX, "messages")
        check_int(max_message_size, "max_message_size", 1, _INT_MAX, "bytes")
        check_mode(mode)
        try:
            queue = posix_ipc.MessageQueue(
                name,
                posix_ipc.O_CREX,
                mode=mode,
                max_messages=max_messages,
                max_message_size=max_message_size,
            )
        except Exception as error:
            raise refused(error, name, max_messages, max_message_size) from None
        handle = cls(name, queue, {}, unlink=unlink_on_close)
        try:
            os.fchmod(handle._fd, mode)
        except OSError as error:
            handle.unlink()
            handle.close()
            raise syscall_error(error.errno or 0, "fchmod", name) from None
        return handle

    @classmethod
    def open(cls, name: str, *, receive: bool = True, send: bool = True) -> Self:
        """Open an existing queue.

        Args:
            receive: ask for the right to receive.
            send: ask for the right to send; a queue of mode 0o622 lets others do only this.

        Raises:
            NotFoundError: there is no queue of that name (ENOENT).
            AccessError: its mode forbids what is asked for (EACCES).
        """
        posix_name(name)
        if not (receive or send):
            raise ValueError("at least one of receive and send must be true")
        try:
            queue = posix_ipc.MessageQueue(name, read=receive, write=send)
        except Exception as error:
            raise translated(error, "mq_open", name) from None
        access = {} if receive and send else {"receive": bool(receive), "send": bool(send)}
        return cls(name, queue, access, unlink=False)

    @classmethod
    def unlink_name(cls, name: str) -> None:
        """Destroy *name*; the queue goes when the last process that has it open lets go.

        Raises:
            NotFoundError: there is no queue of that name (ENOENT).
        """
        posix_name(name)
        try:
            posix_ipc.unlink_message_queue(name)
        except Exception as error:
            raise translated(error, "mq_unlink", name) from None

    def send(self, data: Buffer, *, priority: int = 0, timeout: float | None = None) -> None:
        """Append *data*, waiting while the queue is full: mq_timedsend(3).

        Args:
            data: any C-contiguous buffer of at most `max_message_size` bytes; may be empty.
            priority: 0 (lowest) to 32767.
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: the queue stayed full (ETIMEDOUT).
            MessageTooLargeError: *data* exceeds `max_message_size` (EMSGSIZE).
        """
        if timeout is not None:
            check_timeout(timeout)
        if type(data) is not bytes:
            data = _as_bytes(data)
        try:
            rc = self._send(data, priority)
        except (OverflowError, TypeError):
            rc = -errno.EINVAL
        if rc:
            self._send_waiting(rc, data, priority, timeout)

    def try_send(self, data: Buffer, *, priority: int = 0) -> bool:
        """Append *data* if there is room now. Returns whether there was; otherwise as `send`."""
        if type(data) is not bytes:
            data = _as_bytes(data)
        while True:
            try:
                rc = self._send(data, priority)
            except (OverflowError, TypeError):
                rc = -errno.EINVAL
            if not rc:
                return True
            if rc == _EAGAIN:
                return False
            self._send_failed(rc, data, priority)

    def receive(self, timeout: float | None = None) -> Message:
        """Take the oldest message of the highest priority, waiting for one: mq_timedreceive(3).

        Args:
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: the queue stayed empty (ETIMEDOUT).
        """
        if timeout is not None:
            check_timeout(timeout)
        message = self._receive()
        return self._receive_waiting(message, timeout) if type(message) is int else message  # type: ignore[return-value]

    def try_receive(self) -> Message | None:
        """Take a message if there is one now; None if there is none."""
        while isinstance(message := self._receive(), int):
            if message == _EAGAIN:
                return None
            self._receive_failed(message)
        return message

    def attributes(self) -> QueueAttributes:
        """The queue's limits, and how many messages it holds now: mq_getattr(3)."""
        self._check_open()
        try:
            current = self._queue.current_messages
        except Exception as error:
            self._check_open()
            raise translated(error, "mq_getattr", self._name) from None
        return QueueAttributes(self._max_messages, self._max_message_size, current)

    @property
    def max_messages(self) -> int:
        """How many messages it holds at most; fixed at creation."""
        return self._max_messages

    @property
    def max_message_size(self) -> int:
        """Bytes in the longest message that it takes; fixed at creation."""
        return self._max_message_size

    def fileno(self) -> int:
        """The message queue descriptor, on Linux a file descriptor; it stays ours to close."""
        self._check_open()
        return self._fd

    def _send_waiting(self, rc: int, data: bytes, priority: int, timeout: float | None) -> None:
        if rc != _EAGAIN:
            self._send_failed(rc, data, priority)
        deadline = Deadline.after(timeout)  # the clock is read only now: nothing has waited yet
        while wait_fd(self, self._fd, select.POLLOUT, deadline):
            if self.try_send(data, priority=priority):
                return
        raise syscall_error(errno.ETIMEDOUT, "mq_timedsend", self._name)

    def _receive_waiting(self, rc: int, timeout: float | None) -> Message:
        if rc != _EAGAIN:
            self._receive_failed(rc)
        deadline = Deadline.after(timeout)
        while wait_fd(self, self._fd, select.POLLIN, deadline):
            message = self.try_receive()
            if message is not None:
                return message
        raise syscall_error(errno.ETIMEDOUT, "mq_timedreceive", self._name)

    def _send_failed(self, rc: int, data: bytes, priority: object) -> None:
        """Raise what *rc* of a send means; return if it is only to be tried again."""
        self._check_open()
        if rc == _EINTR:
            return
        if len(data) > self._max_message_size:
            remedy = f"max_message_size is {self._max_message_size}; send less, or create the queue with more"
            raise syscall_error(errno.EMSGSIZE, "mq_send", self._name, remedy=remedy)
        check_int(priority, "priority", 0, _PRIORITY_MAX, "higher is received first")
        self._refuse(rc, "mq_send", "send")

    def _receive_failed(self, rc: int) -> None:
        self._check_open()
        if rc != _EINTR:
            self._refuse(rc, "mq_receive", "receive")

    def _refuse(self, rc: int, syscall: str, right: str) -> None:
        if rc == -errno.EBADF and self._access.get(right) is False:
            raise syscall_error(errno.EACCES, syscall, self._name, remedy=f"opened with {right}=False")
        raise syscall_error(-rc, syscall, self._name)

    def _release(self) -> None:
        self._fd = -1
        self._lane.close()
        self._queue.close()

    def _identity(self) -> tuple[int, int]:
        found = os.fstat(self._fd)
        return found.st_dev, found.st_ino

    def _describe(self) -> str:
        return f"{self._name!r} fd={self._fd}"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        self._check_open()
        return reopen, (type(self), self._name, self._identity(), self._access)


def _as_bytes(data: Buffer) -> bytes:
    view = memoryview(data)
    if not view.c_contiguous:
        raise TypeError("data must be a C-contiguous buffer; pass bytes(data)")
    return view.tobytes()
