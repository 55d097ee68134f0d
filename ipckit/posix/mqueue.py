"""POSIX message queues: mq_overview(7)."""

from __future__ import annotations

import errno
import os
import select
from typing import TYPE_CHECKING, Any, NamedTuple

import posix_ipc

from ipckit._handle import NamedHandle, new_name, reopen
from ipckit._names import check_mode, posix_name
from ipckit._wait import Deadline, wait_fd
from ipckit.errors import LimitError, syscall_error
from ipckit.features import limits
from ipckit.posix._arguments import check_int, check_timeout
from ipckit.posix._translate import errno_of, translated

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer, Self

    from ipckit.errors import IPCError

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


_new_tuple = tuple.__new__


class MessageQueue(NamedHandle):
    """A kernel queue of discrete messages, highest priority first, oldest first among equals.

    A message arrives whole or not at all, and stays in the kernel until one receiver takes it, whoever dies
    meanwhile. Safe to share between threads and across fork(2): the kernel serialises every operation. A wait ends
    after a signal handler that raises, and with ClosedError when another thread closes the handle.

    `fileno` is pollable: POLLIN when there is a message, POLLOUT when there is room. Its file description is
    non-blocking (O_NONBLOCK), which the timeouts rely on: leave it so.

    >>> with MessageQueue.create("/ipckit-doc-mq", unlink_on_close=True) as queue:
    ...     queue.send(b"ping", priority=3)
    ...     queue.receive(timeout=1.0)
    Message(data=b'ping', priority=3)
    """

    __slots__ = ("_access", "_copied_below", "_fd", "_max_message_size", "_max_messages", "_queue", "_receive", "_send")

    pollable = True

    def __init__(self, name: str, queue: posix_ipc.MessageQueue, access: dict[str, bool], *, unlink: bool) -> None:
        super().__init__(name, unlink_on_close=unlink)
        self._queue = queue
        self._access = access
        self._fd: int = queue.mqd
        self._max_messages: int = queue.max_messages
        self._max_message_size: int = queue.max_message_size
        # posix_ipc leaves each message in an allocation of max_message_size: a copy gives the surplus back.
        self._copied_below = self._max_message_size // 2
        self._send: Callable[[Any, None, int], None] = queue.send
        self._receive: Callable[[], tuple[bytes, int]] = queue.receive

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
                posix_ipc.O_CREX | posix_ipc.O_NONBLOCK,
                mode=mode,
                max_messages=max_messages,
                max_message_size=max_message_size,
            )
        except Exception as error:
            raise _refused(error, name, max_messages, max_message_size) from None
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
            queue = posix_ipc.MessageQueue(name, posix_ipc.O_NONBLOCK, read=receive, write=send)
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
            data = _contiguous(data)
        try:
            self._send(data, None, priority)
        except Exception as error:
            self._send_waiting(error, data, priority, timeout)

    def try_send(self, data: Buffer, *, priority: int = 0) -> bool:
        """Append *data* if there is room now. Returns whether there was; otherwise as `send`."""
        if type(data) is not bytes:
            data = _contiguous(data)
        while True:
            try:
                self._send(data, None, priority)
            except posix_ipc.BusyError:
                return False
            except Exception as error:
                self._send_failed(error, data, priority)
            else:
                return True

    def receive(self, timeout: float | None = None) -> Message:
        """Take the oldest message of the highest priority, waiting for one: mq_timedreceive(3).

        Args:
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: the queue stayed empty (ETIMEDOUT).
        """
        if timeout is not None:
            check_timeout(timeout)
        try:
            data, priority = self._receive()
        except Exception as error:
            return self._receive_waiting(error, timeout)
        if len(data) < self._copied_below:
            data = b"%b" % data
        return _new_tuple(Message, (data, priority))

    def try_receive(self) -> Message | None:
        """Take a message if there is one now; None if there is none."""
        while True:
            try:
                data, priority = self._receive()
            except posix_ipc.BusyError:
                return None
            except Exception as error:
                self._receive_failed(error)
            else:
                break
        if len(data) < self._copied_below:
            data = b"%b" % data
        return _new_tuple(Message, (data, priority))

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

    def _send_waiting(self, error: Exception, data: Buffer, priority: int, timeout: float | None) -> None:
        if not isinstance(error, posix_ipc.BusyError):
            self._send_failed(error, data, priority)
        deadline = Deadline.after(timeout)  # the clock is read only now: nothing has waited yet
        while wait_fd(self, self._fd, select.POLLOUT, deadline):
            if self.try_send(data, priority=priority):
                return
        raise syscall_error(errno.ETIMEDOUT, "mq_timedsend", self._name) from None

    def _receive_waiting(self, error: Exception, timeout: float | None) -> Message:
        if not isinstance(error, posix_ipc.BusyError):
            self._receive_failed(error)
        deadline = Deadline.after(timeout)
        while wait_fd(self, self._fd, select.POLLIN, deadline):
            message = self.try_receive()
            if message is not None:
                return message
        raise syscall_error(errno.ETIMEDOUT, "mq_timedreceive", self._name) from None

    def _send_failed(self, error: Exception, data: Buffer, priority: object) -> None:
        """Raise what *error* of a send means; return if it is only to be tried again."""
        self._check_open()
        if isinstance(error, posix_ipc.SignalError):
            return
        if memoryview(data).nbytes > self._max_message_size:
            remedy = f"max_message_size is {self._max_message_size}; send less, or create the queue with more"
            raise syscall_error(errno.EMSGSIZE, "mq_send", self._name, remedy=remedy) from None
        check_int(priority, "priority", 0, _PRIORITY_MAX, "higher is received first")
        if self._access.get("send") is False:
            raise syscall_error(errno.EACCES, "mq_send", self._name, remedy="opened with send=False") from None
        raise translated(error, "mq_send", self._name) from None

    def _receive_failed(self, error: Exception) -> None:
        self._check_open()
        if isinstance(error, posix_ipc.SignalError):
            return
        if self._access.get("receive") is False:
            raise syscall_error(errno.EACCES, "mq_receive", self._name, remedy="opened with receive=False") from None
        raise translated(error, "mq_receive", self._name) from None

    def _release(self) -> None:
        self._fd = -1
        self._queue.close()

    def _identity(self) -> tuple[int, int]:
        found = os.fstat(self._fd)
        return found.st_dev, found.st_ino

    def _describe(self) -> str:
        return f"{self._name!r} fd={self._fd}"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        self._check_open()
        return reopen, (type(self), self._name, self._identity(), self._access)


def _contiguous(data: Buffer) -> memoryview:
    """A view of *data*; checked here because posix_ipc takes a str, and mishandles what is no buffer."""
    view = memoryview(data)
    if not view.c_contiguous:
        raise TypeError("data must be a C-contiguous buffer; pass bytes(data)")
    return view


def _refused(error: Exception, name: str, max_messages: int, max_message_size: int) -> IPCError:
    """What a failed creation means: EINVAL stands for either size being beyond its sysctl."""
    if errno_of(error, creating=True) != errno.EINVAL:
        return translated(error, "mq_open", name, creating=True)
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
