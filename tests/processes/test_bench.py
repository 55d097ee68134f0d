"""`ipckit bench` end to end: real measurements with tiny counts, rows that misbehave, and every way out."""

from __future__ import annotations

import csv
import io
import json
import os
import select
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import product
from pathlib import Path
from shlex import quote

import pytest

import ipckit
from ipckit.testing import LeakSnapshot

pytestmark = pytest.mark.apart

ROOT = Path(ipckit.__file__).parent.parent
TINY = ["--repeats", "2", "--seconds", "0.002", "--sizes", "8,64k"]

# Rows that do what a row should not.
ODD_ROWS = '''
import os, signal
from contextlib import contextmanager
from ipckit.bench.row import Caller, Channel, Lock, OtherMemory
from ipckit.pipe import Pipe

class Stuck(Lock):
    """Works in the first repeat; from then on it tells the test that it is there, and never returns."""
    name = "odd.stuck"
    about = family = "odd"
    made = 0
    def __init__(self):
        Stuck.made += 1
        self.visit = Stuck.made
    def calls(self):
        def acquire():
            if self.visit > 1:
                with open(os.environ["ODD_FIFO"], "w") as fifo:
                    fifo.write("x")
                signal.pause()
        return acquire, lambda: None

class Dying(Stuck):
    name = "odd.dying"
    def calls(self):
        return lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: None

class Raising(Stuck):
    name = "odd.raising"
    def calls(self):
        raise RuntimeError("no luck")

class Impossible(Stuck):
    name = "odd.impossible"
    def __init__(self):
        raise OSError(28, "no room for it")

class Unpicklable(Stuck):
    name = "odd.unpicklable"
    def __init__(self):
        self.thing = lambda: None

class Lying(Channel):
    name = "odd.lying"
    about = family = "odd"
    def __init__(self, size):
        self.reader, self.writer = Pipe.create()
    def sender(self, size):
        return lambda data: self.writer.send(b"?" * len(data))
    def receiver(self, size):
        return self.reader.receive

class Silent(Lying):
    name = "odd.silent"
    def sender(self, size):
        return lambda data: None
class Forgetful(Caller):
    name = "odd.forgetful"
    about = family = "odd"
    @contextmanager
    def serving(self):
        yield "nowhere"
    @contextmanager
    def calling(self, where, data):
        yield lambda: b"?" * len(data)
class Inventive(OtherMemory):
    name = "odd.inventive"
    about = family = "odd"
    def reader(self, pid, address, size):
        return lambda: b"?" * size
    def writer(self, pid, address):
        return lambda data: None
'''


@pytest.fixture
def odd_rows(tmp_path):
    """A module `odd_rows` that --also finds, and a FIFO on which its stuck row reports."""
    (tmp_path / "odd_rows.py").write_text(ODD_ROWS)
    os.mkfifo(tmp_path / "fifo")
    return {"PYTHONPATH": f"{ROOT}:{tmp_path}", "ODD_FIFO": str(tmp_path / "fifo")}


@contextmanager
def started(*arguments, **environment):
    process = subprocess.Popen(
        [sys.executable, "-m", "ipckit", "bench", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def bench(*arguments, **environment):
    with started(*arguments, **environment) as process:
        out, err = process.communicate(timeout=50)
        return process.returncode, out, err


def children(pid):
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]


def test_a_small_run_prints_a_table_and_writes_everything(tmp_path):
    files = [tmp_path / name for name in ("r.json", "r.csv", "r.html")]
    status, out, err = bench(
        *TINY, "--only", "mp.Pipe,posix.MessageQueue,mp.Lock",
        "--json", str(files[0]), "--csv", str(files[1]), "--html", str(files[2]),
    )  # fmt: skip
    assert (status, err) == (0, f"Written: {', '.join(map(str, files))}\n")
    assert "\x1b" not in out
    assert "One-way throughput" in out
    assert "Which primitive should I use" in out
    assert "message size limit" in out  # 64 KiB is too much for a message queue
    document = json.loads(files[0].read_text())
    assert document["interrupted"] is False
    measured = {(cell["row"], cell["quantity"], cell["size"]) for cell in document["cells"] if "median" in cell}
    assert {("mp.Pipe", "throughput", 65536), ("mp.Pipe", "roundtrip", 8), ("mp.Pipe", "wakeup", None)} <= measured
    assert {
        ("mp.Lock", "pair", None),
        ("mp.Lock", "handoff", None),
        ("posix.MessageQueue", "throughput", 8),
    } <= measured
    samples = [cell["samples"] for cell in document["cells"] if "median" in cell]
    assert all(value > 0 for statistics in samples for values in statistics.values() for value in values)
    assert all(len(next(iter(statistics.values()))) == 2 for statistics in samples)
    assert {line["row"] for line in csv.DictReader(io.StringIO(files[1].read_text()))} == set(document["rows"])
    assert files[2].read_text().startswith("<!doctype html>")


def test_what_cannot_be_written_does_not_cost_the_table(tmp_path):
    other = tmp_path / "other.csv"
    status, out, err = bench(*TINY, "--only", "mp.Lock", "--json", "/dev/full", "--csv", str(other))
    assert status == 1
    assert "mp.Lock" in out
    assert err.endswith(f"Written: {other}\nipckit: could not write /dev/full: No space left on device\n")
    assert other.stat().st_size > 0


def test_json_to_stdout_is_nothing_but_json():
    status, out, _ = bench(*TINY, "--only", "mp.Lock", "--json", "-")
    assert status == 0
    document = json.loads(out)
    assert document["environment"]["kernel"].startswith("Linux")
    assert document["settings"]["command"].endswith("--json -")


def test_a_comparison_stays_out_of_what_goes_to_stdout(tmp_path):
    old = tmp_path / "old.json"
    assert bench(*TINY, "--only", "mp.Lock", "--json", str(old))[0] == 0
    status, out, err = bench(*TINY, "--only", "mp.Lock", "--compare", str(old), "--json", "-")
    assert (status, list(json.loads(out)["rows"])) == (0, ["mp.Lock"])
    assert "beyond the noise" in err.lower()


def test_rows_of_memory_processes_files_and_unnamed_semaphores_are_measured(tmp_path):
    rows = {
        "ProcessMemory": {("read", 8), ("read", 65536), ("write", 8), ("write", 65536)},
        "/proc/PID/mem (bare)": {("read", 8), ("read", 65536), ("write", 8), ("write", 65536)},
        "ProcessMemory + sems": {
            ("throughput", 8), ("throughput", 65536), ("roundtrip", 8), ("roundtrip", 65536), ("wakeup", None),
        },
        "PidFd signal": {("roundtrip", 8), ("wakeup", None)},
        "pidfd signal (bare)": {("roundtrip", 8), ("wakeup", None)},
        "PidFd wait": {("wakeup", None)},
        "os.waitid (bare)": {("wakeup", None)},
        "FileRWLock (write)": {("pair", None), ("handoff", None)},
        "FileRWLock (read)": {("pair", None)},
        "PidFile": {("pair", None), ("handoff", None)},
        "pid file (bare)": {("pair", None), ("handoff", None)},
        "UnnamedSemaphore": {("pair", None), ("handoff", None)},
        "unnamed as signal": {("roundtrip", 8), ("wakeup", None)},
        **{f"rpc {kind}": set(product(("calls", "call"), (0, 1024))) for kind in ("unix", "TCP", "UDP")},
    }  # fmt: skip
    before = LeakSnapshot.take()
    status, out, err = bench(*TINY, "--repeats", "1", "--only", ",".join(rows), "--json", "-", TMPDIR=str(tmp_path))
    assert (status, err) == (0, "")
    measured = {row: set() for row in rows}
    for cell in json.loads(out)["cells"]:
        assert cell.get("reason", "") == cell.get("note", "") == ""
        assert cell["median"] > 0
        measured[cell["row"]].add((cell["quantity"], cell["size"]))
    assert measured == rows
    assert before.leaked() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("placement", ["same", "free"])
def test_the_placement_is_the_one_asked_for(placement):
    status, out, _ = bench(*TINY, "--only", "Pipe", "--placement", placement, "--json", "-")
    settings = json.loads(out)["settings"]
    assert (status, settings["placement"]) == (0, placement)
    first, second = settings["cpus"]
    assert first == second
    assert (first is None) == (placement == "free")


def test_on_one_cpu_cross_says_why_it_is_not():
    cpu = min(os.sched_getaffinity(0))
    done = subprocess.run(
        ["taskset", "-c", str(cpu), sys.executable, "-m", "ipckit", "bench", *TINY, "--only", "mp.Lock",
         "--placement", "cross"],
        cwd=ROOT, capture_output=True, text=True, timeout=50, check=True,
    )  # fmt: skip
    assert f"may use only CPU {cpu}" in " ".join(done.stdout.split())


def test_compare_speaks_only_of_differences(tmp_path):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    assert bench(*TINY, "--only", "mp.Lock", "--json", str(old))[0] == 0
    document = json.loads(old.read_text())

    def write(path, samples):
        for cell in document["cells"]:
            cell["samples"] = dict.fromkeys(cell["samples"], samples)
        path.write_text(json.dumps(document))

    write(old, [100, 101])
    status, out, _ = bench("--compare", str(old), "--with", str(old))
    assert status == 0
    assert out.strip() == "No difference beyond the noise, in 2 figures."
    write(new, [1000, 1010])
    status, out, _ = bench("--compare", str(old), "--with", str(new))
    assert status == 0
    assert "Beyond the noise: 2 of 2" in out
    assert "x 10.0" in out
    document["environment"]["host"] = "elsewhere"
    new.write_text(json.dumps(document))
    status, out, err = bench("--compare", str(old), "--with", str(new))
    assert (status, out) == (1, "")
    assert "elsewhere" in err
    unwritten = tmp_path / "unwritten.json"
    assert bench(*TINY, "--only", "mp.Lock", "--compare", str(new), "--json", str(unwritten))[0] == 1
    assert not unwritten.exists()
    assert bench("--compare", str(old), "--with", str(new), "--force")[0] == 0


def test_a_row_that_fails_says_why_and_the_others_are_measured(tmp_path, odd_rows):
    script = tmp_path / "script.py"
    script.write_text(
        "from dataclasses import replace\n"
        "from ipckit.bench.engine import Engine\n"
        "from ipckit.bench.settings import Settings\n"
        "from ipckit.bench.suite import load, rows_of\n"
        "if __name__ == '__main__':\n"
        "    rows = [row for row in load()[0] if row.name == 'mp.Lock'] + rows_of('odd_rows')\n"
        "    rows = [row for row in rows if row.name != 'odd.stuck']\n"
        "    settings = Settings(sizes=(8,), repeats=1, seconds=0.002, wakeups=5)\n"
        "    silent = [rows.pop([row.name for row in rows].index('odd.silent'))]\n"
        "    engines = [Engine(rows, {'odd.missing': 'not there'}, settings)]\n"
        "    engines.append(Engine(silent, {}, replace(settings, limit=2.0)))\n"
        "    print('[', ','.join(engine.run(lambda done, text: None).to_json() for engine in engines), ']')\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=ROOT, env={**os.environ, **odd_rows}, capture_output=True, text=True, timeout=55, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    cells = [cell for report in json.loads(done.stdout) for cell in report["cells"]]
    reason = {cell["row"]: cell.get("reason", "") for cell in cells if cell["quantity"] in {"pair", "throughput"}}
    assert reason["mp.Lock"] == ""
    assert reason["odd.dying"] == "the first measuring process ended by SIGKILL"
    assert reason["odd.raising"] == "RuntimeError: no luck"
    assert reason["odd.impossible"] == "[Errno 28] no room for it"
    assert "local object" in reason["odd.unpicklable"]
    assert reason["odd.lying"] == "a message of 8 bytes arrived with other content than was sent"
    assert reason["odd.silent"] == "no result within 2 s"
    assert reason["odd.missing"] == "not there"
    assert {cell["quantity"]: cell.get("reason") for cell in cells if cell["row"] == "odd.inventive"} == {
        "read": "8 bytes were read with other content than the other process has there",
        "write": "8 bytes were written with other content than arrived",
    }
    assert {cell["size"]: cell.get("reason") for cell in cells if cell["row"] == "odd.forgetful"} == {
        0: None,
        1024: "a call with 1024 bytes gave back something else",
    }


@contextmanager
def in_the_middle(odd_rows):
    """A run whose first repeat is done, and which now is inside a measurement that never ends by itself."""
    arguments = [*TINY, "--also", "odd_rows", "--only", "mp.Lock,odd.stuck,Pipe,posix.Semaphore", "--sizes", "8"]
    with started(*arguments, **odd_rows) as process:
        with open(odd_rows["ODD_FIFO"]) as fifo:
            assert fifo.read(1) == "x"
        yield process


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupted_run_prints_what_it_has_and_leaves_nothing(odd_rows, signum, status):
    before = LeakSnapshot.take()
    with in_the_middle(odd_rows) as process:
        family = children(process.pid)
        process.send_signal(signum)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (status, "")
    assert "mp.Lock" in out
    assert out.rstrip().endswith("Interrupted: this is what was measured until then.")
    assert len(family) == 3  # two that measure, and multiprocessing's resource tracker
    assert not [pid for pid in family if Path(f"/proc/{pid}").exists()]
    assert before.leaked() == []


def test_a_killed_run_leaves_no_process(odd_rows):
    with ExitStack() as stack:
        process = stack.enter_context(in_the_middle(odd_rows))
        ends = [os.pidfd_open(pid) for pid in children(process.pid)]
        for end in ends:
            stack.callback(os.close, end)
        process.kill()
        for end in ends:
            poller = select.poll()
            poller.register(end, select.POLLIN)
            assert poller.poll(10_000), "a process of the run outlived it"


def test_a_reader_that_has_seen_enough_is_no_error():
    process = subprocess.run(
        f"{quote(sys.executable)} -m ipckit bench {' '.join(TINY)} --only mp.Lock | head -n 1; echo ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", cwd=ROOT, capture_output=True, text=True, timeout=50, check=True,
    )  # fmt: skip
    first, status = process.stdout.splitlines()
    assert first.startswith("ipckit")
    assert (status, process.stderr) == ("0", "")
