"""Turns that stay nobody's when an exception of a signal handler comes between taking one and being able to return it.

A turn left taken would hang every other thread. So whoever leaves by an exception gives back all that its thread still
has, unless it was itself called by a signal handler, above another use by the same thread: then that one still goes on.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ipckit._turn import refuse, wait_for

if TYPE_CHECKING:
    import threading
    from types import CodeType

    from ipckit._handle import Handle
    from ipckit._turn import Turn
    from ipckit._wait import Deadline


class Owner(Protocol):
    """Whose turns they are; it calls `give_back_all` when it leaves by an exception."""

    entrances: ClassVar[frozenset[CodeType]]
    """The code of those of its methods that take turns, or call what does; each ends by giving them back."""

    @property
    def handle(self) -> Handle:
        """Ends all waits when it is closed."""


def is_nested(owner: Owner) -> bool:
    """Whether this thread is twice inside methods of *owner* that take turns."""
    frame, seen = sys._getframe(1), 0
    while frame is not None and seen < 2:
        if frame.f_code in owner.entrances and frame.f_locals.get("self") is owner:
            seen += 1
        frame = frame.f_back  # type: ignore[assignment]
    return seen > 1


def give_back_all(owner: Owner, *turns: Turn) -> None:
    """Give back what this thread still has of *turns*, unless it is nested."""
    for turn in turns:
        lock: Any = turn.lock
        if lock._is_owned() and not is_nested(owner):
            while lock._is_owned():
                turn.give_back(lock)


def take(owner: Owner, turn: Turn, deadline: Deadline | None, verb: str) -> threading.RLock:
    """As `Turn.take`."""
    lock = turn.lock
    if not lock.acquire(False):
        wait_for(lock, owner.handle, deadline, verb)
    if turn.inside:
        settle(owner, turn, lock, verb)
    turn.inside = True
    return lock


def settle(owner: Owner, turn: Turn, lock: threading.RLock, verb: str) -> None:
    """Decide what it means that this thread has *lock* twice.

    Raises:
        BusyError: it is nested.
    """
    if is_nested(owner):
        refuse(lock, owner.handle, verb)
    lock.release()  # the first was left by an exception that came where even `give_back_all` could not see to it
    turn.inside = False
