"""Start a child process with its control channel, its lifeline and its stderr in memory; find what it leaves."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from ipckit.testing import _procfs
from ipckit.testing._functions import name_of
from ipckit.testing._travel import Packed

if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE = "IPCKIT_TESTING_CHILD"
_BOOT = "import sys; sys.path[:] = {path!r}; from ipckit.testing._child_main import main; main({channel}, {lifeline})"

spawned: dict[int, float] = {}
"""The pids of all children that this process ever started, by which their objects are told from others'.

With each goes the time (time.monotonic) of its end, from which on the pid may be another's; infinite before.
"""

_lifelines: set[int] = set()
"""Of the children that are there. A child lives as long as somebody has the write end of its pipe."""


class Launched(NamedTuple):
    """A child that has been started and waits for its order."""

    name: str
    process: subprocess.Popen[bytes]
    channel: socket.socket
    child_fd: int
    lifeline: int
    stderr: int
    token: str
    order: tuple[object, ...]


def launch(function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]) -> Launched:
    """Start the interpreter; TypeError if the function can't be found there or an argument can't be pickled."""
    where = name_of(function)
    with Packed((args, kwargs)) as packed, ExitStack() as passed, ExitStack() as kept:
        ours, theirs = socket.socketpair()
        passed.callback(theirs.close)
        kept.callback(ours.close)
        watched, lifeline = os.pipe2(os.O_CLOEXEC)
        passed.callback(os.close, watched)
        kept.callback(os.close, lifeline)
        stderr = os.memfd_create("ipckit-child-stderr", os.MFD_CLOEXEC)
        kept.callback(os.close, stderr)
        token = os.urandom(8).hex()
        child_fd = theirs.fileno()
        process = subprocess.Popen(
            [*_interpreter(child_fd, watched), where.qualname],
            stdin=subprocess.DEVNULL,
            stderr=stderr,
            pass_fds=(child_fd, watched, *packed.fds),
            env={**os.environ, VARIABLE: token},
        )
        kept.pop_all()
        _lifelines.add(lifeline)
        spawned[process.pid] = math.inf
        order = ("pytest" in sys.modules, where, packed.data)
        return Launched(where.qualname, process, ours, child_fd, lifeline, stderr, token, order)


def bearers(token: str) -> list[int]:
    """The child and all that descends from it and was not given another environment, dead parents or not.

    Some may have come since; if there are none, none will.
    """
    mark = f"{VARIABLE}={token}"
    looked_at: set[int] = set()
    found: list[int] = []
    # One that was listed may have forked, and ended, before it was looked at.
    while not found and (new := [pid for pid in _procfs.pids() if pid not in looked_at]):
        found = [pid for pid in new if mark in _procfs.environment(pid)]
        looked_at.update(new)
    return found


def end(token: str) -> None:
    """SIGKILL to all `bearers`, until there are none: one may have forked just before it died."""
    while pids := bearers(token):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def let_go(lifeline: int) -> None:
    """Close our end of it."""
    if lifeline in _lifelines:
        _lifelines.remove(lifeline)
        os.close(lifeline)


def _let_go_of_all() -> None:
    """In a forked copy of this process: with it, none of our children shall live on."""
    for lifeline in list(_lifelines):
        let_go(lifeline)


os.register_at_fork(after_in_child=_let_go_of_all)


def _interpreter(channel: int, lifeline: int) -> list[str]:
    boot = _BOOT.format(path=sys.path, channel=channel, lifeline=lifeline)
    # The one place where the standard library knows which options its own children need (-X, -W, -B ...).
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return [sys.executable, *flags, "-c", boot]
