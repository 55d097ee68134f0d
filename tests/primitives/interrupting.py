"""An exception at any moment at which Python runs the handler of a signal: signal(7)."""

from __future__ import annotations

import gc
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from types import FrameType


class Interruption(Exception):
    """What the handler of a signal raises."""


class Alarm:
    """A handler that raises, once each time it is armed, some tens of microseconds later."""

    def __init__(self) -> None:
        self._armed = False

    def arm(self, tenths_of_microseconds: int) -> None:
        self._armed = True
        signal.setitimer(signal.ITIMER_REAL, 2e-5 + tenths_of_microseconds * 1e-7)

    def __call__(self, *_: object) -> None:
        if self._armed:
            self._armed = False
            raise Interruption


@contextmanager
def alarm() -> Iterator[Alarm]:
    """For a ``with`` block: a real signal, at a moment that nobody chose."""
    handler = Alarm()
    before = signal.signal(signal.SIGALRM, handler)
    with uncollected():
        try:
            yield handler
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def blocks_interrupted(block: Callable[[], AbstractContextManager[object]], moments: int) -> Iterator[int]:
    """Enter and leave *block* until a signal's handler raises anywhere around it, so many times."""
    with alarm() as signalled:
        for tenths in range(moments):
            try:
                signalled.arm(tenths)
                while True:
                    with block():
                        pass
            except Interruption:
                yield tenths


def interrupted(moment: int, action: Callable[[], object], package: str = "ipckit.ring") -> bool:
    """Do *action*, and raise an exception at the n-th moment in that package at which Python runs signal handlers.

    Those are when a function begins, and when one in C has returned; what a finaliser raises would not come here.
    Returns whether there was such a moment.
    """
    left = moment

    def look(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal left
        left -= event in {"call", "c_return"} and _is_of(frame, package)
        if left == 0:
            sys.setprofile(None)
            raise Interruption

    with uncollected():
        try:
            sys.setprofile(look)
            action()
        except Interruption:
            pass
        finally:
            sys.setprofile(None)
    return left <= 0


@contextmanager
def uncollected() -> Iterator[None]:
    """For a ``with`` block: nobody's garbage is collected, for Python ignores what a handler raises meanwhile."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def _is_of(frame: FrameType, package: str) -> bool:
    name: str = frame.f_globals.get("__package__") or ""
    return f"{name}.".startswith(f"{package}.") and not _is_finaliser(frame)


def _is_finaliser(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None
