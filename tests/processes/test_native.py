"""The C core's own tests, which need no Python: every kill point once, and a short storm of random kills."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[2] / "native"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.watchdog(300),
    pytest.mark.skipif(not shutil.which("make"), reason="no make here"),
    pytest.mark.skipif(not any(map(shutil.which, ("gcc", "clang", "cc"))), reason="no C compiler here"),
]


def run(*arguments: str) -> str:
    result = subprocess.run(
        ["make", "--silent", "-C", str(NATIVE), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


def test_the_core_without_python():
    assert "test_threads" in run("test")


def test_killed_at_every_marked_point():
    assert "every survivor and every successor went on" in run("kill")


def test_killed_at_random_moments():
    assert "inside ipk_*" in run("storm", "KILLS=100")
