"""The benchmark of a model server's broadcast runs: workers die and are replaced, and nothing is lost or torn."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

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
