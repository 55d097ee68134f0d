"""SIGKILL to either side of a ring, hundreds of times: nothing hangs, nothing is torn, lost or doubled."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from tests.processes.spsc_storm import in_the_ring, storm

if TYPE_CHECKING:
    from ipckit.testing import Spawn

KILLS = int(os.environ.get("IPCKIT_STORM_KILLS", "300"))


@pytest.mark.stress
@pytest.mark.watchdog(60 + KILLS)
def test_hundreds_of_kills_of_both_sides(spawn: Spawn, capsys: pytest.CaptureFixture[str]) -> None:
    seed = time.time_ns() % 1_000_000
    report = spawn(storm, KILLS, seed).result(timeout=30 + KILLS)
    total = f"{report.kills} kills, seed {seed}, {report.messages} messages"
    inside = sum(count for place, count in report.places.items() if in_the_ring(place))
    with capsys.disabled():
        print(f"\n{total}; {inside} victims died inside an operation of the ring:")
        for place, count in sorted(report.places.items(), key=lambda item: -item[1]):
            print(f"  {count:5}  {place}")
    assert sum(report.places.values()) == KILLS
    assert inside >= KILLS / 2, "too many victims died where nothing could go wrong"
    for wanted in ("producer asleep", "consumer asleep", "producer copying", "consumer copying", "producer hot"):
        assert any(place.startswith(wanted) and in_the_ring(place) for place in report.places), wanted
