"""The supported Pythons of this machine but for the one that runs this, a version and a path in each line.

They are looked for in PATH (python3.10, python3.14t ...) and where pyenv keeps its own; of each version the newest is
taken.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

NAME = re.compile(r"python3(\.1\d+t?)?")
ASK = (
    "import sys, sysconfig, venv, ensurepip; "
    "print(*sys.version_info[:3], 't' if sysconfig.get_config_var('Py_GIL_DISABLED') else '-', sys.executable)"
)


def candidates() -> list[Path]:
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    folders += Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv").glob("versions/*/bin")
    return [file for folder in folders if folder.is_dir() for file in folder.iterdir() if NAME.fullmatch(file.name)]


def asked(python: Path) -> list[str] | None:
    """The version's three numbers, "t" if it has no GIL, the path; None where it does not run, or has no venv."""
    try:
        done = subprocess.run([python, "-c", ASK], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.split(maxsplit=4) if done.returncode == 0 else None


def main() -> None:
    found: dict[tuple[int, int, str], tuple[int, str]] = {}
    for python in candidates():
        if answer := asked(python):
            kind = (int(answer[0]), int(answer[1]), answer[3].strip("-"))
            found[kind] = max(found.get(kind, (0, "")), (int(answer[2]), answer[4].strip()))
    own = asked(Path(sys.executable))
    for (major, minor, free), (_, path) in sorted(found.items()):
        if minor >= 10 and own and [str(major), str(minor), free or "-"] != [own[0], own[1], own[3]]:
            print(f"{major}.{minor}{free}", path)


if __name__ == "__main__":
    main()
