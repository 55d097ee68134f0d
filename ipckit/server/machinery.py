"""What a server of another protocol is built from: how it lives, accepts, stops, and tells of failures."""

from __future__ import annotations

from ipckit.server._acceptor import cut_off_error
from ipckit.server._alarm import Alarm
from ipckit.server._gate import AT_ONCE, Gate
from ipckit.server._inheritance import not_for_children
from ipckit.server._life import Life
from ipckit.server._lifeline import Lifeline
from ipckit.server._peer import Peer
from ipckit.server._plan import Plan, log_error
from ipckit.server._settings import CONNECTIONS, MOST, limit, patience_ns
from ipckit.server._switch import Switch

__all__ = [
    "AT_ONCE",
    "CONNECTIONS",
    "MOST",
    "Alarm",
    "Gate",
    "Life",
    "Lifeline",
    "Peer",
    "Plan",
    "Switch",
    "cut_off_error",
    "limit",
    "log_error",
    "not_for_children",
    "patience_ns",
]
