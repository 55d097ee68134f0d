"""mypy --strict over programs as users write them: what is right passes, and what is marked wrong is refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import ipckit

HERE = Path(__file__).parent
PROGRAMS = sorted(path for path in HERE.glob("*.py") if not path.name.startswith("test_"))


@pytest.mark.apart
@pytest.mark.watchdog(240)
@pytest.mark.skipif(find_spec("mypy") is None, reason="mypy, of the extra dev, is not installed")
def test_programs_of_users_pass_mypy_strict(tmp_path: Path) -> None:
    """As a user has it: no configuration of ours; errors within ipckit are silent, as in any installed package."""
    run = subprocess.run(
        [
            sys.executable,
            *("-m", "mypy", "--strict", "--warn-unreachable", "--python-version=3.10", "--follow-imports=silent"),
            *("--config-file=", f"--cache-dir={cache_directory(tmp_path)}", "--no-error-summary"),
            *map(str, PROGRAMS),
        ],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(Path(ipckit.__file__).parent.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        text=True,
    )
    assert run.stdout == ""
    assert run.returncode == 0


def cache_directory(tmp_path: Path) -> Path:
    """mypy's usual place at the root of a source tree, so that only the first run takes long."""
    root = HERE.parent.parent
    return root / ".mypy_cache" / "users" if os.access(root, os.W_OK) else tmp_path


def test_programs_say_much_that_can_be_wrong() -> None:
    source = "".join(path.read_text() for path in PROGRAMS)
    assert len(PROGRAMS) >= 3
    assert len(re.findall("assert_type", source)) > 50
    assert len(re.findall(r"# type: ignore\[[\w-]+\]", source)) > 15
    assert "# type: ignore\n" not in source
