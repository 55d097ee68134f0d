"""Programs that are not ours. `.ci/run` installs them; where one is absent its tests say so and are skipped."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipckit.testing import wait_blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
SECONDS = 20


class Program:
    """A running program; its standard streams are pipes of bytes."""

    def __init__(self, *command: str | Path, **how: object) -> None:
        how = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
        self.process = subprocess.Popen([str(word) for word in command], **how)
        self.pid = self.process.pid

    def wait_blocked(self, *syscalls: str) -> None:
        """Wait until the program's main thread sleeps in one of these system calls (any, if none is named)."""
        wait_blocked(self.pid, *syscalls)

    def line(self) -> bytes:
        """The next line of its output, without the newline; b"" at the end."""
        return self.process.stdout.readline().removesuffix(b"\n")

    def finish(self, given: bytes = b"") -> bytes:
        """Give it the rest of its input, wait for its end, and return the rest of its output; it must succeed."""
        out, err = self.process.communicate(given, timeout=SECONDS)
        assert self.process.returncode == 0, f"{self.process.args}: exit {self.process.returncode}: {err.decode()}"
        return out

    def end(self) -> None:
        """Kill it where it still runs; reap it, and close our ends."""
        self.process.kill()
        self.process.communicate()


def _found(program: str, package: str | None = None) -> str:
    if path := shutil.which(program):
        return path
    return pytest.skip(f"{program} is not installed (Debian, Ubuntu: apt-get install {package or program})")


@pytest.fixture
def start() -> Iterator[Callable[..., Program]]:
    """Start a program that is not ours: `start("socat", ...)`; skips the test where it is not installed."""
    running: list[Program] = []

    def starter(command: str | Path, *words: str | Path, package: str | None = None, **how: object) -> Program:
        running.append(Program(_found(str(command), package), *words, **how))
        return running[-1]

    yield starter
    for program in running:
        program.end()


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Compile tests/interop/NAME.c, a program on plain libc that knows nothing of ours."""
    folder = tmp_path_factory.mktemp("interop")

    def compiled(name: str) -> Path:
        program = folder / name
        if not program.exists():
            source = HERE / f"{name}.c"
            warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]
            command = [_found("gcc"), "-std=c11", "-D_GNU_SOURCE", "-O1", *warnings, "-o", program, source, "-lrt"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        return program

    return compiled
