"""For children that are to be killed in the middle of something: they say where they are, and stand still there."""

from __future__ import annotations

import sys
from typing import Any

from ipckit.testing import pause

HERE = "here"
"""The checkpoint."""


def before_event(event: str, *, nth: int = 1) -> None:
    """Stand still before what Python calls *event*, from the *nth* time on: sys.addaudithook."""
    times = 0

    def stop(name: str, _: object) -> None:
        nonlocal times
        times += name == event
        if name == event and times >= nth:
            pause(HERE)

    sys.addaudithook(stop)


def around_call(owner: Any, name: str, *, nth: int = 1, after: bool = False) -> None:
    """Stand still before (or after) the *nth* call of a function, *name* of *owner*."""
    function = getattr(owner, name)
    calls = 0

    def stopping(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth and not after:
            pause(HERE)
        result = function(*args, **kwargs)
        if calls == nth and after:
            pause(HERE)
        return result

    setattr(owner, name, stopping)
