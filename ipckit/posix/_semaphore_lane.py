"""A token taken or given at once: the compiled fast lane where it is there, the same calls on cffi where it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ipckit._compiled import memory_lane
from ipckit._native_quick import lib as quick

if TYPE_CHECKING:
    from ipckit.posix._tokens import Tokens

T = TypeVar("T", bound="Tokens")


class Lane(Protocol):
    """What a semaphore asks of its lane."""

    def take(self) -> bool:
        """Take a token. Returns whether there was one."""

    def give(self) -> bool:
        """Give a token; False where there are too many already."""

    def enter(self, semaphore: T, /) -> T:
        """Take a token for a ``with`` block, waiting for one."""

    def leave(self, semaphore: Tokens, /) -> None:
        """Give the token of a ``with`` block."""


class CffiLane:
    """The lane for an installation without the extension: a pair takes half as long again; otherwise the same."""

    __slots__ = ("_sem",)

    def __init__(self, sem: Any) -> None:
        self._sem = sem  # keeps its memory while a call is inside

    def take(self) -> bool:
        return not quick.ipk_posix_sem_trywait(self._sem)

    def give(self) -> bool:
        return not quick.ipk_posix_sem_post(self._sem)

    def enter(self, semaphore: T, /) -> T:
        return semaphore if self.take() else semaphore._enter_waiting()

    def leave(self, semaphore: Tokens, /) -> None:
        if not self.give():
            semaphore._post_failed()


class ClosedLane:
    """The lane of a closed handle: nothing succeeds, and the handle then asks why."""

    __slots__ = ()

    def take(self) -> bool:
        return False

    def give(self) -> bool:
        return False

    def enter(self, semaphore: T, /) -> T:
        return semaphore._enter_waiting()

    def leave(self, semaphore: Tokens, /) -> None:
        semaphore._post_failed()


CLOSED = ClosedLane()


def lane_of(sem: Any) -> Lane:
    """The fastest lane of this installation.

    Args:
        sem: a cffi pointer whose owner keeps the memory; the lane keeps the pointer.
    """
    return memory_lane("SemaphoreLane", sem) or CffiLane(sem)
