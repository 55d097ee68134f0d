"""A process that traces another one, is told of its end before its parent, and takes its time: ptrace(2)."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

import pytest

from ipckit.testing import ChildFailed, pause

if TYPE_CHECKING:
    from ipckit.testing import Child, Spawn

_SEIZE, _SET_PTRACER, _WALL = 0x4206, 0x59616D61, 0x40000000  # linux/ptrace.h, linux/prctl.h, linux/wait.h
PERMIT = f"import ctypes; ctypes.CDLL(None).prctl({_SET_PTRACER}, ctypes.c_ulong(-1), 0, 0, 0)"
"""Lets others trace the program that does this, where the Yama security module asks for it."""


def trace_to_the_end(pid: int) -> bool:
    if ctypes.CDLL(None).ptrace(_SEIZE, pid, None, None) != 0:
        return False
    pause("attached")
    os.waitpid(pid, _WALL)
    return True


def tracer_of(spawn: Spawn, pid: int) -> Child:
    """A child that traces *pid*, and learns of its end after ``resume("attached")``; skips where that is forbidden."""
    tracer = spawn(trace_to_the_end, pid)
    try:
        tracer.wait_reached("attached")
    except ChildFailed:
        assert not tracer.result()
        pytest.skip("ptrace(2) is forbidden here")
    return tracer
