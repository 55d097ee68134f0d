"""Every IPC object on the machine: what it is, who holds it, and whether it was left behind.

>>> from ipckit import inspect
>>> from ipckit.ring import SpscRing
>>> with SpscRing.create("/doctest-inspect", unlink_on_close=True) as ring:
...     found = inspect.find("ring:/doctest-inspect")
>>> found.verdict.state
'in use'
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit._lazy import lazily

if TYPE_CHECKING:
    from ipckit.inspect._kinds import KINDS, Kind
    from ipckit.inspect._looking import Look, find, find_all, objects
    from ipckit.inspect.cleaning import Outcome, clean, remove
    from ipckit.inspect.records import Holder, Process, Record, State, Verdict

_HOMES = {
    "KINDS": "ipckit.inspect._kinds",
    "Holder": "ipckit.inspect.records",
    "Kind": "ipckit.inspect._kinds",
    "Look": "ipckit.inspect._looking",
    "Outcome": "ipckit.inspect.cleaning",
    "Process": "ipckit.inspect.records",
    "Record": "ipckit.inspect.records",
    "State": "ipckit.inspect.records",
    "Verdict": "ipckit.inspect.records",
    "clean": "ipckit.inspect.cleaning",
    "find": "ipckit.inspect._looking",
    "find_all": "ipckit.inspect._looking",
    "objects": "ipckit.inspect._looking",
    "remove": "ipckit.inspect.cleaning",
}

__all__ = [
    "KINDS",
    "Holder",
    "Kind",
    "Look",
    "Outcome",
    "Process",
    "Record",
    "State",
    "Verdict",
    "clean",
    "find",
    "find_all",
    "objects",
    "remove",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazily(__name__, _HOMES)
