"""`ipckit doctor`, on this machine and on one that is worse."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys

import pytest

from ipckit.inspect.limits import kernel_limits
from tests.cli.calling import whole, without_escapes

LEVELS = {"ok", "warning", "problem", "unknown"}
BROKEN = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x20000 | (0 if os.geteuid() == 0 else 0x10000000)):
    sys.exit(77)
if libc.mount(b"none", b"/", None, (1 << 18) | (1 << 14), None):
    sys.exit(77)
if libc.mount(b"none", b"/dev/shm", b"tmpfs", 1, b"mode=1777"):
    sys.exit(77)
from ipckit.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_text(ipckit):
    done = ipckit("doctor")
    *lines, last = done.out.splitlines()
    heads = [line for line in lines if not line.startswith(" ")]
    assert {line.split()[0] for line in heads} <= LEVELS
    assert any(line.split()[1] == "/dev/shm" for line in heads)
    assert done.status == any(line.startswith("problem") for line in heads)
    assert sum(int(part.split()[0]) for part in last.rstrip(".").split(", ")) == len(heads)
    assert f"{sum(line.startswith('ok') for line in heads)} ok" in last
    assert "\033" not in done.out


def test_json_and_csv(ipckit):
    document = json.loads(ipckit("doctor", "--json").out)
    assert (document["document"], document["complete"]) == ("ipckit doctor", True)
    found = {finding["name"]: finding for finding in document["findings"]}
    assert {finding["level"] for finding in found.values()} <= LEVELS
    assert sum(document["levels"].values()) == len(document["findings"]) == len(found)
    rows = list(csv.DictReader(io.StringIO(ipckit("doctor", "--csv").out)))
    limits = {limit.name for limit in kernel_limits(processes=False)} - {"/dev/shm"}  # others may come near to them
    assert {row["name"] for row in rows} >= found.keys() - {"limits"} - limits
    assert set(rows[0]) == {"level", "name", "found", "advice", "commands"}


def test_quiet(ipckit):
    quiet = ipckit("doctor", "--quiet", "--json")
    assert {finding["level"] for finding in json.loads(quiet.out)["findings"]} <= {"warning", "problem"}
    assert ipckit("doctor", "--json", "--csv").status == 2


def doctor(*words):
    done = subprocess.run(
        [sys.executable, "-c", BROKEN, "doctor", *words],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    if done.returncode == 77:
        pytest.skip("this user may not mount anything in a namespace of its own")
    return done


@pytest.mark.slow
def test_a_problem_is_status_1_and_says_what_to_do():
    done = doctor("--quiet")
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("problem  /dev/shm "))
    assert lines[at].endswith("/dev/shm is mounted read-only")
    assert lines[at + 1].strip() == "-> mount it for writing"
    assert lines[at + 2].strip() == "mount -o remount,rw /dev/shm"
    assert not any(line.startswith("ok") for line in lines)
    assert "problem" in lines[-1]


@pytest.mark.slow
def test_it_works_where_the_installation_does_not():
    gone = ("posix_ipc", "sysv_ipc", "psutil", "cffi", "_cffi_backend", "ipckit._native", "ipckit._lane", "rich")
    code = f"import sys; sys.modules.update(dict.fromkeys({gone}))\n" + BROKEN[BROKEN.index("from ipckit.cli") :]
    done = subprocess.run(
        [sys.executable, "-c", code, "doctor", "--json"],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert (done.returncode, done.stderr) == (1, "")
    levels = {found["name"]: found["level"] for found in json.loads(done.stdout)["findings"]}
    assert levels["C core"] == "problem"
    assert levels["futex_waitv"] == levels["POSIX message queues"] == levels["limits"] == "unknown"
    assert levels["/dev/shm"] != "unknown"


@pytest.mark.slow
def test_on_a_narrow_terminal_sentences_are_wrapped_and_levels_coloured(terminal):
    text, status = whole(terminal("doctor", columns=60))
    assert status in (0, 1)
    assert "\033[32mok" in text
    heads = [line for line in without_escapes(text).splitlines() if not line.startswith(" ")]
    assert max(map(len, heads)) <= 60
