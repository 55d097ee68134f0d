"""The run beside the peers, with multiprocessing alone: each load measured by real processes; what lacks is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import ipckit
from benchmarks.peers.parts import PEERS
from ipckit.testing import LeakSnapshot
from tests.interop.tirpc import skip_without_tirpc

pytestmark = pytest.mark.apart

ROOT = Path(ipckit.__file__).parent.parent
ALL = ",".join(PEERS)


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.peers", *arguments],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=55, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("part", "row", "questions"),
    [
        ("dicts", "mp.Queue", {("objects", None)}),
        ("many", "mp.Queue", {("crowd", 1), ("crowd", 2), ("crowd", 4)}),
        ("broadcast", "SpscRing each", {(key, n) for key in ("fan cost", "fan rate") for n in (1, 2, 4, 8)}),
        ("latency", "os.pipe (bare)", {("roundtrip", 8), ("asleep", None)}),
        ("idle", "mp.Pipe", {("idle", None)}),
        ("rpc", "xmlrpc", {(key, size) for key in ("calls", "call") for size in (0, 1024)}),
    ],
)
def test_a_part_measures_its_loads_and_leaves_nothing(part, row, questions, tmp_path):
    before = LeakSnapshot.take()
    done = run(
        "--quick", "--parts", part, "--without", ALL, "--only", row, "--repeats", "1", "--seconds", "0.002",
        "--out", str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / f"{part}.json").read_text())
    cells = {(cell["quantity"], cell["size"]): cell for cell in document["cells"] if cell["row"] == row}
    assert set(cells) == questions
    for cell in cells.values():
        (samples, *_) = cell["samples"].values()
        assert len(samples) == 1
        assert samples[0] > 0 or cell["quantity"] == "idle"
        assert cell["counts"][0] > 0
    assert "faster-fifo" in document["environment"]["peers"]
    assert document["settings"]["command"].endswith(str(tmp_path))
    assert json.loads((tmp_path / "targets.json").read_text())
    assert before.leaked() == []


def test_a_busy_thread_and_an_array_in_two_processes(tmp_path):
    if find_spec("numpy") is None:  # not imported here: it leaves threads
        pytest.skip("arrays need numpy")
    usual = ("--quick", "--without", ALL, "--only", "mp.Pipe", "--repeats", "1", "--seconds", "0.002")
    for part, sizes in (("one-way", "64"), ("arrays", "64k,1M")):
        done = run(*usual, "--parts", part, "--sizes", sizes, "--out", str(tmp_path))
        assert done.returncode == 0, done.stderr
    (beside,) = (cell for cell in json.loads((tmp_path / "one-way.json").read_text())["cells"] if cell["size"] is None)
    assert beside["quantity"] == "beside"
    assert beside["samples"]["rate"][0] > 0
    arrays = json.loads((tmp_path / "arrays.json").read_text())["cells"]
    assert [cell["size"] for cell in sorted(arrays, key=lambda cell: cell["size"])] == [64 << 10, 1 << 20]
    assert all(cell["median"] > 0 for cell in arrays)


def test_the_pair_in_c_is_compiled_and_measured_or_the_reason_told(tmp_path):
    before = LeakSnapshot.take()
    few = ("--quick", "--repeats", "1", "--seconds", "0.002")
    usual = (*few, "--parts", "rpc", "--without", ALL, "--only", "libtirpc*")
    without = run(*usual, "--out", str(tmp_path), PATH=str(tmp_path))
    assert without.returncode == 0, without.stderr
    assert "gcc is not installed" in without.stdout
    skip_without_tirpc()
    done = run(*usual, "--out", str(tmp_path), TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    cells = json.loads((tmp_path / "rpc.json").read_text())["cells"]
    assert {cell["row"] for cell in cells} == {"libtirpc unix", "libtirpc TCP", "libtirpc UDP"}
    assert all(cell.get("median", 0) > 0 for cell in cells), cells
    assert not list(tmp_path.glob("ipckit-*"))
    assert before.leaked() == []


def test_a_mutex_in_c_is_compiled_and_measured_or_the_reason_told(tmp_path):
    before = LeakSnapshot.take()
    usual = (
        "--quick",
        "--repeats",
        "1",
        "--seconds",
        "0.002",
        "--parts",
        "locks",
        "--without",
        ALL,
        "--only",
        "pthread*",
    )
    without = run(*usual, "--out", str(tmp_path), PATH=str(tmp_path))
    assert without.returncode == 0, without.stderr
    assert "gcc is not installed" in without.stdout
    done = run(*usual, "--out", str(tmp_path), TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    cells = json.loads((tmp_path / "locks.json").read_text())["cells"]
    assert {cell["quantity"] for cell in cells if cell.get("median", 0) > 0} == {"pair", "handoff"}
    assert not list(tmp_path.glob("ipckit-*"))
    assert before.leaked() == []


def test_a_missing_peer_ends_the_run_before_it_begins_and_says_why(tmp_path):
    (tmp_path / "pynng.py").write_text("raise ImportError('no nng for this machine')")
    done = run("--without", ALL.replace("pynng,", ""), "--out", str(tmp_path / "out"), PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "pynng can't be measured: no nng for this machine" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [("--without", "mysql"), ("--parts", "everything"), ("--sizes", "tiny")])
def test_a_name_that_is_none_is_an_error(arguments, tmp_path):
    done = run(*arguments, "--out", str(tmp_path / "out"))
    assert done.returncode != 0
    assert arguments[1] in done.stderr


def test_a_row_that_is_none_is_an_error(tmp_path):
    done = run("--without", ALL, "--only", "nothing", "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stderr) == (1, "--only: no row is called nothing\n")
