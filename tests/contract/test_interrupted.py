"""Waits that a signal handler's exception ends, at any moment: nothing stays taken, and nothing stays in use."""

from __future__ import annotations

import contextlib
from itertools import count
from typing import TYPE_CHECKING

import pytest

from ipckit.errors import TimeoutExpired
from tests.contract.subjects import WAITS
from tests.contract.test_waits import LONG, gives_up, release
from tests.primitives.interrupting import interrupted

if TYPE_CHECKING:
    from tests.contract.shapes import Made, Subject, Wait

SHORT = 0.001  # seconds
MAKING = {"PidFile-acquire", "PipeReader-tee_to", "PacketReader-tee_to"} | {
    f"{end}-splice_from" for end in ("PipeWriter", "PacketWriter")
}
"""In these calls another handle is made, and what is half made as the exception comes is no wait's affair."""
INTERRUPTED = [(subject, wait) for subject, wait in WAITS if f"{subject}-{wait}" not in MAKING]


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of a file that was just opened as the exception came
@pytest.mark.parametrize(("subject", "wait"), INTERRUPTED, ids=[f"{subject}-{wait}" for subject, wait in INTERRUPTED])
def test_an_exception_at_any_moment_takes_nothing(subject: Subject, wait: Wait, made: Made) -> None:
    def act() -> None:
        with contextlib.suppress(TimeoutExpired):
            wait.call(made, SHORT)

    wait.block(made)
    for moment in count(1):
        there_was_one = interrupted(moment, act, "ipckit")
        gives_up(made, wait, 0)
        if not there_was_one:
            break
    wait.complete(made)
    release(wait.call(made, LONG))


def test_what_is_left_out_is_there() -> None:
    assert {f"{subject}-{wait}" for subject, wait in WAITS} >= MAKING
