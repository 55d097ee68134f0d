"""The benchmark of a model server's broadcast runs: workers die and are replaced, and nothing is lost or torn."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ipckit.testing import Spawn

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.apart  # it starts interpreters by the dozen


@pytest.mark.parametrize("way", ["ring", "plain"])
def test_each_way_runs_with_deaths(way: str, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks.model_server", "--only", way, "--workers", "3", "--json", str(results)]
    command += ["--seconds", "0.25", "--sizes", "200,70000", "--kill-every", "0.1"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    figures = json.loads(results.read_text())["results"][way]
    assert figures["churn"]["killed"] > 0
    assert figures["churn"]["messages"] > 0
    assert figures["churn"]["checked"] > 0  # how many, is up to how quickly the workers come back
    assert set(figures["messages_per_s"]) == {"200", "70000"}
    assert all(rate > 0 for rate in figures["messages_per_s"].values())
    assert "longest send" in done.stdout


def test_what_is_torn_or_missing_is_noticed() -> None:
    from benchmarks.model_server.messages import Composer, Corrupt, examine

    message = Composer().compose(1000)
    assert examine(memoryview(message), thorough=True).number == 1
    for at in (4, 12, 500, 999):  # length, number, payload, the number at the end
        torn = bytearray(message)
        torn[at] ^= 1
        with pytest.raises(Corrupt):
            examine(memoryview(torn), thorough=True)
    with pytest.raises(Corrupt):
        examine(memoryview(message)[:-1], thorough=False)


def crew_of(workers: int) -> object:
    """Over a ring with room for four messages of 4 KiB."""
    from benchmarks.model_server.crew import Crew
    from benchmarks.model_server.ring import Ring

    return closing(Crew(Ring, workers, 4096, 4 * 4096))


def outrun_a_beginner() -> int:
    with crew_of(1) as crew:
        crew.kill(0)
        crew.until_drained()
        crew.start(0)
        wait([crew._controls[0]])  # it has subscribed, and is not admitted as long as we send
        for _ in range(20):
            crew.send(4096)
        crew.until_all_are_in()
        return crew.stop()[0].last


def test_a_worker_that_is_not_admitted_yet_reads_what_the_ring_has_no_room_for(spawn: Spawn) -> None:
    assert spawn(outrun_a_beginner).result() == 21  # with the one that had it stop


def kill_one_that_has_everything() -> list[int]:
    with crew_of(2) as crew:
        crew.send(200)
        crew.until_drained()
        crew.kill(0)
        crew.until_drained()
        return list(crew.stop())


def test_nobody_who_was_killed_is_asked_for_a_report(spawn: Spawn) -> None:
    assert spawn(kill_one_that_has_everything).result() == [1]


def churn_for_no_time() -> int:
    from benchmarks.model_server.phases import churn

    with crew_of(2) as crew:
        return churn(crew, 1e-9, 1e-9, 4096).killed


def test_one_is_killed_though_the_time_was_over_at_once(spawn: Spawn) -> None:
    assert spawn(churn_for_no_time).result() == 1
