"""Peers in C, compiled when they are needed."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from ipckit.bench.measurements import CheckFailed

_folders: list[TemporaryDirectory[str]] = []  # while this process lives


def installed(tool: str) -> None:
    """Fail with a sentence if there is no *tool*, which a package of its name has."""
    if shutil.which(tool) is None:
        raise CheckFailed(f"{tool} is not installed (Debian, Ubuntu: apt-get install {tool})")


@cache
def compiled(source: Path, *options: str) -> Path:
    """What gcc makes of *source*, in a temporary folder of its own."""
    installed("gcc")
    folder = TemporaryDirectory(prefix="ipckit-")
    made = Path(folder.name) / source.stem
    command = ["gcc", "-O2", "-pthread", "-o", str(made), str(source), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        folder.cleanup()
        raise CheckFailed(done.stderr)
    _folders.append(folder)
    return made
