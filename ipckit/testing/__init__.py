"""What tests of processes need: children, waiting until one is blocked, checkpoints, leaks, a watchdog.

It needs no test framework; under pytest, wrap `Spawn`, `LeakSnapshot` and `Watchdog` in fixtures. In a child, the
function under test may call `reached` and `pause`:

>>> from ipckit.testing import spawn
>>> with spawn(divmod, 7, 2) as child:
...     child.result()
(3, 1)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ipckit.testing.blocked import wait_blocked as wait_blocked
    from ipckit.testing.checkpoints import pause as pause
    from ipckit.testing.checkpoints import reached as reached
    from ipckit.testing.children import Child as Child
    from ipckit.testing.children import ChildFailed as ChildFailed
    from ipckit.testing.leaks import LeakSnapshot as LeakSnapshot
    from ipckit.testing.spawning import Spawn as Spawn
    from ipckit.testing.spawning import spawn as spawn
    from ipckit.testing.watchdog import Watchdog as Watchdog

# A child imports this package for `reached` alone: nothing else may be loaded by it.
_HOMES = {
    "Child": "children",
    "ChildFailed": "children",
    "LeakSnapshot": "leaks",
    "Spawn": "spawning",
    "Watchdog": "watchdog",
    "pause": "checkpoints",
    "reached": "checkpoints",
    "spawn": "spawning",
    "wait_blocked": "blocked",
}

__all__ = [
    "Child",
    "ChildFailed",
    "LeakSnapshot",
    "Spawn",
    "Watchdog",
    "pause",
    "reached",
    "spawn",
    "wait_blocked",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ipckit.testing' has no attribute {name!r}")
    value = getattr(import_module(f"ipckit.testing.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
