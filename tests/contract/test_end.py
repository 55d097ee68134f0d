"""The end of the interpreter, with handles that nobody closed and threads that still wait."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from ipckit._handle import Handle
from ipckit.errors import IPCError, NotFoundError
from ipckit.testing import wait_blocked
from tests.contract.shapes import Made, Subject, Wait, make, unlink_name
from tests.contract.subjects import SUBJECTS

ROOT = Path(__file__).parents[2]


class Cycle:
    """What only the garbage collector ends."""

    def __init__(self, subject: Subject) -> None:
        self.itself = self
        self.made = make(subject)


def leave_everything_open() -> list[object]:
    """Handles of every class, some of them in a cycle; of every class that waits, a daemon thread in a wait."""
    kept: list[object] = []
    threads = []
    for subject in SUBJECTS:
        made, cycle = make(subject), Cycle(subject)
        kept += [made, cycle]
        if subject.waits:
            wait = subject.waits[0]
            wait.block(made)
            threads.append(threading.Thread(target=until_removed, args=(wait, made), daemon=True))
            threads[-1].start()
            assert threads[-1].native_id is not None
            wait_blocked(os.getpid(), *wait.syscalls, tid=threads[-1].native_id)
        for there in (cycle.made, made):  # what was made last goes first
            leave_no_trace(subject, there)
    return kept


def until_removed(wait: Wait, made: Made) -> None:
    with suppress(IPCError):
        wait.call(made, None)


def leave_no_trace(subject: Subject, made: Made) -> None:
    """Take away what would outlive this process; no handle is closed."""
    if subject.naming:
        unlink_name(subject, made[0].name)
    for companion in made[1:]:
        if not isinstance(companion, Handle):
            companion.close()
        for verb in {"unlink", "remove"} & set(dir(companion)):
            with suppress(NotFoundError, ValueError):
                getattr(companion, verb)()


@pytest.mark.slow
def test_open_handles_and_waiting_threads_are_no_trouble_at_the_end_of_the_interpreter() -> None:
    script = "from tests.contract.test_end import leave_everything_open; kept = leave_everything_open(); print('end')"
    ended = subprocess.run(
        [sys.executable, "-W", "default::ResourceWarning", "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "end\n"), ended.stderr
    # A warning may be followed by the line of ours at which a handle lost its last reference.
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("  self._")]
    unexpected = [line for line in lines if "ResourceWarning: unclosed" not in line]
    assert not unexpected, ended.stderr
