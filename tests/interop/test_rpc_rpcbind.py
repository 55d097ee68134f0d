"""Debian's rpcbind and rpcinfo with our servers, our client and our port mapper, each in a network of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PREPARE = "mount -t tmpfs none /run && ip link set lo up && exec "


def _namespace() -> list[str]:
    """What runs a shell command where port 111 and /run are free; skips where that cannot be had."""
    for tool, package in (
        ("unshare", "util-linux"),
        ("ip", "iproute2"),
        ("rpcbind", "rpcbind"),
        ("rpcinfo", "rpcbind"),
    ):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed (Debian, Ubuntu: apt-get install {package})")
    # rpcbind becomes another user, so an ordinary one has to have more than one to give.
    ways = ["-nm"] if os.geteuid() == 0 else ["-Urnm", "--map-auto"]
    command = ["unshare", *ways, "sh", "-c"]
    done = subprocess.run([*command, PREPARE + "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no network of our own (without root it takes the package uidmap): {done.stderr.strip()}")
    return command


@pytest.mark.slow
@pytest.mark.parametrize("side", ["theirs", "ours"])
def test_in_a_network_of_its_own(side: str) -> None:
    words = [sys.executable, "-m", "tests.interop.rpcbind_inside", side]
    done = subprocess.run(
        [*_namespace(), PREPARE + '"$@"', "sh", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("done\n")
