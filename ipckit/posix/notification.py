"""To be told of a message in a queue: mq_notify(3).

The kernel can send a signal, or write a cookie to a netlink socket; the second is what C libraries make their
notification by thread of. A socket can be polled, so here it serves both the handle to wait on and the thread.
"""

from __future__ import annotations

import errno
import itertools
import os
import select
import socket
import threading
from typing import TYPE_CHECKING, Any

from ipckit._arguments import check_int
from ipckit._handle import FdHandle, received_descriptor
from ipckit._native import lib
from ipckit._native_quick import lib as quick
from ipckit._retry import expired, failure
from ipckit._turn import Turn
from ipckit._wait import Deadline, wait_fd
from ipckit.errors import LimitError, RemovedError, check, syscall_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from typing_extensions import Self

    from ipckit.posix._queue_notifying import NotifyingQueue

    Q = TypeVar("Q", bound=NotifyingQueue)

__all__ = ["Notification"]

_COOKIE = lib.IPK_MQUEUE_COOKIE
_ARRIVED = 1  # NOTIFY_WOKENUP, the cookie's last byte; else it is NOTIFY_REMOVED

_serials = itertools.count(1)


class Notification(FdHandle):
    """A registration with a message queue: `wait` until a message has come to the empty queue.

    It is used up by one message, and `arm` renews it. Until then `fileno` stays readable (POLLIN) and `wait` returns
    at once, in every thread. To miss nothing, call `arm` first, and then take messages until there are none:
    a message that comes in between is among them, or notifies.

    The registration belongs to the process. A forked child, or one that was given the handle, can wait on it, and
    can neither renew nor cancel it.

    >>> from ipckit.posix import MessageQueue
    >>> with MessageQueue.create(unlink_on_close=True) as queue, queue.notify() as notification:
    ...     queue.send(b"ping")
    ...     notification.wait(timeout=1.0)
    ...     notification.arm()
    ...     queue.try_receive()
    Message(data=b'ping', priority=0)
    """

    __slots__ = ("_arming", "_pid", "_queue", "_socket")

    def __init__(self, queue: NotifyingQueue) -> None:
        netlink = _netlink_socket()
        super().__init__(netlink.fileno())
        self._socket = netlink
        self._queue: NotifyingQueue | None = queue
        self._pid = os.getpid()
        self._arming = Turn()
        try:
            self._register()
        except BaseException:
            self._queue = None
            self.close()
            raise

    def wait(self, timeout: float | None = None) -> None:
        """Wait until a message has come to the empty queue since the registration was made or renewed.

        Args:
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: none came (ETIMEDOUT).
            RemovedError: the registration was cancelled, or this process closed a handle of the queue (EIDRM).
        """
        deadline = None if timeout is None else Deadline.after(timeout)
        while wait_fd(self, self._fd, select.POLLIN, deadline):
            with self._in_use():
                cookie = self._cookie()
            if cookie is None:  # renewed by another thread since
                continue
            if cookie[-1] != _ARRIVED:
                remedy = "it was cancelled, or this process closed a handle of the queue; arm() makes a new one"
                raise syscall_error(errno.EIDRM, "mq_notify", repr(self), remedy=remedy)
            return
        raise expired(self, "mq_notify")

    @property
    def armed(self) -> bool:
        """Whether the registration stands: no message has come, and nobody has cancelled it."""
        self._check_open()
        with self._in_use():
            return self._cookie() is None

    def arm(self) -> None:
        """Renew the registration if it is used up or was removed.

        Raises:
            BusyError: a process, which may be this one, is registered by now, and the message names it; or a signal
                handler called this on top of its own thread's call (EBUSY).
            AccessError: another process made this one (EPERM).
            ClosedError: the queue's handle is closed.
        """
        self._check_open()
        if self._queue is None or self._pid != os.getpid():
            remedy = f"it is process {self._pid}'s; call notify() of a queue in this one"
            raise syscall_error(errno.EPERM, "mq_notify", repr(self), remedy=remedy)
        with self._in_use():
            turn = self._arming
            lock = turn.take(self, None, "mq_notify")
            try:
                if self._cookie() is not None:
                    self._register()
            finally:
                turn.inside = False
                lock.release()

    def cancel(self) -> None:
        """Drop the registration if it stands; every `wait` then raises RemovedError."""
        self._check_open()
        with self._in_use():
            self._cancel()

    def _register(self) -> None:
        if TYPE_CHECKING:
            assert self._queue is not None
        mine = next(_serials).to_bytes(_COOKIE - 1, "little")
        with self._queue._in_use():
            rc = quick.ipk_mqueue_notify_socket(self._queue._fd, self._fd, mine + b"\0")
            _check_registered(rc, self._queue)
        # Only now, so that what is told stays so if the kernel refuses; older ones are in front.
        while (cookie := self._cookie()) is not None and cookie[:-1] != mine:
            self._socket.recv(_COOKIE)

    def _cookie(self) -> bytes | None:
        """What the kernel has sent, left in its place; None while the registration stands."""
        try:
            return self._socket.recv(_COOKIE, socket.MSG_PEEK)
        except BlockingIOError:
            return None
        except OSError as error:
            raise failure(self, error, "recv") from None

    def _cancel(self) -> None:
        queue = self._queue
        if queue is None or self._pid != os.getpid() or queue.closed or self._cookie() is not None:
            return
        quick.ipk_mqueue_notify_cancel(queue._fd)

    def _describe(self) -> str:
        queue = "" if self._queue is None else f"of {self._queue.name!r} "
        return f"{queue}fd={self._fd}"

    def _release(self) -> None:
        try:
            self._cancel()
        finally:
            self._socket.detach()
            super()._release()

    def _facts(self) -> tuple[Any, ...]:
        return (self._pid,)

    @classmethod
    def _adopt_travelled(cls, travelling: Any, *facts: Any) -> Self:
        handle = cls.__new__(cls)
        adopted = socket.socket(fileno=received_descriptor(travelling))
        FdHandle.__init__(handle, adopted.fileno())
        handle._socket = adopted
        handle._queue = None
        (handle._pid,) = facts
        handle._arming = Turn()
        return handle


def send_signal(queue: NotifyingQueue, signum: object, value: int) -> None:
    """Have this process get *signum* with *value*, once."""
    import signal

    if isinstance(signum, bool) or not isinstance(signum, int):
        raise TypeError(f"signal must be an int such as signal.SIGUSR1, not {signum!r}")
    if signum not in signal.valid_signals():
        raise ValueError(f"signal must be one of signal.valid_signals(), not {signum}")
    check_int(value, "value", -(1 << 31), (1 << 31) - 1, "si_value")
    queue._check_open()
    with queue._in_use():
        _check_registered(quick.ipk_mqueue_notify_signal(queue._fd, signum, value), queue)


def call_back(queue: Q, callback: Callable[[Q], object]) -> None:
    """Have *callback* called with *queue* in a thread, once."""
    notification = Notification(queue)
    thread = threading.Thread(
        target=_call_when_notified, args=(notification, queue, callback), name=f"notify {queue.name}", daemon=True
    )
    try:
        thread.start()
    except RuntimeError as error:
        notification.close()
        refused = LimitError(errno.EAGAIN, f"{error} (raise RLIMIT_NPROC, or end some)", queue.name)
        refused.syscall = "pthread_create"
        raise refused from None


def cancel(queue: NotifyingQueue) -> None:
    """Drop this process's registration with *queue*; none is fine."""
    queue._check_open()
    with queue._in_use():
        check(quick.ipk_mqueue_notify_cancel(queue._fd), "mq_notify", queue.name)


def _call_when_notified(notification: Notification, queue: Q, callback: Callable[[Q], object]) -> None:
    poller = select.poll()
    poller.register(notification._fd, select.POLLIN)
    poller.poll()  # without end: the kernel also tells when the registration is removed or the queue closed
    with notification:
        try:
            notification.wait(timeout=0)
        except RemovedError:
            return
    callback(queue)


def _check_registered(rc: int, queue: NotifyingQueue) -> None:
    if rc == -errno.EBUSY:
        raise syscall_error(errno.EBUSY, "mq_notify", queue.name, remedy=_who_is_registered(queue))
    check(rc, "mq_notify", queue.name)


def _who_is_registered(queue: NotifyingQueue) -> str:
    try:
        pid = queue.stat().notify_pid
    except OSError:
        pid = None
    return f"process {pid} is registered" if pid else "a process is registered, and only one can be"


def _netlink_socket() -> socket.socket:
    """Where the kernel puts its cookie; what protocol it is of does not matter, for it is never bound."""
    try:
        return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, 0)
    except OSError as error:
        number = error.errno or errno.EIO
        if number in {errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EACCES, errno.EPERM}:
            remedy = "AF_NETLINK sockets are forbidden here; ask for a signal, or poll the queue itself"
            raise syscall_error(errno.EOPNOTSUPP, "socket", "AF_NETLINK", remedy=remedy) from None
        raise syscall_error(number, "socket", "AF_NETLINK") from None
