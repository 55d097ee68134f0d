"""Weaken each memory order of the C core in turn: a test must fail.

The orders come from the sources. Each is weakened step by step (seq_cst, then acquire or release, then relaxed); the
core is built with ThreadSanitizer, and tests/test_threads.c run. What it lets pass, the model of the sleep and wake
protocol must refuse (explore.py: neither x86 nor ThreadSanitizer can show a lost wake-up); what both let pass must
stand in ALLOWED with the argument why.

usage: mutate.py [WORD ...]     only mutants whose description contains one of the words
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import explore
from protocol import OPERATIONS

NATIVE = Path(__file__).resolve().parent.parent
SOURCES = ["spsc.c", "spsc_side.h", "spsc_copy.c", "spsc_wait.c", "segment.c", "participant.c", "identity.c"]
HELPERS = ["tests/support.c", "tests/test_threads.c"]
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-g", "-O1", "-pthread", "-fsanitize=thread"]
TRIES = 3  # a schedule that shows the race may not come at once
SECONDS_PER_RUN = 60

WEAKER = {
    "load": {"seq_cst": ["acquire", "relaxed"], "acquire": ["relaxed"]},
    "store": {"seq_cst": ["release", "relaxed"], "release": ["relaxed"]},
    "exchange": {
        "seq_cst": ["acq_rel", "relaxed"],
        "acq_rel": ["acquire", "release", "relaxed"],
        "acquire": ["relaxed"],
        "release": ["relaxed"],
    },
}

# Function, variable, order, weakened to -> why no test can fail.
NEW_MAPPING = (
    "attach maps the file anew, so the sanitizer sees other addresses, and whoever attaches has the descriptor through "
    "a system call after publish; the pair guards an opener that had the descriptor before (fork, then publish)"
)
BEHIND_THE_INDEX = (
    "the seq_cst load of the index just before it has waited for the announcement, on every machine that we know; C11 "
    "promises it only among seq_cst operations"
)
CLOSED_BEFORE_BUSY = (
    "the release is for `closed`, an atomic too, so that there is no race to report, and x86 lets no store pass an "
    "exchange; a caller that finds the side busy and not yet closed gets -EBUSY where it should get -EBADF"
)
ALLOWED: dict[tuple[str, str, str, str], str] = {
    ("take_side", "busy", "acq_rel", "acquire"): CLOSED_BEFORE_BUSY,
    ("closed", "state", "seq_cst", "acquire"): BEHIND_THE_INDEX,
    ("closed", "state", "seq_cst", "relaxed"): BEHIND_THE_INDEX,
    ("ipk_segment_publish", "magic", "release", "relaxed"): NEW_MAPPING,
    ("ipk_segment_inspect", "magic", "acquire", "relaxed"): NEW_MAPPING,
}


class Operation(NamedTuple):
    """One memory order in a source file."""

    source: str
    line: int
    start: int  # of the order's word in the text
    function: str
    variable: str
    kind: str
    order: str


class Mutant(NamedTuple):
    """An operation and what it is weakened to."""

    operation: Operation
    order: str

    def __str__(self) -> str:
        """Place and change, for people and for the command line."""
        o = self.operation
        return f"{o.source}:{o.line} {o.function}: {o.kind} {o.variable} {o.order} -> {self.order}"


def arguments_of(text: str, at: int) -> list[tuple[int, str]]:
    """The arguments of the call whose parenthesis opens at `at`, each with its position."""
    depth, begin, found = 0, at + 1, []
    for i in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if (text[i] == "," and depth == 1) or depth == 0:
            argument = text[begin:i]
            found.append((begin + len(argument) - len(argument.lstrip()), argument.strip()))
            begin = i + 1
        if depth == 0:
            return found
    raise SystemExit("a call without an end")


def operations_of(source: str) -> list[Operation]:
    """Every memory order of the file; one that this does not understand is an error."""
    text = (NATIVE / "src" / source).read_text()
    functions = [(m.start(), m[1]) for m in re.finditer(r"^[a-z][\w \t*]*?\b(\w+)\([^;{]*\)\n\{", text, re.MULTILINE)]
    found: list[Operation] = []
    for call in re.finditer(r"\batomic_(load|store|exchange|compare_exchange|fetch)(?:_\w+)?_explicit\(", text):
        arguments = arguments_of(text, call.end() - 1)
        # the last member of what is accessed, and of both where it is one of two; positions also with their owner
        names = re.findall(
            r"(?:\b(tail|head|consumer_sleep|producer_sleep)\.)?(\w+)(?:\[[^]]*\])?\)*\s*(?=$|:)", arguments[0][1]
        )
        variable = "|".join(".".join(filter(None, name)) for name in names)
        function = [name for start, name in functions if start < call.start()][-1]
        kind = call[1] if call[1] in {"load", "store"} else "exchange"
        for start, argument in arguments[1:]:
            if argument.startswith("memory_order_"):
                order = argument.removeprefix("memory_order_")
                found.append(Operation(source, text.count("\n", 0, start) + 1, start, function, variable, kind, order))
    if len(found) != text.count("memory_order_"):
        raise SystemExit(f"{source} has a memory order that is no argument of an atomic operation")
    return found


def model_name(mutant: Mutant) -> str | None:
    """The operation's name in the model, if it is there."""
    o = mutant.operation
    for name, place in OPERATIONS.items():
        if place == (o.function, o.variable, o.kind, o.order):
            return name
    return None


class Workshop:
    """A copy of the core, compiled once, of which one file at a time is replaced."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.compiler = os.environ.get("CC", "gcc")
        for name in ("include", "src", "tests"):
            shutil.copytree(NATIVE / name, directory / name)
        core = sorted(path.relative_to(NATIVE).as_posix() for path in (NATIVE / "src").glob("*.c"))
        self.objects = {source: self.compile(source) for source in [*core, *HELPERS]}
        fixed = subprocess.run(["setarch", "-R", "true"], check=False, capture_output=True).returncode == 0
        self.prefix = ["setarch", "-R"] if fixed else []

    def compile_users(self, source: str) -> None:
        """Compile a changed source file, or all that include a changed header."""
        users = [source] if source.endswith(".c") else [c for c in self.objects if c.startswith("src/spsc")]
        for user in users:
            self.compile(user)

    def compile(self, source: str) -> Path:
        """Compile one file of the copy."""
        output = self.directory / (source.replace("/", "-") + ".o")
        subprocess.run(
            [self.compiler, *FLAGS, "-Iinclude", "-c", "-o", str(output), source], cwd=self.directory, check=True
        )
        return output

    def survives(self) -> bool:
        """Link what there is, and run it."""
        program = self.directory / "test_threads"
        subprocess.run([self.compiler, *FLAGS, "-o", str(program), *map(str, self.objects.values())], check=True)
        environment = os.environ | {"TSAN_OPTIONS": "halt_on_error=1"}
        try:
            result = subprocess.run(
                [*self.prefix, str(program)], env=environment, check=False, capture_output=True, timeout=SECONDS_PER_RUN
            )
        except subprocess.TimeoutExpired:
            return False
        return result.returncode == 0

    def try_mutant(self, mutant: Mutant) -> bool:
        """Whether the tests let the mutant pass."""
        o = mutant.operation
        path = self.directory / "src" / o.source
        text = path.read_text()
        word = f"memory_order_{o.order}"
        path.write_text(text[: o.start] + f"memory_order_{mutant.order}" + text[o.start + len(word) :])
        try:
            self.compile_users(f"src/{o.source}")
            return all(self.survives() for _ in range(TRIES))
        finally:
            path.write_text(text)
            self.compile_users(f"src/{o.source}")


def judge(mutant: Mutant, workshop: Workshop) -> tuple[bool, str]:
    """Whether all is well with a mutant, and what became of it."""
    o = mutant.operation
    if not workshop.try_mutant(mutant):
        return True, "killed by the threads"
    name = model_name(mutant)
    if name and (flaw := explore.flaw(name, mutant.order)):
        return True, f"killed by the model: {flaw}"
    why = ALLOWED.get((o.function, o.variable, o.order, mutant.order))
    return (True, f"allowed: {why}") if why else (False, "SURVIVED")


def main() -> int:
    """Try every mutant, and say what became of each."""
    parser = argparse.ArgumentParser(description="Weaken each memory order of the C core in turn.")
    parser.add_argument("words", nargs="*", help="only mutants whose description contains one of these")
    words = parser.parse_args().words
    operations = [operation for source in SOURCES for operation in operations_of(source)]
    mutants = [Mutant(o, weaker) for o in operations for weaker in WEAKER[o.kind].get(o.order, [])]
    missing = {name for name, place in OPERATIONS.items()} - {model_name(m) for m in mutants}
    if missing:
        print("the model has operations that the sources lack:", *sorted(missing))
        return 1
    relaxed = sum(o.order == "relaxed" for o in operations)
    print(
        f"{len(operations)} memory orders, {relaxed} of them relaxed: nothing is weaker;",
        f"{len(mutants)} mutants of the others",
    )
    bad = 0
    with tempfile.TemporaryDirectory() as directory:
        workshop = Workshop(Path(directory))
        if not workshop.survives():
            print("the tests fail without any mutation")
            return 1
        for mutant in mutants:
            if words and not any(word in str(mutant) for word in words):
                continue
            fine, outcome = judge(mutant, workshop)
            bad += not fine
            print(f"{mutant}: {outcome}", flush=True)
    print(f"{bad} mutants survived without an argument")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
