"""Rings in shared memory: the C core's message queues that need no system call while both sides are awake."""

from ipckit.ring.spsc import SpscRing, SpscStat

__all__ = ["SpscRing", "SpscStat"]
