"""`ipckit bench --servers` end to end, with few connections and short times."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

import ipckit
from ipckit.bench.servers import FORMAT
from ipckit.server import MODES
from ipckit.testing import LeakSnapshot

pytestmark = pytest.mark.apart

ROOT = Path(ipckit.__file__).parent.parent
SMALL = """
import sys
from ipckit.bench import servers
from ipckit.cli import main
if __name__ == "__main__":
    servers.new_cells.__defaults__ = (tuple(map(int, sys.argv[1].split(","))),)
    sys.exit(main(["bench", "--servers", *sys.argv[2:]]))
"""


@pytest.fixture
def program(tmp_path):
    """The command, with other numbers of connections."""
    path = tmp_path / "program.py"
    path.write_text(SMALL)
    return [sys.executable, str(path)]


def run(program, *arguments, **how):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    return subprocess.run(
        [*program, *arguments], env=environment, capture_output=True, text=True, timeout=50, check=False, **how
    )


def test_every_server_is_measured(program, tmp_path):
    before = LeakSnapshot.take()
    done = run(program, "1,6", "--repeats", "1", "--seconds", "0.1", "--json", str(tmp_path / "out.json"))
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["format"] == FORMAT
    assert report["environment"]["kernel"]
    cells = report["cells"]
    assert [(cell["mode"], cell["connections"], cell["active"]) for cell in cells] == [
        (mode, number, active) for mode in MODES for number, active in ((1, 1), (6, 6), (6, 1))
    ]
    for cell in cells:
        for name in ("requests_per_second", "p50_ns", "p99_ns", "cpu_ns", "memory_bytes"):
            assert len(cell[name]) == 1, cell
            # On a busy machine even the first reply may come after the time that is measured.
            assert min(cell[name]) > 0 or (name == "requests_per_second" and min(cell["p50_ns"]) >= 0.1e9), cell
        assert cell["p50_ns"][0] <= cell["p99_ns"][0]
        assert cell["mode"] in done.stdout
    assert done.stdout.count("6 (1 active)") == 4
    assert before.leaked() == []


def test_what_a_limit_forbids_says_so(program):
    limit = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (100, 100))
    done = run(program, "80", "--seconds", "0.01", "--repeats", "1", "--json", "-", preexec_fn=limit)
    assert (done.returncode, done.stderr) == (0, "")
    why = "it takes 144 descriptors, and RLIMIT_NOFILE (ulimit -Hn) is 100"
    cells = json.loads(done.stdout)["cells"]
    assert [cell["reason"] for cell in cells] == [why, why] * len(MODES)


def family(pid):
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    members = []
    for task in tasks:
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            members += map(int, task.read_text().split())
    return members + [member for child in members for member in family(child)]


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_when_it_is_killed_everything_ends(program, signum):
    with subprocess.Popen(
        [*program, "3", "--seconds", "60", "--repeats", "1"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        while len(found := family(process.pid)) < 8:  # tracker, server, its forking half and 3 workers, 2 clients
            assert process.poll() is None
        ends = [os.pidfd_open(pid) for pid in found]
        process.send_signal(signum)
        for end in ends:
            assert select.select([end], [], [], 20)[0], "a process of the run outlived it"
            os.close(end)
        out = process.stdout.read()
    assert process.returncode == (130 if signum == signal.SIGINT else -signum)
    assert ("Not measured: asyncio, 3 connections: interrupted" in out) is (signum == signal.SIGINT)
