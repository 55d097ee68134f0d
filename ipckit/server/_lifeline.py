"""How those who serve one connection hear that the server stops or has died: pipe(7)."""

from __future__ import annotations

import select

from ipckit.pipe import Pipe
from ipckit.server._inheritance import not_for_children


class Lifeline:
    """A pipe that nobody reads: POLLIN on `fd` means that the server stops, POLLHUP that it has died.

    One byte tells all who wait, however many; and only the server's process holds the writing end, whatever it forks.
    """

    __slots__ = ("_reader", "_writer", "fd")

    def __init__(self) -> None:
        self._reader, self._writer = Pipe.create()
        not_for_children(self._writer)
        self.fd = self._reader.fileno()

    def say_stop(self) -> None:
        """Tell everybody."""
        self._writer.try_write(b"\0")

    def close(self) -> None:
        """Let go of both ends; where others hold the reading end, they see POLLHUP."""
        self._writer.close()
        self._reader.close()


DIED = select.POLLHUP | select.POLLERR | select.POLLNVAL
"""The poll(2) bits by which a lifeline says that the server is gone."""
