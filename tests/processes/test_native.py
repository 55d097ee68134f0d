"""The C core's own tests, which need no Python: every kill point once, short storms of kills, a little fuzzing."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "native"

pytestmark = [
    pytest.mark.apart,
    pytest.mark.watchdog(300),
    pytest.mark.skipif(not shutil.which("make"), reason="no make here"),
    pytest.mark.skipif(not any(map(shutil.which, ("gcc", "clang", "cc"))), reason="no C compiler here"),
]


def run(*arguments: str) -> str:
    result = subprocess.run(
        ["make", "--silent", f"-j{os.cpu_count()}", "-C", str(NATIVE), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, "\n".join(result.stdout.splitlines()[-20:])
    return result.stdout


def test_the_core_without_python():
    assert "test_threads" in run("test")


def test_killed_at_every_marked_point():
    assert "every survivor and every successor went on" in run("kill")


def test_killed_after_instructions_of_some_operations_of_each_kind():
    operations = ("atomic", "latch: count", "arrive last", "give up", "give one", "set, auto", "release", "sleep: give")
    arguments = " ".join(map(shlex.quote, operations))
    assert "the slowest survivor went on within" in run("sweep", f"ARGS={arguments}")


def test_killed_at_random_moments():
    assert "inside ipk_*" in run("storm", "KILLS=100")


def test_killed_at_random_moments_among_objects_of_all_kinds():
    assert "inside ipk_*" in run("storm-sync", "SECONDS=4")


def test_killed_at_random_moments_among_rings_of_all_kinds():
    assert "inside ipk_*" in run("storm-rings", "SECONDS=4")


def test_hostile_bytes():
    out = run("fuzz-plain", "SECONDS=3")
    assert "inputs in" in out
    assert "with a peer at work" in out
