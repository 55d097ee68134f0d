"""Cleaners amid a crowd of users: what somebody has keeps its name, what the dead left is gone in the end."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from ipckit.testing import Spawn
from tests.inspect.elsewhere import in_a_world_of_its_own
from tests.processes.cleaning_storm import Report, cleaner, crowd, foreign_storm, remains, sweep

if TYPE_CHECKING:
    from pathlib import Path

LIVES = int(os.environ.get("IPCKIT_CLEANING_LIVES", "3000"))


def storm(spawn: Spawn, stop: Path, lives: int, cleaners: int, seconds: float) -> tuple[Report, Counter[str], int]:
    """A storm of so many lives, and so many cleaners. Returns what both say, and the seed."""
    prefix = f"storm{os.getpid()}x{time.monotonic_ns()}"
    seed = time.time_ns() % 1_000_000
    sweepers = [spawn(cleaner, prefix, str(stop)) for _ in range(cleaners)]
    users = spawn(crowd, prefix, lives, seed)
    try:
        report = users.result(timeout=seconds)
    finally:
        stop.touch()
    outcomes: Counter[str] = Counter()
    for sweeper in sweepers:
        outcomes.update(sweeper.result())
    outcomes.update(sweep(prefix))
    assert remains(prefix) == [], f"seed {seed}"
    return report, outcomes, seed


@pytest.mark.slow
def test_nothing_that_somebody_has_is_removed_and_nothing_is_left(spawn: Spawn, tmp_path: Path) -> None:
    report, outcomes, seed = storm(spawn, tmp_path / "stop", 60, 2, 50)
    assert report.lost == [], f"seed {seed}"
    assert report.killed
    assert report.looks
    assert outcomes["removed"]


@pytest.mark.stress
@pytest.mark.watchdog(120 + LIVES)
def test_a_long_storm(spawn: Spawn, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, outcomes, seed = storm(spawn, tmp_path / "stop", LIVES, 3, 60 + LIVES)
    with capsys.disabled():
        print(f"\n{report.lives} lives, {report.killed} killed, {report.looks} looks at names, seed {seed}; outcomes:")
        for reason, count in outcomes.most_common():
            print(f"  {count:6}  {reason}")
    assert report.lost == [], f"seed {seed}"
    assert report.killed > LIVES / 4
    assert outcomes["removed"] > LIVES / 4


@pytest.mark.stress
@pytest.mark.watchdog(120 + LIVES)
def test_the_window_of_what_has_no_lock(spawn: Spawn, capsys: pytest.CaptureFixture[str]) -> None:
    """How often a cleaner takes the name of shared memory that somebody has just opened. That is told, not judged."""
    seed = time.time_ns() % 1_000_000
    prefix = f"storm{os.getpid()}x{time.monotonic_ns()}"
    storm_in_its_own_world = spawn(in_a_world_of_its_own, foreign_storm, prefix, LIVES // 4, seed)
    refused, found = storm_in_its_own_world.result(timeout=60 + LIVES)
    if refused:
        pytest.skip(refused)
    report, outcomes = found
    with capsys.disabled():
        print(
            f"\n{report.lives} lives, seed {seed}: {outcomes['removed']} removed, of which {len(report.lost)} looks of"
        )
        print(f"{report.looks} found that what somebody had just opened had lost its name")
    assert outcomes["removed"]
