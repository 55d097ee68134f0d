"""Standard input and output as bytes: what Python's own buffer holds back, a signal or a closed pipe may lose."""

from __future__ import annotations

import fcntl
import os
import select
import sys
from typing import TYPE_CHECKING

from ipckit.cli.failure import Failure
from ipckit.cli.transfer.framing import CHUNK, splitter

if TYPE_CHECKING:
    from collections.abc import Iterator

_STDIN, _STDOUT = 0, 1
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL


def incoming(form: str) -> Iterator[bytes]:
    """The messages of standard input, each as soon as it is complete."""
    if sys.stdin is None:
        raise Failure("standard input is closed")
    found = splitter(form)
    while chunk := _read():
        yield from found.feed(chunk)
    yield from found.end()


class Output:
    """Standard output, written to at once."""

    def __init__(self) -> None:
        if fcntl.fcntl(_STDOUT, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:  # before a message is taken, and lost
            raise Failure("standard output is closed")
        self._poll = select.poll()
        self._poll.register(_STDOUT, 0)

    @property
    def gone(self) -> bool:
        """Whether nobody reads the pipe or socket any more; never of a file or a terminal."""
        return any(events & _GONE for _, events in self._poll.poll(0))

    def write(self, data: bytes) -> None:
        """Write all of it, waiting for room.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(_STDOUT, rest) :]
            except BlockingIOError:  # somebody made the description non-blocking
                _wait(_STDOUT, select.POLLOUT)


def _read() -> bytes:
    while True:
        try:
            return os.read(_STDIN, CHUNK)
        except BlockingIOError:
            _wait(_STDIN, select.POLLIN)


def _wait(fd: int, events: int) -> None:
    poll = select.poll()
    poll.register(fd, events)
    poll.poll()
