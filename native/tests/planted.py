"""Plant a mistake in the C core, one off, and fuzz it: each must be found.

So fuzzing is known to look where it seems to look. The core is compiled once, with the sanitizers, and then one file
at a time with its mistake; the fuzzer is fuzz_plain.c, which changes the same seeds at random.

usage: planted.py [-s SECONDS] [WORD ...]     at most so long for each; only in files whose name contains a word
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

NATIVE = Path(__file__).resolve().parent.parent


class Mistake(NamedTuple):
    """What stands in a file once, and what is to stand there."""

    source: str
    text: str
    planted: str


MISTAKES = [
    Mistake("spsc_receive.c", "(uint64_t)length > size)", "(uint64_t)length > size + 1)"),
    Mistake("mpmc_receive.c", "length > left ||", "length > left + 1 ||"),
    Mistake("broadcast_receive.c", "next.length > size)", "next.length > size + 1)"),
    Mistake("latest_copy.c", "value->length > room)", "value->length > room + 1)"),
    Mistake("sync.c", "info.size > room ||", "info.size > room + 64 ||"),
    Mistake("holders.c", "index >= ipk_holders_used(view))", "index > ipk_holders_used(view))"),
]


class Workshop:
    """A copy of the core and of the fuzzer, compiled once, of which one file at a time is replaced."""

    def __init__(self, directory: Path, command: list[str], wraps: list[str]) -> None:
        self.directory, self.command, self.wraps = directory, command, wraps
        for name in ("include", "src", "tests"):
            shutil.copytree(NATIVE / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        fuzzers = [path.name for path in (directory / "tests").glob("fuzz_*.c")]
        sources = [f"src/{path.name}" for path in (directory / "src").glob("*.c")]
        sources += [f"tests/{name}" for name in [*fuzzers, "support.c"]]
        self.objects = {source: self.compile(source) for source in sources}

    def compile(self, source: str) -> Path:
        """Compile one file of the copy."""
        output = self.directory / (source.replace("/", "-") + ".o")
        subprocess.run([*self.command, "-c", "-o", str(output), source], cwd=self.directory, check=True)
        return output

    def fuzz(self, seconds: int) -> tuple[bool, str]:
        """Whether the fuzzer ends well, and the first that it said."""
        program = self.directory / "fuzz"
        subprocess.run([*self.command, *self.wraps, "-o", str(program), *map(str, self.objects.values())], check=True)
        environment = os.environ | {"ASAN_OPTIONS": "symbolize=0"}
        command = [str(program), str(seconds)]
        run = subprocess.run(
            command, cwd=self.directory, env=environment, check=False, capture_output=True, text=True, errors="replace"
        )
        said = [line for line in run.stderr.splitlines() if "ERROR" in line or line.startswith("fuzz_sync")]
        return run.returncode == 0, said[0] if said else f"it ended with {run.returncode}"

    def plant(self, mistake: Mistake, seconds: int) -> str | None:
        """What the fuzzer says of the mistake; None if nothing."""
        path = self.directory / "src" / mistake.source
        text = path.read_text()
        if text.count(mistake.text) != 1:
            raise SystemExit(f"{mistake.source} has not one {mistake.text!r}")
        path.write_text(text.replace(mistake.text, mistake.planted))
        try:
            self.compile(f"src/{mistake.source}")
            well, said = self.fuzz(seconds)
        finally:
            path.write_text(text)
            self.compile(f"src/{mistake.source}")
        return None if well else said


def main() -> int:
    """Plant each, and say what became of it."""
    parser = argparse.ArgumentParser(description="Plant a mistake in the C core, one off, and fuzz it.")
    parser.add_argument("-s", type=int, default=60, metavar="SECONDS", help="at most so long for each")
    parser.add_argument("words", nargs="*", help="only those in files whose name contains one of these")
    options = parser.parse_args()
    wanted = [m for m in MISTAKES if not options.words or any(word in m.source for word in options.words)]
    lost = 0
    with tempfile.TemporaryDirectory() as directory:
        command, wraps = (shlex.split(os.environ[name]) for name in ("FUZZ_COMMAND", "FUZZ_WRAPS"))
        workshop = Workshop(Path(directory), command, wraps)
        well, said = workshop.fuzz(1)
        if not well:
            raise SystemExit(f"without any mistake: {said}")
        for mistake in wanted:
            found = workshop.plant(mistake, options.s)
            lost += found is None
            print(f"{mistake.source}: {mistake.planted} {'is NOT FOUND' if found is None else f'is found: {found}'}")
    print(f"{len(wanted) - lost} of {len(wanted)} planted mistakes were found")
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())
