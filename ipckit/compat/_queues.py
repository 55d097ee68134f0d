"""The other queues of multiprocessing, made of `ipckit.ring.Queue`: all but the locks that one of them needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ipckit.ring.queue import Queue

if TYPE_CHECKING:
    from ipckit.ring.codec import Codec

T = TypeVar("T")


class Joinable(Queue[T]):
    """A `Queue` that knows how many of its items are still being worked at."""

    _all_done: Any
    _unfinished: Any

    def _locks(self) -> tuple[Any, Any]:
        """A condition and a semaphore of 0, as multiprocessing has them."""
        raise NotImplementedError

    def _set_up(self, *parts: Any) -> None:
        ring, maxsize, codec, *locks = parts
        super()._set_up(ring, maxsize, codec)
        self._all_done, self._unfinished = locks or self._locks()

    def _travelling(self) -> tuple[Any, ...]:
        return (*super()._travelling(), self._all_done, self._unfinished)

    def _put(self, message: bytes, block: bool, timeout: float | None) -> None:  # noqa: FBT001
        self._unfinished.release()  # first: who gets it may be done with it before we are back
        try:
            super()._put(message, block, timeout)
        except BaseException:
            self.task_done()
            raise

    def _put_all(self, messages: list[bytes], block: bool, timeout: float | None) -> None:  # noqa: FBT001
        for _ in messages:
            self._unfinished.release()
        try:
            super()._put_all(messages, block, timeout)
        except BaseException:
            for _ in messages:
                self.task_done()
            raise

    def task_done(self) -> None:
        """Say that one of the items got from the queue is done with.

        Raises:
            ValueError: it is said more often than items were put.
        """
        with self._all_done:
            if not self._unfinished.acquire(block=False):
                raise ValueError("task_done() called too many times")
            if self._unfinished.get_value() == 0:
                self._all_done.notify_all()

    def join(self) -> None:
        """Wait until all items that were put are done with."""
        with self._all_done:
            self._all_done.wait_for(lambda: self._unfinished.get_value() == 0)


class _Patient(Queue[T]):
    """A `Queue` of any number of items that waits where its memory is full, and so keeps nothing of its own."""

    def _put(self, message: bytes, block: bool, timeout: float | None) -> None:  # noqa: FBT001, ARG002
        self._ring.send(message)


class SimpleQueue(Generic[T]):
    """As `multiprocessing.SimpleQueue`: `put` waits where its shared memory, 1 MiB, is full."""

    def __init__(self, *, codec: Codec | None = None) -> None:
        self._queue: Queue[T] = _Patient(codec=codec)

    def put(self, obj: T) -> None:
        """Append an item."""
        self._queue.put(obj)

    def get(self) -> T:
        """Remove and return the oldest item, waiting while there is none."""
        return self._queue.get()

    def empty(self) -> bool:
        """Whether there is no item to get; when you look, there may be one."""
        return self._queue.empty()

    def close(self) -> None:
        """Say that this process puts and gets no more."""
        self._queue.close()
