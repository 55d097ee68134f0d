"""System V message queues: sysvipc(7), msgget(2), msgop(2), msgctl(2)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from ipckit import interrupt
from ipckit._arguments import check_int, check_timeout
from ipckit._names import check_mode
from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit._wait import Deadline
from ipckit.errors import syscall_error
from ipckit.sysv._box import SMALL, Box, contiguous, empty_box, packed
from ipckit.sysv._handle import SysvHandle
from ipckit.sysv._kind import READ, WRITE, Facts, Kind
from ipckit.sysv._lane import lane_of
from ipckit.sysv._message import TRUNCATE, TYPE_MAX, Choice, Message, QueueStatus
from ipckit.sysv._owner import set_owner

if TYPE_CHECKING:
    from typing_extensions import Buffer, Self

    from ipckit.errors import SyscallError

_ID_MAX = (1 << 32) - 2  # of a user or group; -1 means none
_EAGAIN, _ETIMEDOUT, _E2BIG = -errno.EAGAIN, -errno.ETIMEDOUT, -errno.E2BIG
_RELEASE_GIL_ABOVE = 1 << 16  # bytes: to copy more takes longer than to hand the GIL over


def _get(key: int, mode: int) -> int:
    return quick.ipk_sysv_msg_get(key, 0, mode)


def _stat(number: int) -> Facts | int:
    status = ffi.new("struct ipk_sysv_msg_status *")
    return quick.ipk_sysv_msg_stat(number, status) or Facts(status.key, status.creator_uid, status.change_s)


class MessageQueue(SysvHandle):
    """A kernel queue of messages that have types, by which receivers choose; oldest first among those chosen.

    A message arrives whole or not at all, goes to one receiver, and stays in the kernel until one takes it, whoever
    dies meanwhile. The queue itself stays until it is removed. Safe to share between threads and across fork(2): the
    kernel serialises every operation. A wait ends after a signal handler that raises, with RemovedError when any
    process removes the queue, and with ClosedError when another thread closes the handle.

    >>> with MessageQueue.create(remove_on_close=True) as queue:
    ...     queue.send(b"later", type=2)
    ...     queue.send(b"sooner", type=1)
    ...     queue.receive(type=-2, timeout=1.0)
    Message(type=1, data=b'sooner')
    """

    __slots__ = ("_boxes", "_capacity", "_lane", "_lane_receive", "_lane_send")

    _kind = Kind("msg", _get, _stat, quick.ipk_sysv_msg_remove)

    def __init__(self, number: int, facts: Facts, name: str | None, *, remove_on_close: bool = False) -> None:
        super().__init__(number, facts, name, remove_on_close=remove_on_close)
        self._lane = lane_of(number, Message)
        self._lane_send = self._lane.send
        self._lane_receive = self._lane.receive
        self._capacity = SMALL
        self._boxes: list[Box] = []  # each belongs to the one call that popped it

    @classmethod
    def create(cls, key: int | str | None = None, *, mode: int = 0o600, remove_on_close: bool = False) -> Self:
        """Create a queue, exclusively.

        Args:
            key: a number, as from `ftok`, or a name such as "/jobs", which is hashed to one. None makes a private
                queue: others reach it by its `id`, by fork, or by pickling.
            mode: permission bits, exactly: to send takes the one to write, to receive the one to read.
            remove_on_close: `close` removes the queue, in the process that created it.

        Raises:
            AlreadyExistsError: *key* is taken (EEXIST); where a name's key is taken by something else, it says so.
            LimitError: there are too many queues: sysctl kernel.msgmni (ENOSPC).
        """
        check_mode(mode)
        made = cls._kind.create(key, lambda numeric: lib.ipk_sysv_msg_get(numeric, 1, mode))
        return cls(*made, remove_on_close=remove_on_close)

    @classmethod
    def open(cls, key: int | str, *, receive: bool = True, send: bool = True) -> Self:
        """Open an existing queue.

        Args:
            key: the number or the name that it was created with.
            receive: ask for the right to receive.
            send: ask for the right to send; a queue of mode 0o622 lets others do only this.

        Raises:
            NotFoundError: there is no queue on that key, or the one there is not that of the name (ENOENT).
            AccessError: its mode forbids what is asked for (EACCES).
        """
        if not (receive or send):
            raise ValueError("at least one of receive and send must be true")
        return cls(*cls._kind.find(key, (READ if receive else 0) | (WRITE if send else 0)))

    def send(self, data: Buffer, *, type: int = 1, timeout: float | None = None) -> None:
        """Append *data*, waiting while the queue is full: msgsnd(2).

        Args:
            data: any C-contiguous buffer of at most sysctl kernel.msgmax bytes; may be empty.
            type: 1 or more.
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: the queue stayed full (ETIMEDOUT).
            MessageTooLargeError: *data* exceeds kernel.msgmax, or what the queue holds at most (EMSGSIZE).
            RemovedError: the queue was removed (EIDRM).
        """
        if timeout is not None:
            check_timeout(timeout)
        if data.__class__ is not bytes:
            data = contiguous(data)
        try:
            result = self._lane_send(data, type)
        except (TypeError, OverflowError):
            check_int(type, "type", 1, TYPE_MAX, "a message type")
            raise
        if result and not self._sent(result, data, type, Deadline.after(timeout)):
            raise syscall_error(errno.ETIMEDOUT, "msgsnd", self._subject())

    def try_send(self, data: Buffer, *, type: int = 1) -> bool:
        """Append *data* if there is room now. Returns whether there was; otherwise as `send`."""
        if data.__class__ is not bytes:
            data = contiguous(data)
        try:
            result = self._lane_send(data, type)
        except (TypeError, OverflowError):
            check_int(type, "type", 1, TYPE_MAX, "a message type")
            raise
        return not result or self._sent(result, data, type, None)

    def receive(
        self,
        *,
        type: int = 0,
        except_type: int | None = None,
        max_size: int | None = None,
        truncate: bool = False,
        timeout: float | None = None,
    ) -> Message:
        """Take a message, waiting for one: msgrcv(2).

        Args:
            type: 0 takes the oldest message, n the oldest of type n, -n the oldest of the lowest type up to n.
            except_type: take the oldest message of any type but this one.
            max_size: bytes that the caller is ready for; None takes a message of any size.
            truncate: cut a longer message to *max_size*; the rest is lost.
            timeout: seconds; None waits for ever, 0 never waits.

        Raises:
            TimeoutExpired: no such message came (ETIMEDOUT).
            MessageTooLargeError: it has more than *max_size* bytes (E2BIG), and stays in the queue.
            RemovedError: the queue was removed (EIDRM).
        """
        if timeout is not None:
            check_timeout(timeout)
        tried: int | None = None
        if except_type is None and max_size is None and not truncate:
            try:
                message = self._lane_receive(type)
            except (TypeError, OverflowError):
                check_int(type, "type", -TYPE_MAX, TYPE_MAX, "a message type")
                raise
            if not isinstance(message, int):
                return message
            tried = message
        choice = Choice.of(type, except_type, max_size, truncate=truncate)
        received = self._received(choice, Deadline.after(timeout), tried)
        if received is None:
            raise syscall_error(errno.ETIMEDOUT, "msgrcv", self._subject())
        return received

    def try_receive(
        self, *, type: int = 0, except_type: int | None = None, max_size: int | None = None, truncate: bool = False
    ) -> Message | None:
        """Take a message if there is one now; None if there is none. Otherwise as `receive`."""
        if except_type is None and max_size is None and not truncate:
            try:
                message = self._lane_receive(type)
            except (TypeError, OverflowError):
                check_int(type, "type", -TYPE_MAX, TYPE_MAX, "a message type")
                raise
            if not isinstance(message, int):
                return message
            if message == _EAGAIN:
                return None
        return self._received(Choice.of(type, except_type, max_size, truncate=truncate), None)

    def peek(self, index: int = 0) -> Message | None:
        """Copy a message, and leave it in the queue: msgrcv(2) with MSG_COPY.

        Args:
            index: how many messages are older.

        Returns:
            None if there is no message at that index.

        Raises:
            UnsupportedError: the kernel was built without CONFIG_CHECKPOINT_RESTORE (ENOSYS).
        """
        check_int(index, "index", 0, TYPE_MAX, "messages")
        while True:
            box = self._box()
            size = quick.ipk_sysv_msg_peek(self._id, box.words, box.capacity, index)
            if size >= 0:
                return self._opened(box, size)
            if size == _EAGAIN:
                return None
            if size != _E2BIG:
                raise self._failure(size, "msgrcv")
            self._grow()

    def stat(self) -> QueueStatus:
        """Owner, mode, content and last users of the queue, all of one moment: msgctl(2) IPC_STAT.

        Raises:
            AccessError: it takes the right to receive (EACCES).
            RemovedError: the queue was removed (EIDRM).
        """
        status = ffi.new("struct ipk_sysv_msg_status *")
        result = quick.ipk_sysv_msg_stat(self._id, status)
        if result:
            raise self._failure(result, "msgctl")
        return QueueStatus(*ffi.unpack(ffi.cast("int64_t *", status), len(QueueStatus._fields)))

    def set(
        self, *, mode: int | None = None, uid: int | None = None, gid: int | None = None, max_bytes: int | None = None
    ) -> None:
        """Change the mode, owner, group or size of the queue, and leave what is None: msgctl(2) IPC_SET.

        Not atomic with another process that does the same. Handles that were pickled before can't be unpickled
        after it: the kernel tells the time of a change, and none of creation.

        Args:
            mode: permission bits.
            uid: the new owner; the creator keeps an owner's rights.
            gid: the new group.
            max_bytes: of data in the queue at most, 1 or more.

        Raises:
            AccessError: only owner, creator and CAP_SYS_ADMIN may; and only CAP_SYS_RESOURCE may ask for
                *max_bytes* above sysctl kernel.msgmnb (EPERM).
            RemovedError: the queue was removed (EIDRM).
        """
        status = ffi.new("struct ipk_sysv_msg_status *")
        result = quick.ipk_sysv_msg_stat(self._id, status)
        if result:
            raise self._failure(result, "msgctl")
        set_owner(status, mode, uid, gid)
        if max_bytes is not None:
            status.max_bytes = check_int(max_bytes, "max_bytes", 1, TYPE_MAX, "bytes")
        result = quick.ipk_sysv_msg_set(self._id, status)
        if result:
            from ipckit.features import limits

            allowed = limits().msgmnb
            remedy = f"max_bytes above sysctl kernel.msgmnb={allowed} takes CAP_SYS_RESOURCE"
            too_many = max_bytes is not None and allowed is not None and max_bytes > allowed
            raise self._failure(result, "msgctl", remedy if too_many else None)
        self._changed_s = self._kind.facts(self._number, self._subject()).changed_s

    def _sent(self, result: int, data: bytes, type: int, deadline: Deadline | None) -> bool:
        """Send after all what a first try, with this result, did not; False if there was no room for it in time."""
        size = len(data)
        if result == -errno.EMSGSIZE:  # too large to be put together on the C stack
            check_int(type, "type", 1, TYPE_MAX, "a message type")
            result = lib.ipk_sysv_msg_send(self._id, packed(data, type), size, 0)
        if result == _EAGAIN:
            self._refuse_what_never_fits(size)
            if deadline is None:
                return False
            words = packed(data, type)
            result = interrupt.until(
                self, deadline, lambda until_ns: lib.ipk_sysv_msg_send(self._id, words, size, until_ns)
            )
        if result == 0:
            return True
        if result == _ETIMEDOUT:
            return False
        self._check_open()
        check_int(type, "type", 1, TYPE_MAX, "a message type")
        raise self._send_failure(result, size)

    def _send_failure(self, result: int, size: int) -> SyscallError:
        from ipckit.features import limits

        allowed = limits().msgmax
        if result == -errno.EINVAL and allowed is not None and size > allowed:
            remedy = f"a message has at most sysctl kernel.msgmax={allowed} bytes, this one has {size}"
            return syscall_error(errno.EMSGSIZE, "msgsnd", self._subject(), remedy=remedy)
        return self._failure(result, "msgsnd")

    def _refuse_what_never_fits(self, size: int) -> None:
        """Raise what the kernel waits for: that a message fits into a queue which is smaller than the message."""
        status = ffi.new("struct ipk_sysv_msg_status *")
        if quick.ipk_sysv_msg_stat(self._id, status) == 0 and size > status.max_bytes:
            remedy = f"the queue holds max_bytes={status.max_bytes} at most, this message has {size}"
            raise syscall_error(errno.EMSGSIZE, "msgsnd", self._subject(), remedy=remedy)

    def _received(self, choice: Choice, deadline: Deadline | None, tried: int | None = None) -> Message | None:
        """The message; None if there was none in time.

        Args:
            tried: what a first try to get it said.
        """
        type, flags, max_size = choice
        while True:
            box = self._box()
            bounded = max_size is not None and max_size <= box.capacity
            room = max_size if bounded and max_size is not None else box.capacity
            now = flags if bounded else flags & ~TRUNCATE
            size = tried if tried == _EAGAIN else self._tried(box.words, room, type, now)
            tried = None
            if size == _EAGAIN and deadline is not None:
                size = self._wait(box.words, room, type, now, deadline)
            if size >= 0:
                return self._opened(box, size)
            if size in (_EAGAIN, _ETIMEDOUT):
                return None
            if size != _E2BIG:
                raise self._failure(size, "msgrcv")
            if bounded:
                remedy = f"it has more than max_size={max_size} bytes, and stays in the queue"
                raise syscall_error(errno.E2BIG, "msgrcv", self._subject(), remedy=remedy)
            self._grow()

    def _tried(self, words: Any, room: int, type: int, flags: int) -> int:
        core = lib if room > _RELEASE_GIL_ABOVE else quick
        return core.ipk_sysv_msg_try_receive(self._id, words, room, type, flags)

    def _wait(self, words: Any, room: int, type: int, flags: int, deadline: Deadline) -> int:
        return interrupt.until(
            self,
            deadline,
            lambda until_ns: lib.ipk_sysv_msg_receive(self._id, words, room, type, flags, until_ns),
        )

    def _box(self) -> Box:
        try:
            return self._boxes.pop()
        except IndexError:
            return empty_box(self._capacity)

    def _opened(self, box: Box, size: int) -> Message:
        message = Message(box.words[0], box.data[:size])
        self._boxes.append(box)
        return message

    def _grow(self) -> None:
        """Make boxes as large as all that is in the queue now: what did not fit is among it, or was taken."""
        self._capacity = max(self._capacity, self.stat().bytes)
        self._boxes.clear()

    def close(self) -> None:
        """Let go of the queue in this process; remove it only if `create` was told ``remove_on_close``."""
        self._lane.close()  # at once, and not only after the last wait has left
        super().close()
