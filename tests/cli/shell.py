"""Commands as the shell runs them: processes, and bytes in and out."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING

import ipckit
from ipckit.testing import wait_blocked
from tests.forking import Programs

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(ipckit.__file__).parent.parent
IPCKIT = [sys.executable, "-m", "ipckit"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
SECONDS = 40


commands: list[Programs] = []
"""What starts the commands of `run`: one, once the fixture `prepared` has made it."""


@contextlib.contextmanager
def prepared() -> Iterator[None]:
    """Have an interpreter ready, of which each command that `run` runs is a fork: they start in a moment."""
    with contextlib.closing(Programs(str(ROOT), imports=("ipckit.cli.commands",))) as programs:
        commands.append(programs)
        yield
        commands.remove(programs)


def run(*words: object, given: bytes = b"") -> tuple[int, bytes, str]:
    """Status, standard output, standard error of a command that ends by itself; *given* comes by a pipe."""
    reading, writing = os.pipe()
    feeder = threading.Thread(target=_feed, args=(writing, given))
    feeder.start()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            files = (reading, out.fileno(), err.fileno())
            arguments = ["-m", "ipckit", *map(str, words)]
            status = commands[0].run(arguments, os.getcwd(), files, SECONDS)
        finally:
            os.close(reading)
            feeder.join()
        printed, told = _content(out), _content(err).decode()
    assert "Traceback" not in told, told
    return status, printed, told


def run_anew(*words: object, **how: object) -> tuple[int, bytes, str]:
    """The same, by an interpreter that is started for it, in the way that subprocess is told to."""
    command = [*IPCKIT, *map(str, words)]
    done = subprocess.run(command, input=b"", capture_output=True, timeout=SECONDS, check=False, env=ENVIRONMENT, **how)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.returncode, done.stdout, done.stderr.decode()


def _feed(pipe: int, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError), open(pipe, "wb", buffering=0) as file:
        while data:
            data = data[file.write(data) :]


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


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
