"""Commands as the shell runs them: processes, and bytes in and out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import ipckit
from ipckit.testing import wait_blocked

ROOT = Path(ipckit.__file__).parent.parent
IPCKIT = [sys.executable, "-m", "ipckit"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
SECONDS = 40


def run(*words: object, given: bytes = b"", **how: object) -> tuple[int, bytes, str]:
    """Status, standard output, standard error of a command that ends by itself."""
    command = [*IPCKIT, *map(str, words)]
    done = subprocess.run(
        command, input=given, capture_output=True, timeout=SECONDS, check=False, env=ENVIRONMENT, **how
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.returncode, done.stdout, done.stderr.decode()


class Running:
    """A command that runs."""

    def __init__(self, *words: object, **how: object) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        self.process = subprocess.Popen([*IPCKIT, *map(str, words)], env=ENVIRONMENT, bufsize=0, **pipes)
        self.pid = self.process.pid

    def wait_blocked(self, *syscalls: str) -> None:
        wait_blocked(self.pid, *syscalls, timeout=SECONDS)

    def line(self) -> bytes:
        """The next line of its output."""
        return self.process.stdout.readline()

    def finish(self, given: bytes | None = None) -> tuple[int, bytes, str]:
        """Wait for its end; as `run`."""
        out, err = self.process.communicate(given, timeout=SECONDS)
        assert b"Traceback" not in err, err.decode()
        return self.process.returncode, out, err.decode()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        self.process.wait()
