"""One attempt on a message queue: the compiled fast lane where it is there, the same calls on cffi where it is not.

Each method returns ``-errno`` where it fails, and never waits, whatever O_NONBLOCK of the description says.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick

# Copying this many bytes takes longer than to hand the GIL over and get it back. native/lane has the same number.
RELEASE_GIL_ABOVE = 65536

M = TypeVar("M", bound="tuple[bytes, int]")
M_co = TypeVar("M_co", bound="tuple[bytes, int]", covariant=True)


class Lane(Protocol[M_co]):
    """What a queue asks of its lane."""

    def send(self, data: bytes, priority: int, /) -> int:
        """Append; 0, or -errno."""

    def receive(self) -> M_co | int:
        """Take the first message, or -errno."""

    def close(self) -> None:
        """Have every later call say -EBADF."""


class CffiLane(Generic[M]):
    """The lane for an installation without the extension: a pair takes twice the time; otherwise the same."""

    __slots__ = ("_message", "_mqd", "_size")

    def __init__(self, mqd: int, size: int, message: type[M]) -> None:
        self._mqd = mqd
        self._size = size
        self._message = message

    def send(self, data: bytes, priority: int, /) -> int:
        core = lib if len(data) > RELEASE_GIL_ABOVE else quick
        return core.ipk_mqueue_try_send(self._mqd, data, len(data), priority)

    def receive(self) -> M | int:
        # Memory of this call's own: another thread, or a signal handler, may receive between any two lines.
        into = ffi.new("char[]", self._size)
        priority = ffi.new("uint32_t *")
        core = lib if self._size > RELEASE_GIL_ABOVE else quick
        length = core.ipk_mqueue_try_receive(self._mqd, into, self._size, priority)
        return length if length < 0 else tuple.__new__(self._message, (ffi.unpack(into, length), priority[0]))

    def close(self) -> None:
        self._mqd = -1


def lane_of(mqd: int, size: int, message: type[M]) -> Lane[M]:
    """The fastest lane of this installation for the queue *mqd*.

    Args:
        size: bytes of the longest message.
        message: what a received one is made of.
    """
    try:
        from ipckit._lane import QueueLane
    except ImportError:
        return CffiLane(mqd, size, message)
    return QueueLane(mqd, size, message)
