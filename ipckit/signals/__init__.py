"""Signals: signal(7), sigaction(2), sigqueue(3), sigwaitinfo(2), signalfd(2).

* to send: `send`, `sigqueue` with a value; through a descriptor of the process: `ipckit.PidFd`
* to wait: `blocked` first, then `sigwait`, `sigtimedwait`, or a `SignalFd` among other descriptors; each tells the
  whole `SignalInfo`
* to be interrupted: `handler`, and what must not be done in one
* names, numbers, default actions: `table`, `name`
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit._lazy import lazily

if TYPE_CHECKING:
    from ipckit.signals.catalogue import SignalDescription as SignalDescription
    from ipckit.signals.catalogue import name as name
    from ipckit.signals.catalogue import table as table
    from ipckit.signals.descriptor import SignalFd as SignalFd
    from ipckit.signals.handling import handler as handler
    from ipckit.signals.information import SignalInfo as SignalInfo
    from ipckit.signals.masking import blocked as blocked
    from ipckit.signals.sending import send as send
    from ipckit.signals.sending import sigqueue as sigqueue
    from ipckit.signals.waiting import sigtimedwait as sigtimedwait
    from ipckit.signals.waiting import sigwait as sigwait

_HOMES = {
    "SignalDescription": "ipckit.signals.catalogue",
    "SignalFd": "ipckit.signals.descriptor",
    "SignalInfo": "ipckit.signals.information",
    "blocked": "ipckit.signals.masking",
    "handler": "ipckit.signals.handling",
    "name": "ipckit.signals.catalogue",
    "send": "ipckit.signals.sending",
    "sigqueue": "ipckit.signals.sending",
    "sigtimedwait": "ipckit.signals.waiting",
    "sigwait": "ipckit.signals.waiting",
    "table": "ipckit.signals.catalogue",
}

__all__ = [
    "SignalDescription",
    "SignalFd",
    "SignalInfo",
    "blocked",
    "handler",
    "name",
    "send",
    "sigqueue",
    "sigtimedwait",
    "sigwait",
    "table",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazily(__name__, _HOMES)
