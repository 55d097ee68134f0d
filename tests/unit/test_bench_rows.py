"""The rows of the benchmark, as a table: nothing that ipckit has is left out of it without a reason."""

from __future__ import annotations

import re

import pytest

from ipckit.bench.settings import QUICK_ROWS
from ipckit.bench.suite import load
from ipckit.cli import main
from tests.contract.subjects import SUBJECTS

# What a row has under the name of what makes it.
PART_OF = {
    "PipeReader": "Pipe",
    "PipeWriter": "Pipe",
    "PacketReader": "Pipe",
    "PacketWriter": "Pipe",
    "DuplexStream": "DuplexPipe",
    "DuplexMessages": "DuplexPipe",
    "PtyMaster": "PseudoTerminal",
    "Terminal": "PseudoTerminal",
    "AtomicUInt64": "AtomicInt64",
    "TrackedSemaphore": "Semaphore",
    "Attachment": "SharedMemory",
}
WHY_NOT = {
    "Futex": "the bare word under sync.Event, sync.Mutex and the others",
    "Latch": "it opens once",
    "Once": "it runs once",
    "Listener": "what its connections carry has a row",
    "Notification": "it tells of messages, whose queue has a row",
    "TerminalProcess": "a program on a PseudoTerminal",
}


def test_every_primitive_has_a_row():
    told = " ".join(row.about for row in load()[0])
    names = {subject.cls.__name__ for subject in SUBJECTS}
    assert {PART_OF.get(name, name) for name in names if not re.search(rf"\b{PART_OF.get(name, name)}\b", told)} == set(
        WHY_NOT
    )
    assert set(PART_OF) <= names


def test_a_quick_run_measures_the_usual_rows_and_those_that_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    def listed(*options: str) -> set[str]:
        assert main(["bench", "--list", *options]) == 0
        return {line.split("  ")[0] for line in capsys.readouterr().out.splitlines()}

    assert listed("--quick") == QUICK_ROWS
    assert listed("--quick", "--also", "ipckit.bench.suite.latest") == {*QUICK_ROWS, "Latest"}
    assert listed("--quick", "--only", "Latest,mp.*") == {"Latest", *(name for name in listed() if name[:3] == "mp.")}
