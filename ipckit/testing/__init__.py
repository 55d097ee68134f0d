"""What tests of processes need: children, waiting until one is blocked, checkpoints, leaks, a watchdog.

It needs no test framework; under pytest, wrap `Spawn`, `LeakSnapshot` and `Watchdog` in fixtures. In a child, the
function under test may call `reached` and `pause`:

>>> from ipckit.testing import spawn
>>> with spawn(divmod, 7, 2) as child:
...     child.result()
(3, 1)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit._lazy import lazily

if TYPE_CHECKING:
    from ipckit.testing.blocked import wait_blocked as wait_blocked
    from ipckit.testing.checkpoints import pause as pause
    from ipckit.testing.checkpoints import reached as reached
    from ipckit.testing.children import Child as Child
    from ipckit.testing.children import ChildFailed as ChildFailed
    from ipckit.testing.killing import KillSweep as KillSweep
    from ipckit.testing.killing import kill_sweep as kill_sweep
    from ipckit.testing.leaks import LeakSnapshot as LeakSnapshot
    from ipckit.testing.spawning import Spawn as Spawn
    from ipckit.testing.spawning import spawn as spawn
    from ipckit.testing.watchdog import Watchdog as Watchdog

# A child imports this package for `reached` alone: nothing else may be loaded by it.
_HOMES = {
    "Child": "ipckit.testing.children",
    "ChildFailed": "ipckit.testing.children",
    "KillSweep": "ipckit.testing.killing",
    "LeakSnapshot": "ipckit.testing.leaks",
    "Spawn": "ipckit.testing.spawning",
    "Watchdog": "ipckit.testing.watchdog",
    "kill_sweep": "ipckit.testing.killing",
    "pause": "ipckit.testing.checkpoints",
    "reached": "ipckit.testing.checkpoints",
    "spawn": "ipckit.testing.spawning",
    "wait_blocked": "ipckit.testing.blocked",
}

__all__ = [
    "Child",
    "ChildFailed",
    "KillSweep",
    "LeakSnapshot",
    "Spawn",
    "Watchdog",
    "kill_sweep",
    "pause",
    "reached",
    "spawn",
    "wait_blocked",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazily(__name__, _HOMES)
