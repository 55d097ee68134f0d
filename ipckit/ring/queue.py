"""The queue of `multiprocessing`, in shared memory: objects from any number of processes to any number of others."""

from __future__ import annotations

import errno
import weakref
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ipckit._arguments import check_int
from ipckit._handle import Quiet
from ipckit._wait import Deadline
from ipckit.errors import ClosedError, QueueEmpty, QueueFull, SyscallError, TimeoutExpired
from ipckit.ring._mpmc_handle import options_of
from ipckit.ring._overflow import Overflow
from ipckit.ring.codec import Pickled
from ipckit.ring.mpmc import MpmcRing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ipckit.ring.codec import Codec

T = TypeVar("T")

_CAPACITY = 1 << 20
_PARTICIPANTS = 1024
_LEAST = 40  # bytes for each item: what the record of a file takes


class _ClosedQueueError(ClosedError, OSError):
    """What multiprocessing calls an OSError, and the rest of us a ValueError."""


class QueueRing(Quiet, MpmcRing):
    """The ring of a queue, which is closed with it, or when the interpreter has done all else."""

    __slots__ = ()


class Queue(Generic[T]):
    """As `multiprocessing.Queue`, on an `MpmcRing`: no pipe, no feeder thread as long as there is room.

    `put` pickles at once: what fails there fails in the caller, and what the caller does to the object afterwards does
    not matter. Order is kept among the puts of one thread, and among all as far as one came after the other.
    An item is got by one process; if that one is killed while it takes the item, another one gets it.

    Processes share it by fork(2), or get it as an argument of a Process, whatever its start method. Threads: safe to
    share. The end of whoever puts or gets is no end of the queue.

    >>> queue = Queue()
    >>> queue.put({"answer": 42})
    >>> queue.get(timeout=1.0)
    {'answer': 42}
    >>> queue.close()
    """

    def __init__(self, maxsize: int = 0, *, capacity: int = _CAPACITY, codec: Codec | None = None) -> None:
        """Make a queue.

        Args:
            maxsize: items that it holds before `put` waits; 0 or less: any number, and `put` never waits: what finds
                no room is kept in the memory of the process that puts it, and sent by a thread of its own.
            capacity: bytes of shared memory, at least; it has at least 40 for each of *maxsize* items. An item for
                which that is too small goes through a file in /dev/shm.
            codec: how items become bytes; None: `Pickled`. It must be picklable where the queue is to be sent.
        """
        if not isinstance(maxsize, int):
            raise TypeError(f"maxsize must be an int, not {maxsize!r}")
        check_int(capacity, "capacity", 1, 1 << 31, "bytes")
        options = options_of(
            capacity=min(max(capacity, _LEAST * maxsize), 1 << 31),
            max_messages=max(maxsize, 0),
            participants=_PARTICIPANTS,
            on_consumer_gone="block",
            oversize="file",
        )
        ring = QueueRing._create(None, options, 0o600, unlink_on_close=False)
        self._set_up(ring, maxsize, codec or Pickled())

    def _set_up(self, ring: MpmcRing, maxsize: int, codec: Codec) -> None:
        self._ring = ring
        self._maxsize = maxsize
        self._codec = codec
        self._closed = False
        self._was_used = False
        try:
            ring.join()  # whoever holds a queue may put into it, so nobody who waits in get has seen the end of it
        except BaseException:
            ring.close()
            raise
        self._overflow = Overflow(ring.send)
        self._let_go = weakref.finalize(self, self._overflow.finish, ring.close)
        self._let_go.atexit = False  # until the children have ended, and `atexit` is through, threads may go on with it

    def put(self, obj: T, block: bool = True, timeout: float | None = None) -> None:  # noqa: FBT001, FBT002
        """Append an item, waiting while *maxsize* items are there.

        Args:
            obj: anything that the codec takes.
            block: False: raise QueueFull at once where there is no room, whatever the *timeout*.
            timeout: seconds; None waits for ever, 0 or less not at all.

        Raises:
            QueueFull: there was no room in time. It is a `queue.Full`.
            ClosedError: the queue is closed in this process. It is a ValueError.
            Exception: what encoding the item raises; then nothing is put.
        """
        self._check_open()
        self._put(_joined(self._codec.encode(obj)), block, timeout)

    def get(self, block: bool = True, timeout: float | None = None) -> T:  # noqa: FBT001, FBT002
        """Remove and return the oldest item, waiting while there is none.

        Args:
            block: False: raise QueueEmpty at once where there is none, whatever the *timeout*.
            timeout: seconds; None waits for ever, 0 or less not at all.

        Raises:
            QueueEmpty: none came in time. It is a `queue.Empty`.
            ClosedError: the queue is closed in this process. It is a ValueError.
            Exception: what decoding the item raises; it is gone then.
        """
        self._check_open()
        try:
            message = self._ring.receive(_seconds(block, timeout))
        except TimeoutExpired:
            raise _empty() from None
        item: T = self._codec.decode(memoryview(message))
        return item

    def put_nowait(self, obj: T) -> None:
        """Append an item if there is room now: ``put(obj, block=False)``."""
        self.put(obj, block=False)

    def get_nowait(self) -> T:
        """Remove and return the oldest item if there is one now: ``get(block=False)``."""
        return self.get(block=False)

    def put_many(self, items: Iterable[T], block: bool = True, timeout: float | None = None) -> None:  # noqa: FBT001, FBT002
        """Append all *items*, several at once; it pays from about four on. They are encoded before the first is put.

        Raises:
            QueueFull: there was no room for all in time; `completed` tells how many were put.
            LimitError: there is no memory for a long item's file; so does it.
            ClosedError, Exception: as `put`.
        """
        self._check_open()
        self._put_all([_joined(self._codec.encode(item)) for item in items], block, timeout)

    def get_many(self, n: int, block: bool = True, timeout: float | None = None) -> list[T]:  # noqa: FBT001, FBT002
        """Remove and return what is there, at most *n* items, waiting only while there is none at all.

        Raises:
            QueueEmpty, ClosedError, Exception: as `get`.
        """
        self._check_open()
        try:
            messages = self._ring.receive_many(n, _seconds(block, timeout))
        except TimeoutExpired:
            raise _empty() from None
        decode = self._codec.decode
        return [decode(memoryview(message)) for message in messages]

    def qsize(self) -> int:
        """How many items there are; when you look, it may be another number."""
        return 0 if self._closed else self._ring.depth + len(self._overflow)

    def empty(self) -> bool:
        """Whether there is no item to get; when you look, there may be one.

        Raises:
            OSError: the queue is closed in this process, and something was put into it before.
        """
        if self._closed:
            if self._was_used:
                raise _ClosedQueueError(f"{self!r} is closed")
            return True
        return self._ring.depth == 0

    def full(self) -> bool:
        """Whether *maxsize* items are there."""
        return not self._closed and not self._unbounded and self._ring.depth >= self._maxsize

    def close(self) -> None:
        """Say that this process puts and gets no more. What it has put is sent in any case."""
        if not self._closed:
            self._was_used = len(self._overflow) > 0 or self._ring.stat().sent > 0
            self._closed = True
            self._let_go()

    def join_thread(self) -> None:
        """Wait until all that this process has put is sent; after `close` only.

        Raises:
            ValueError: the queue is open.
        """
        if not self._closed:
            raise ValueError("close the queue before you join its thread: as long as it is open, more may come")
        self._overflow.join()

    def cancel_join_thread(self) -> None:
        """Let this process end without waiting until all that it has put is sent: what was not is lost."""
        self._overflow.abandon()

    @property
    def _unbounded(self) -> bool:
        return self._maxsize <= 0

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError(f"{self!r} is closed")

    def _put(self, message: bytes, block: bool, timeout: float | None) -> None:  # noqa: FBT001
        if self._unbounded:
            if self._overflow or not self._ring.try_send(message):
                self._overflow.append(message)
        elif not self._ring.try_send(message):
            self._send(message, _seconds(block, timeout))

    def _put_all(self, messages: list[bytes], block: bool, timeout: float | None) -> None:  # noqa: FBT001
        """Append them all; if it raises, whatever it is, those that were not put are left in *messages*."""
        count = len(messages)
        if not self._overflow:
            try:
                self._ring.send_many(messages, 0)
                return
            except SyscallError as error:
                del messages[: error.completed]
                if not isinstance(error, TimeoutExpired):
                    raise
        deadline = Deadline.after(_seconds(block, timeout))
        messages.reverse()  # for to take the last one out costs nothing
        while messages:
            if self._unbounded:
                self._overflow.append(messages[-1])
            else:
                try:
                    self._send(messages[-1], deadline.left())
                except SyscallError as error:
                    error.completed = count - len(messages)
                    raise
            messages.pop()

    def _send(self, message: bytes, seconds: float | None) -> None:
        try:
            if self._ring.depth < self._maxsize:  # no room for its bytes, but there is for those that tell of a file
                self._ring._send_apart(message, seconds)
            else:
                self._ring.send(message, seconds)
        except TimeoutExpired:
            raise _full() from None

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"maxsize={self._maxsize}"
        return f"<{type(self).__module__}.{type(self).__qualname__} {state} at {id(self):#x}>"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        from multiprocessing import context

        self._check_open()
        if context.get_spawning_popen() is None:  # copy.copy comes here, too: the end of a copy would close the ring
            raise TypeError(
                f"cannot pickle a {type(self).__name__}: processes share it by inheritance, "
                "or as an argument of a Process"
            )
        return _arrived, (type(self), *self._travelling())

    def _travelling(self) -> tuple[Any, ...]:
        """What `_set_up` makes a queue of in another process."""
        return (self._ring, self._maxsize, self._codec)


def _arrived(cls: type[Queue[Any]], *parts: Any) -> Queue[Any]:
    queue = cls.__new__(cls)
    queue._set_up(*parts)
    return queue


def _joined(parts: list[Any]) -> bytes:
    return parts[0] if len(parts) == 1 and type(parts[0]) is bytes else b"".join(parts)


def _seconds(block: bool, timeout: float | None) -> float | None:  # noqa: FBT001
    """The timeout of the house for those of multiprocessing."""
    if not block:
        return 0
    return timeout if timeout is None or timeout > 0 else 0


def _full() -> QueueFull:
    return QueueFull(errno.EAGAIN, "the queue is full")


def _empty() -> QueueEmpty:
    return QueueEmpty(errno.EAGAIN, "the queue is empty")
