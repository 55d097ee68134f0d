"""The examples of docs/howto/ipc-in-the-shell.md, run by sh(1)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from shlex import quote
from typing import TYPE_CHECKING

import pytest

from ipckit import features
from tests.cli.shell import ENVIRONMENT, ROOT, SECONDS

if TYPE_CHECKING:
    from pathlib import Path

PAGE = ROOT / "docs/howto/ipc-in-the-shell.md"
EXAMPLES = re.findall(r"^```sh\n(.*?)^```\n\n```text\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.slow


def test_every_example_has_its_output() -> None:
    assert len(EXAMPLES) == PAGE.read_text("utf-8").count("```sh\n") >= 8


@pytest.mark.parametrize(("script", "output"), EXAMPLES, ids=lambda text: text.splitlines()[0])
def test_example(script: str, output: str, tmp_path: Path) -> None:
    if "mq:" in script and not features.has_mqueue():
        pytest.skip("this kernel, or container, has no message queues")
    command = tmp_path / "bin" / "ipckit"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {quote(sys.executable)} -m ipckit "$@"\n')
    command.chmod(0o755)
    done = subprocess.run(
        ["sh", "-eu", "-c", script.replace("demo-", f"demo-{os.getpid()}-")],
        cwd=tmp_path,
        env={**ENVIRONMENT, "PATH": f"{command.parent}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.stdout, done.stderr) == (output, "")
    assert done.returncode == 0
