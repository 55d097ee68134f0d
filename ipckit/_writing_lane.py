"""An attempt to write to a pipe or a socket: the compiled fast lane where it is there, else the same calls on cffi."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, Protocol

from ipckit._retry import failure
from ipckit._stream_writing import ByteWriting

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

# Copying this many bytes takes longer than to hand the GIL over and get it back. native/lane has the same number.
RELEASE_GIL_ABOVE = 65536
NOT_BYTES = -(1 << 16)  # below every -errno; native/lane/writing.c has the same number


class Lane(Protocol):
    """What a pipe or a socket asks of its lane."""

    def write(self, data: Any, /) -> int:
        """Write once, a socket without waiting or SIGPIPE.

        Returns:
            How many bytes went; -errno; NOT_BYTES if *data* is no bytes object: then nothing was tried.
        """

    def close(self) -> None:
        """Have every later call say -EBADF."""


class CffiLane:
    """The lane for an installation without the extension: slower; otherwise the same."""

    __slots__ = ("_fd", "_socket")

    def __init__(self, fd: int, socket: bool) -> None:  # noqa: FBT001
        self._fd = fd
        self._socket = socket

    def write(self, data: Any, /) -> int:
        from ipckit._native import lib  # whoever has the extension, and never waits, never loads it
        from ipckit._native_quick import lib as quick

        if type(data) is not bytes:
            return NOT_BYTES
        core = quick if self._socket and len(data) <= RELEASE_GIL_ABOVE else lib
        attempt = core.ipk_stream_try_send if self._socket else core.ipk_stream_try_write
        while (written := attempt(self._fd, data, len(data))) == -errno.EINTR:  # signal handlers run in between
            pass
        return written

    def close(self) -> None:
        self._fd = -1


def lane_of(fd: int, *, socket: bool) -> Lane:
    """The fastest lane of this installation for the descriptor *fd*."""
    try:
        from ipckit._lane import WritingLane
    except ImportError:
        return CffiLane(fd, socket)
    return WritingLane(fd, socket)


class LaneWriting(ByteWriting):
    """The end of a byte stream that data goes into by way of a lane."""

    __slots__ = ()

    _lane_write: Callable[[Any], int]

    def write(self, data: Buffer, timeout: float | None = None) -> int:
        if timeout is not None or self._framing.outgoing:
            return ByteWriting.write(self, data, timeout)  # by name: super() costs every call a cell
        write = self._lane_write  # two steps: CPython caches where a slot is for these, and not for a call of it
        written = write(data)
        if written < 0:
            if written == NOT_BYTES:
                return ByteWriting.write(self, data)
            if written != -errno.EAGAIN:
                raise failure(self, OSError(-written, os.strerror(-written)), "write")
            written = 0
        whole: Any = data  # bytes
        return written if written == len(whole) else self._write_rest([written], memoryview(whole)[written:], None)
