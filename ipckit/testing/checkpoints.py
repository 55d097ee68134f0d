"""Checkpoints: a child says where it is, or stands still until its test lets it go on."""

from __future__ import annotations

import threading
from collections import Counter

from ipckit.testing._wire import frame, read_message, write_all


class Channel:
    """The child's end of the control channel; any thread may use it.

    A forked grandchild may call `reached`; to `pause` is for the child itself, whose end it is to read.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._writing = threading.Lock()
        self._changed = threading.Condition()
        self._passes: Counter[str] = Counter()
        self._reader_busy = False

    def send(self, *message: object) -> None:
        """Send one message whole."""
        with self._writing:
            write_all(self.fd, frame(*message))

    def take_pass(self, name: str) -> None:
        """Wait for one `resume` of *name*, and use it up."""
        with self._changed:
            while True:
                if self._passes[name]:
                    break
                if self._reader_busy:
                    self._changed.wait()
                else:
                    self._read_one()
            self._passes[name] -= 1

    def _read_one(self) -> None:
        """Read for every thread that waits; others wait for this one meanwhile."""
        self._reader_busy = True
        self._changed.release()
        try:
            _, name = read_message(self.fd)
        finally:
            self._changed.acquire()
            self._reader_busy = False
            self._changed.notify_all()
        self._passes[name] += 1


_channel: Channel | None = None


def connect(fd: int) -> Channel:
    """Use *fd* as this process's channel to the test that started it."""
    global _channel  # noqa: PLW0603 - a process has one parent
    _channel = Channel(fd)
    return _channel


def reached(name: str) -> None:
    """In a child: tell the test that this point is reached; ``child.wait_reached(name)`` waits for it.

    In a process that `spawn` did not start it does nothing, so that a function can also be called directly.
    """
    if _channel is not None:
        _channel.send("reached", name)


def pause(name: str) -> None:
    """In a child: `reached`, then stand still until the test calls ``child.resume(name)``.

    Each resume lets one pause pass, also when it came first. In a process that `spawn` did not start: does nothing.
    """
    if _channel is not None:
        _channel.send("reached", name)
        _channel.take_pass(name)
