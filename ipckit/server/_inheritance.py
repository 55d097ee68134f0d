"""What a forked child must not keep: fork(2).

A copy of a connection in a child keeps the connection open when the server has closed it, and a copy of a
"the server lives" pipe keeps the server alive for those who watch it. So every child lets go at once, whoever forked.
"""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from typing import Protocol, TypeVar


class _Closes(Protocol):
    def close(self) -> object: ...


ThingT = TypeVar("ThingT", bound=_Closes)

_ours: weakref.WeakSet[_Closes] = weakref.WeakSet()


def not_for_children(thing: ThingT) -> ThingT:
    """Have *thing* closed in every child that this process forks from now on; return it."""
    _ours.add(thing)
    return thing


def _let_go() -> None:
    things = list(_ours)
    _ours.clear()
    for thing in things:
        with suppress(Exception):  # half closed already, by a thread that does not exist here
            thing.close()


os.register_at_fork(after_in_child=_let_go)
