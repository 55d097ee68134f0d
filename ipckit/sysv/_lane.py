"""One attempt on a message queue: the compiled fast lane where it is there, the same calls on cffi where it is not.

Each method returns ``-errno`` where it fails: -EMSGSIZE and -E2BIG for messages of more than 8192 bytes. None waits.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from ipckit._native_quick import lib as quick
from ipckit.sysv._box import SMALL, Box, empty_box

M = TypeVar("M", bound="tuple[int, bytes]")
M_co = TypeVar("M_co", bound="tuple[int, bytes]", covariant=True)


class Lane(Protocol[M_co]):
    """What a queue asks of its lane."""

    def send(self, data: bytes, type: int, /) -> int:
        """Append; 0, or -errno."""

    def receive(self, type: int, /) -> M_co | int:
        """Take the first message of *type*, as msgrcv(2) has it, or -errno."""

    def close(self) -> None:
        """Have every later call say -EINVAL."""


class CffiLane(Generic[M]):
    """The lane for an installation without the extension: a pair takes half as long again; otherwise the same."""

    __slots__ = ("_boxes", "_id", "_message")

    def __init__(self, id: int, message: type[M]) -> None:
        self._id = id
        self._message = message
        self._boxes: list[Box] = []  # each belongs to the one call that popped it

    def send(self, data: bytes, type: int, /) -> int:
        return quick.ipk_sysv_msg_try_send(self._id, type, data, len(data))

    def receive(self, type: int, /) -> M | int:
        try:
            box = self._boxes.pop()
        except IndexError:
            box = empty_box(SMALL)
        size = quick.ipk_sysv_msg_try_receive(self._id, box.words, SMALL, type, 0)
        result = size if size < 0 else tuple.__new__(self._message, (box.words[0], box.data[:size]))
        self._boxes.append(box)
        return result

    def close(self) -> None:
        self._id = -1


def lane_of(id: int, message: type[M]) -> Lane[M]:
    """The fastest lane of this installation for the queue *id*.

    Args:
        message: what a received one is made of: its type and its data.
    """
    try:
        from ipckit._lane import MsgLane
    except ImportError:
        return CffiLane(id, message)
    return MsgLane(id, SMALL, message)
