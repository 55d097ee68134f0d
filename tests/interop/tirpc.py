"""Programs in C on libtirpc, with what rpcgen writes or without."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

NEEDED = {"gcc": "gcc", "pkg-config": "pkg-config", "rpcgen": "rpcsvc-proto"}


def run(*command: str | Path, folder: Path) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def skip_without_tirpc(*, rpcgen: bool = True) -> None:
    """Skip where no such program can be built; rpcgen is not always needed."""
    for tool, package in NEEDED.items():
        if shutil.which(tool) is None and (rpcgen or tool != "rpcgen"):
            pytest.skip(f"{tool} is not installed (Debian, Ubuntu: apt-get install {package})")
    if subprocess.run(["pkg-config", "--exists", "libtirpc"], check=False).returncode:
        pytest.skip("libtirpc's headers are not installed (Debian, Ubuntu: apt-get install libtirpc-dev)")


def generate(folder: Path, name: str, **made: str) -> None:
    """Have rpcgen write the files: its option (h, c, l, m) and the file that it makes of NAME.x."""
    for option, file in made.items():
        (folder / file).unlink(missing_ok=True)
        run("rpcgen", "-N", f"-{option}", "-o", file, f"{name}.x", folder=folder)


def compiled(folder: Path, program: str, *others: str, source: Path | None = None) -> Path:
    """PROGRAM.c or *source*, in which a warning is an error, with files that rpcgen wrote; it is put in *folder*."""
    flags = run("pkg-config", "--cflags", "--libs", "libtirpc", folder=folder).split()
    objects = []
    for file in others:
        run("gcc", "-O1", "-w", "-c", f"{file}.c", *flags, folder=folder)
        objects.append(f"{file}.o")
    warnings = ["-Wall", "-Wextra", "-Wno-cast-function-type", "-Werror"]
    run("gcc", "-O1", *warnings, "-o", program, source or f"{program}.c", *objects, *flags, folder=folder)
    return folder / program
