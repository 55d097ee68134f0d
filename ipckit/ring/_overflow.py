"""What a queue that never blocks its producers keeps for them while its ring is full."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections import deque
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, Any

from ipckit._wait import SLICE_NS

if TYPE_CHECKING:
    from collections.abc import Callable

_all: weakref.WeakSet[Overflow] = weakref.WeakSet()


class Overflow:
    """Messages of this process that wait for room, oldest first, and the thread that sends them.

    The thread is started with the first message, and ends with the last; a process that ends waits for it. Safe to
    share between threads. A forked child begins with none: what waits is the parent's to send.
    """

    __slots__ = ("__weakref__", "_abandoned", "_exit", "_last", "_lock", "_messages", "_send", "_thread")

    def __init__(self, send: Callable[[Any], object]) -> None:
        """*send* sends one message, for as long as it takes; what it raises loses that one, and the thread shows it."""
        self._send = send
        self._abandoned = False
        self._begin()
        _all.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._messages: deque[Any] = deque()
        self._thread: _Feeder | None = None
        self._last: Callable[[], object] | None = None
        self._exit: Finalize | None = None

    def __len__(self) -> int:
        return len(self._messages)

    def append(self, message: Any) -> None:
        """Keep the message, and send it when there is room."""
        with self._lock:
            if self._exit is None:
                # as multiprocessing does with its own: after the children of this process have ended
                self._exit = Finalize(self, _sent, [weakref.ref(self)], exitpriority=-5)
            if self._thread is None:
                thread = _Feeder(self._feed)
                thread.start()  # it finds the message when it gets the lock
                self._thread = thread
            self._messages.append(message)

    def finish(self, last: Callable[[], object]) -> None:
        """Call *last* when everything is sent: now, or by the thread."""
        with self._lock:
            if self._thread is not None:
                self._last = last
                return
        last()

    def abandon(self) -> None:
        """Do not wait for the thread when the process ends."""
        self._abandoned = True

    def join(self) -> None:
        """Wait until everything is sent."""
        thread = self._thread
        if thread is not None:
            thread.wait()

    def _feed(self) -> None:
        while (message := self._oldest()) is not None:
            try:
                self._send(message)
            except Exception:
                told = (*sys.exc_info(), threading.current_thread())
                threading.excepthook(threading.ExceptHookArgs(told))
            self._messages.popleft()  # not before it is sent: as long as it is here, no later one overtakes it

    def _oldest(self) -> Any:
        """The message to be sent next; None: there is none, and the thread that asks is no longer the thread."""
        with self._lock:
            if self._messages:
                return self._messages[0]
            self._thread = None
            last, self._last = self._last, None
        if last is not None:
            last()
        return None


class _Feeder(threading.Thread):
    """A thread that can be waited for again when an exception of a signal handler has ended the first wait.

    Until Python 3.12, a thread counts as ended as soon as its `join` is interrupted so.
    """

    def __init__(self, feed: Callable[[], object]) -> None:
        super().__init__(target=feed, name="QueueFeederThread", daemon=True)
        self._running = threading.Lock()
        self._running.acquire()
        self._done = False

    def run(self) -> None:
        try:
            super().run()
        finally:
            self._done = True
            self._running.release()

    def wait(self) -> None:
        """Wait until it has ended."""
        while not self._done:  # for one that is interrupted where it has the lock leaves it locked to the others
            if self._running.acquire(timeout=SLICE_NS / 1e9):
                self._running.release()
        self.join()


def _sent(reference: weakref.ref[Overflow]) -> None:
    overflow = reference()
    if overflow is not None and not overflow._abandoned:
        overflow.join()


def _after_fork_in_child() -> None:
    for overflow in list(_all):
        overflow._begin()


os.register_at_fork(after_in_child=_after_fork_in_child)
