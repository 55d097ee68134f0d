"""A child that has /dev/shm and an IPC namespace for itself, and calls the command line there: nothing of others is
there to be listed or removed."""

from __future__ import annotations

import contextlib
import io
import sys

import pytest

from ipckit.cli import main
from tests.cli.calling import Done
from tests.inspect.elsewhere import CLONE_NEWIPC, CLONE_NEWNS, enter, mount


def alone(spawn, scenario, *arguments):
    """Run a scenario, a module-level function that makes its own assertions, in such a child."""
    child = spawn(_run, scenario, *arguments)
    if why := child.result(timeout=50):
        pytest.skip(why)


def _run(scenario, *arguments):
    why = enter(CLONE_NEWNS | CLONE_NEWIPC) or mount("none", "/dev/shm", "tmpfs")
    if not why:
        scenario(*arguments)
    return why


def call(*words, answers=None):
    """Call the command line; *answers* stands for stdin."""
    out, err = io.StringIO(), io.StringIO()
    before, sys.stdin = sys.stdin, answers or io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = main([str(word) for word in words])
            except SystemExit as end:
                status = end.code
    finally:
        sys.stdin = before
    return Done(status, out.getvalue(), err.getvalue())
