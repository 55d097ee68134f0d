"""How a running server is told to stop, or only to look again: pipe(7)."""

from __future__ import annotations

import threading
import time
from struct import Struct

from ipckit._wait import NEVER_NS, SLICE_NS
from ipckit.errors import ClosedError
from ipckit.pipe import Pipe
from ipckit.server._inheritance import not_for_children

_WORD = Struct("q")
_LOOK = -1
_READ = 4096
_LONGEST = 60.0  # poll(2) takes milliseconds in an int: some 24 days


class Switch:
    """A pipe into the server's loop. Writing into it is safe in a signal handler, any thread, and a forked child."""

    __slots__ = ("_reader", "_slice", "_writer", "asked", "deadline_ns", "fd", "stopping")

    def __init__(self) -> None:
        self._reader, self._writer = Pipe.create()
        self.fd = self._reader.fileno()
        self.asked = False
        """Whether this process has called `stop`, though the loop may not have heard of it."""
        self.stopping = False
        self.deadline_ns = NEVER_NS
        """When those who have not finished are cut off; counts once `stopping`."""
        self._slice: float | None = None

    def attend(self) -> None:
        """In the thread of the loop: keep the reading end from children, and sleep in slices where handlers run."""
        not_for_children(self._reader)
        if threading.current_thread() is threading.main_thread():
            self._slice = SLICE_NS / 1e9

    def seconds(self, due_ns: int) -> float | None:
        """In the loop: how long it may sleep that has something to do at *due_ns*; None: for ever.

        Python runs signal handlers in the main thread, and a signal that comes just before that one falls asleep does
        not wake it; so it sleeps no longer than a slice.
        """
        if due_ns == NEVER_NS:
            return self._slice
        left = max(0, due_ns - time.monotonic_ns()) / 1e9
        return min(left, _LONGEST if self._slice is None else self._slice)

    def stop(self, deadline_ns: int) -> None:
        """Ask the loop to stop; asking again can only bring the deadline forward."""
        self.asked = True
        self._write(deadline_ns)

    def wake(self) -> None:
        """Have the loop look again."""
        self._write(_LOOK)

    def read(self) -> None:
        """In the loop: take note of what was asked."""
        data = self._reader.try_read(_READ)
        for (word,) in _WORD.iter_unpack(data or b""):
            if word != _LOOK:
                self.stop_here(word)

    def stop_here(self, deadline_ns: int) -> None:
        """In the loop: stop, without going through the pipe."""
        self.stopping = True
        self.deadline_ns = min(self.deadline_ns, deadline_ns)

    def close(self) -> None:
        """Let go of the pipe; what is asked from now on is ignored."""
        self._writer.close()
        self._reader.close()

    def _write(self, word: int) -> None:
        try:
            self._writer.try_write(_WORD.pack(word))  # a full pipe has woken the loop already
        except ClosedError:
            pass
