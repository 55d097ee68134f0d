"""Weaken each memory order of the C core in turn: a test must fail.

The orders come from the sources. Each is weakened step by step (seq_cst, then acquire or release, then relaxed); the
core is built with ThreadSanitizer, and the threaded tests of its group are run. What they let pass, the models must
refuse (explore.py: neither x86 nor ThreadSanitizer can show a lost wake-up); what both let pass must stand in ALLOWED
with the argument why. A file with memory orders that is in no group is an error.

usage: mutate.py [-j N] [WORD ...]     only mutants whose description contains one of the words
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from model import MODELS
from model.processor import WEAKER

NATIVE = Path(__file__).resolve().parent.parent
# The test of the threads -> what it is the test of.
GROUPS = {
    "test_threads": [
        "spsc.c",
        "spsc_side.h",
        "spsc_send.c",
        "spsc_receive.c",
        "spsc_wait.c",
        "segment.c",
        "participant.c",
        "one_thread.h",
        "identity.c",
    ],
    "test_threads_latest": ["latest.c", "latest_view.h", "latest_copy.c", "latest_wait.c"],
    "test_threads_mpmc": [
        "mpmc.c",
        "mpmc_view.h",
        "mpmc_around.c",
        "mpmc_locks.c",
        "mpmc_receive.c",
        "mpmc_send.c",
        "mpmc_stat.c",
        "mpmc_wait_message.c",
        "mpmc_wait_room.c",
        "mpmc_walk.c",
        "roster.h",
        "roster.c",
        "sleepers.h",
        "sleepers.c",
    ],
    "test_threads_broadcast": [
        "broadcast.c",
        "broadcast_copy.c",
        "broadcast_join.c",
        "broadcast_log.c",
        "broadcast_parts.c",
        "broadcast_receive.c",
        "broadcast_send.c",
        "broadcast_side.h",
        "broadcast_stat.c",
        "broadcast_wait.c",
    ],
    "test_threads_event": ["event.c", "event_word.c", "event_many.c", "event_pair.c"],
    "test_threads_sync": ["lock.c", "member.h", "member.c", "mutex.c", "sync.c"],
    "test_threads_mutex_pi": ["mutex_pi.c", "mutex_pi_parts.h", "mutex_pi_take.c"],
    "test_threads_rwlock": [
        "rwlock_gate.c",
        "rwlock_gate.h",
        "rwlock_read.c",
        "rwlock_write.c",
        "holders.h",
        "holders.c",
    ],
    "test_threads_semaphore": ["semaphore.c", "tracked_semaphore.c"],
    "test_threads_kinds": [
        "latch.c",
        "once.c",
        "barrier.c",
        "barrier_guard.c",
        "barrier_parts.h",
        "barrier_wait.c",
        "condition.c",
        "condition_slots.c",
        "condition_slots.h",
        "condition_wait.c",
    ],
}
# Files with memory orders that say nothing about other memory, or that no protocol of ours is made of.
ELSEWHERE = {
    "base.h": "a barrier of the compiler in a spin loop",
    "segment.h": "one look at a counter",
    "spin.c": "hints about speed, all relaxed",
    "futex.c": "the user's words: sequentially consistent, whatever the user does with them",
    "atomic.c": "the user's integers: sequentially consistent, by promise",
    "interrupt.c": "one thread and its signal handlers",
    "thread.c": "a page that the kernel gives out zeroed, and a thread's own word",
    "look.c": "words of a copy of its own, all relaxed",
    "look_broadcast.c": "the same",
    "look_latest.c": "the same",
    "look_mpmc.c": "the same",
    "look_sync.c": "the same",
}
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-g", "-O1", "-pthread", "-fsanitize=thread"]
TRIES = 3  # a schedule that shows the race may not come at once
SECONDS_PER_RUN = 60

# Why no test can fail.
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
BY_THE_KERNEL = (
    "what a dead one did, the kernel orders: its lock dropped at the death, and we have asked for it; whoever is told "
    "that there is an object attaches to it, in order"
)
FOR_PEOPLE = "a snapshot for people, of atomics: there is no race to report, and x86 keeps loads in order"
AFTER_ASKING = (
    "of atomics, so that there is no race to report; in the model the kernel, which was asked just before, has said "
    "that the id has no lock, and what its process had stored until it lost its descriptors is seen by then"
)
MEETING = (
    "guard, entry and gate each order what was done before the meeting: with one of them weakened, the others still do"
)
TICKETS = "what it orders is the ticket, by which waiters are chosen: which of them is told, not whether one is"
IN_MEMORY = (
    "what the dead writer stored is in memory when the kernel says that he is dead, and is the same there for all, on "
    "x86 and AArch64; C11 alone wants it handed on"
)
ELDERS = "what it orders tells a reader that has waited for long from one that has just come: turns, not exclusion"
BETWEEN_THREADS = "of atomics, so that there is no race to report; and x86 keeps stores, and loads, in order"
BEFORE_COUNTING = (
    "the reader counts itself after that, by an exchange that releases; C11 alone wants both to be seq_cst"
)
HANDED_OVER = (
    "`owner` was stored before it, with release, and whoever comes loads that with acquire: it orders what the mutex "
    "protects; a system call stands between the two stores, and C11 alone wants this order as well"
)
AS_SUB = "the same step as in ipk_holders_sub, which the models have"
AS_WORDS = "a word like those of the data, which the model has"
LATEST_NUMBER = (
    "the look at the sleepers' word, a seq_cst load, has waited until the index of the value before was out; C11 alone "
    "does not promise it"
)
LOOKED_AT_AGAIN = "whoever finds a newer number loads it again, with acquire, before he looks at the value"
AFTER_ANNOUNCING = (
    "the announcement just before it, a seq_cst exchange, is out before what follows, on every machine that we know; "
    "C11 promises it only among seq_cst operations"
)
AS_WAKE_ALL = "the same step as in ipk_sleepers_wake_all, which the model has"
BEFORE_THE_WORD = "the exchange of the entry's word that follows releases it; C11 alone wants both to be seq_cst"
AFTER_USED = "the load of `used` just before it, a seq_cst one, has waited for what was stored; C11 alone wants both"
AFTER_THE_WORD = "who finds the word empty has acquired what was told before, and looks at this only then"
BURIED = (
    "what the dead one did, the kernel orders; who finds the word empty and no end takes nobody for gone, and looks "
    "again when his slice is over"
)
AFTER_THE_ROLE = (
    "the exchange that stores the role just before it, a seq_cst one, is out before what follows, on every machine "
    "that we know; C11 promises it only among seq_cst operations"
)
BEHIND_THE_TAIL = (
    "the look at the sleepers' word, a seq_cst load, or the exchange that gives the lock back, has waited until the "
    "tail was out; C11 promises it only among seq_cst operations"
)
BY_THE_LOCK = "done under the lock, and looked at under the lock, which orders it"
AFTER_A_DEATH = "only reached where an owner of the lock was killed between two stores, which threads do not do"
SAME_WORD = "the walk loads the same word again before it finds nothing"
# File, function, variable, order -> weakened to what no test can fail, and why.
ALLOWED: dict[tuple[str, str, str, str], tuple[tuple[str, ...], str]] = {
    ("spsc.c", "take_side", "busy", "acq_rel"): (("acquire",), CLOSED_BEFORE_BUSY),
    ("spsc_wait.c", "closed", "state", "seq_cst"): (("acquire", "relaxed"), BEHIND_THE_INDEX),
    ("latest.c", "take", "busy", "acq_rel"): (("acquire",), CLOSED_BEFORE_BUSY),
    ("latest_copy.c", "ipk_latest_send", "sequence", "release"): (("relaxed",), LATEST_NUMBER),
    ("latest_copy.c", "publish", "length", "release"): (("relaxed",), AS_WORDS),
    ("latest_copy.c", "publish", "written_ns", "release"): (("relaxed",), AS_WORDS),
    ("latest_copy.c", "ipk_latest_look", "length", "acquire"): (("relaxed",), AS_WORDS),
    ("latest_copy.c", "ipk_latest_look", "written_ns", "acquire"): (("relaxed",), AS_WORDS),
    ("latest_wait.c", "ready", "sequence", "acquire"): (("relaxed",), LOOKED_AT_AGAIN),
    ("latest_wait.c", "roused", "sequence", "seq_cst"): (("acquire", "relaxed"), AFTER_ANNOUNCING),
    ("latest_wait.c", "roused", "state", "seq_cst"): (("acquire", "relaxed"), AFTER_ANNOUNCING),
    ("segment.c", "ipk_segment_publish", "magic", "release"): (("relaxed",), NEW_MAPPING),
    ("segment.c", "ipk_segment_inspect", "magic", "acquire"): (("relaxed",), NEW_MAPPING),
    ("sync.c", "ipk_sync_begin", "magic", "acquire"): (("relaxed",), BY_THE_KERNEL),
    ("mutex.c", "ipk_mutex_owner", "id", "acquire"): (("relaxed",), FOR_PEOPLE),
    ("member.c", "read_record", "id", "acquire"): (("relaxed",), AFTER_ASKING),
    ("holders.h", "ipk_holders_own", "slot", "acquire"): (("relaxed",), BETWEEN_THREADS),
    ("holders.c", "ipk_holders_claim", "slot", "acquire"): (("relaxed",), BETWEEN_THREADS),
    ("holders.c", "ipk_holders_claim", "slot", "release"): (("relaxed",), BETWEEN_THREADS),
    ("holders.c", "take", "word", "acquire"): (("relaxed",), BETWEEN_THREADS),
    ("holders.c", "raise_used", "used", "seq_cst"): (("acq_rel", "relaxed"), BEFORE_COUNTING),
    ("holders.c", "ipk_holders_drop", "word", "seq_cst"): (("acq_rel", "relaxed"), AS_SUB),
    ("holders.c", "ipk_holders_get", "id", "acquire"): (("relaxed",), FOR_PEOPLE),
    ("holders.c", "ipk_holders_bury_one", "word", "seq_cst"): (("acq_rel", "relaxed"), BY_THE_KERNEL),
    ("rwlock_read.c", "ipk_rwlock_read_wait", "waiting", "release"): (("relaxed",), ELDERS),
    ("rwlock_gate.c", "ipk_rwlock_open_for_dead", "gate", "release"): (("relaxed",), IN_MEMORY),
    ("mpmc_around.c", "ipk_mpmc_owner_pid", "id", "acquire"): (("relaxed",), FOR_PEOPLE),
    ("mpmc_receive.c", "take_copied", "at", "release"): (("relaxed",), BY_THE_LOCK),
    ("mpmc_wait_message.c", "look", "tail.commits", "acquire"): (("relaxed",), BETWEEN_THREADS),
    ("mpmc_wait_message.c", "look", "tail.place", "acquire"): (("relaxed",), SAME_WORD),
    ("mpmc_wait_message.c", "happened", "place", "seq_cst"): (("acquire", "relaxed"), AFTER_ANNOUNCING),
    ("mpmc_wait_message.c", "happened", "commits", "seq_cst"): (("acquire", "relaxed"), AFTER_ANNOUNCING),
    ("mpmc_wait_message.c", "sleep_on", "closed", "seq_cst"): (("acquire", "relaxed"), AFTER_ANNOUNCING),
    ("mpmc_wait_room.c", "roomy", "tail.place", "seq_cst"): (("acquire", "relaxed"), AFTER_ANNOUNCING),
    ("mpmc_wait_room.c", "roomy", "place", "seq_cst"): (("acquire", "relaxed"), AFTER_ANNOUNCING),
    ("mpmc_wait_room.c", "sleep_on", "closed", "seq_cst"): (("acquire", "relaxed"), AFTER_ANNOUNCING),
    ("mpmc_walk.c", "ipk_mpmc_walk_begin", "tail.place", "acquire"): (("relaxed",), AFTER_A_DEATH),
    ("broadcast_join.c", "ipk_broadcast_join", "tail.position", "seq_cst"): (("acquire", "relaxed"), AFTER_THE_ROLE),
    ("broadcast_log.c", "ipk_broadcast_last_cursor", "word", "seq_cst"): (("acquire",), BEHIND_THE_TAIL),
    ("broadcast_wait.c", "in_the_way", "word", "seq_cst"): (("acquire", "relaxed"), AFTER_ANNOUNCING),
    ("broadcast_wait.c", "in_the_way", "cursor", "seq_cst"): (("acquire", "relaxed"), AFTER_ANNOUNCING),
    ("broadcast_wait.c", "ready", "tail", "seq_cst"): (("acquire", "relaxed"), AFTER_ANNOUNCING),
    ("broadcast_stat.c", "ipk_broadcast_holder", "id", "acquire"): (("relaxed",), FOR_PEOPLE),
    ("broadcast_stat.c", "consumers", "word", "seq_cst"): (("acquire", "relaxed"), FOR_PEOPLE),
    ("broadcast_stat.c", "depth", "tail.position", "acquire"): (("relaxed",), FOR_PEOPLE),
    ("sleepers.h", "ipk_sleepers_wake_one", "word", "seq_cst"): (("acquire", "relaxed"), AS_WAKE_ALL),
    ("roster.h", "ipk_roster_own", "slot", "acquire"): (("relaxed",), BETWEEN_THREADS),
    ("roster.c", "claim_entry", "slot", "release"): (("relaxed",), BETWEEN_THREADS),
    ("roster.c", "find", "word", "acquire"): (("relaxed",), BETWEEN_THREADS),
    ("roster.c", "raise_used", "used", "seq_cst"): (("acq_rel", "relaxed"), BEFORE_THE_WORD),
    ("roster.c", "tell_closed", "end", "seq_cst"): (("release",), BEFORE_THE_WORD),
    ("roster.c", "tell_died", "end", "seq_cst"): (("acq_rel", "relaxed"), BURIED),
    ("roster.c", "ipk_roster_bury_one", "end", "acquire"): (("relaxed",), BETWEEN_THREADS),
    ("roster.c", "ipk_roster_bury_one", "word", "seq_cst"): (("acq_rel", "relaxed"), BURIED),
    ("roster.c", "ipk_roster_having", "word", "seq_cst"): (("acquire",), AFTER_USED),
    ("roster.c", "ipk_roster_end", "end", "seq_cst"): (("acquire",), AFTER_THE_WORD),
    ("roster.c", "ipk_roster_pid", "id", "acquire"): (("relaxed",), FOR_PEOPLE),
    ("roster.c", "ipk_roster_get", "id", "acquire"): (("relaxed",), FOR_PEOPLE),
    ("barrier_parts.h", "load", "word", "acquire"): (("relaxed",), MEETING),
    ("barrier_parts.h", "change", "word", "acq_rel"): (("acquire", "release", "relaxed"), MEETING),
    ("barrier_guard.c", "finish", "gate", "release"): (("relaxed",), MEETING),
    ("barrier.c", "claim", "word", "release"): (("relaxed",), MEETING),
    ("barrier_guard.c", "ipk_barrier_over", "ending", "release"): (("relaxed",), BY_THE_KERNEL),
    ("mutex_pi.c", "ipk_mutex_pi_give", "word", "release"): (("relaxed",), HANDED_OVER),
    ("mutex_pi.c", "ipk_mutex_pi_owner", "owner", "acquire"): (("relaxed",), FOR_PEOPLE),
    ("condition_slots.h", "change", "word", "acq_rel"): (("acquire", "release", "relaxed"), TICKETS),
    ("condition_slots.c", "ipk_condition_oldest", "word", "acquire"): (("relaxed",), TICKETS),
    ("condition_slots.c", "ipk_condition_notify_slot", "word", "acquire"): (("relaxed",), TICKETS),
    ("condition_slots.c", "ipk_condition_sweep", "word", "acquire"): (("relaxed",), TICKETS),
    ("condition.c", "ipk_condition_begin", "word", "release"): (("relaxed",), TICKETS),
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


def path_of(source: str) -> str:
    """Where a file is, from native/ on."""
    return next(path for path in (f"src/{source}", f"include/ipckit/{source}") if (NATIVE / path).exists())


def forgotten() -> list[str]:
    """Files with memory orders that are in no group."""
    known = {source for sources in GROUPS.values() for source in sources} | set(ELSEWHERE)
    files = [*NATIVE.glob("src/*.[ch]"), *NATIVE.glob("include/ipckit/*.h")]
    return sorted(file.name for file in files if file.name not in known and "memory_order_" in file.read_text())


def operations_of(source: str) -> list[Operation]:
    """Every memory order of the file; one that this does not understand is an error."""
    text = (NATIVE / path_of(source)).read_text()
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


def group_of(mutant: Mutant) -> str:
    """The test of the threads that is to kill it."""
    return next(test for test, sources in GROUPS.items() if mutant.operation.source in sources)


def models_of(mutant: Mutant) -> list[tuple[str, str]]:
    """The models that the operation is in, and its name there."""
    o = mutant.operation
    place = (o.source, o.function, o.variable, o.kind, o.order)
    return [
        (model.name, name) for model in MODELS.values() for name, other in model.operations.items() if other == place
    ]


class Workshop:
    """A copy of the core, compiled once, of which one file at a time is replaced."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.compiler = os.environ.get("CC", "gcc")
        for name in ("include", "src", "tests"):
            shutil.copytree(NATIVE / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        core = sorted(path.relative_to(NATIVE).as_posix() for path in (NATIVE / "src").glob("*.c"))
        self.core = {source: self.compile(source) for source in [*core, "tests/support.c"]}
        self.tests = {test: self.compile(f"tests/{test}.c") for test in GROUPS}
        fixed = subprocess.run(["setarch", "-R", "true"], check=False, capture_output=True).returncode == 0
        self.prefix = ["setarch", "-R"] if fixed else []

    def users(self, path: str) -> list[str]:
        """A source file, or all that include a header, also by way of another one."""
        if path.endswith(".c"):
            return [path]
        include = f'#include "{path.removeprefix("include/").removeprefix("src/")}"'
        found: list[str] = []
        for file in [*self.directory.glob("src/*.[ch]"), *self.directory.glob("include/ipckit/*.h")]:
            if include in file.read_text():
                found += self.users(file.relative_to(self.directory).as_posix())
        return sorted(set(found))

    def compile(self, source: str) -> Path:
        """Compile one file of the copy."""
        output = self.directory / (source.replace("/", "-") + ".o")
        subprocess.run(
            [self.compiler, *FLAGS, "-Iinclude", "-c", "-o", str(output), source], cwd=self.directory, check=True
        )
        return output

    def survives(self, test: str) -> bool:
        """Link what there is, and run it."""
        program = self.directory / test
        objects = [*self.core.values(), self.tests[test]]
        subprocess.run([self.compiler, *FLAGS, "-o", str(program), *map(str, objects)], check=True)
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
        path = self.directory / path_of(o.source)
        text = path.read_text()
        word = f"memory_order_{o.order}"
        changed = self.users(path_of(o.source))
        path.write_text(text[: o.start] + f"memory_order_{mutant.order}" + text[o.start + len(word) :])
        try:
            for user in changed:
                self.compile(user)
            return all(self.survives(group_of(mutant)) for _ in range(TRIES))
        finally:
            path.write_text(text)
            for user in changed:
                self.compile(user)


def judge(mutant: Mutant, workshop: Workshop) -> tuple[str, str]:
    """What became of a mutant, and why."""
    o = mutant.operation
    if not workshop.try_mutant(mutant):
        return "killed by the threads", ""
    for model, name in models_of(mutant):
        harmless = f"{name}={mutant.order}" in MODELS[model].harmless  # explore.py looks whether it is
        if flaw := None if harmless else flaw_of(model, name, mutant.order):
            return "killed by the model", flaw
    orders, why = ALLOWED.get((o.source, o.function, o.variable, o.order), ((), ""))
    return ("allowed", why) if mutant.order in orders else ("SURVIVED", "")


def flaw_of(model: str, name: str, order: str) -> str | None:
    """What the model says, asked in a process of its own."""
    command = [sys.executable, str(NATIVE / "tests" / "explore.py"), model, f"{name}={order}"]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    return result.stdout.strip() if result.returncode == 0 else None


def main() -> int:
    """Try every mutant, and say what became of each."""
    parser = argparse.ArgumentParser(description="Weaken each memory order of the C core in turn.")
    parser.add_argument("-j", type=int, default=1, metavar="N", help="so many at a time")
    parser.add_argument("words", nargs="*", help="only mutants whose description contains one of these")
    options = parser.parse_args()
    operations = [operation for sources in GROUPS.values() for source in sources for operation in operations_of(source)]
    mutants = [Mutant(o, weaker) for o in operations for weaker in WEAKER[o.kind].get(o.order, [])]
    if missing := {(m.name, name) for m in MODELS.values() for name in m.operations} - {
        found for m in mutants for found in models_of(m)
    }:
        print("the models have operations that the sources lack:", *sorted(missing))
        return 1
    if stale := set(ALLOWED) - {(o.source, o.function, o.variable, o.order) for o in operations}:
        print("there are arguments for orders that the sources lack:", *sorted(stale))
        return 1
    others = forgotten()
    if others:
        print("files with memory orders that nobody weakens:", *others)
    relaxed = sum(o.order == "relaxed" for o in operations)
    print(
        f"{len(operations)} memory orders, {relaxed} of them relaxed: nothing is weaker;",
        f"{len(mutants)} mutants of the others",
    )
    wanted = [m for m in mutants if not options.words or any(word in str(m) for word in options.words)]
    counts = try_all(wanted, options.j)
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count))
    return int(counts["SURVIVED"] > 0 or len(others) > 0)


def try_all(mutants: list[Mutant], width: int) -> dict[str, int]:
    """Try them, so many at a time; print what became of each, and count."""
    counts = {"killed by the threads": 0, "killed by the model": 0, "allowed": 0, "SURVIVED": 0}
    free: SimpleQueue[Workshop] = SimpleQueue()

    def attempt(mutant: Mutant) -> None:
        workshop = free.get()
        try:
            outcome, why = judge(mutant, workshop)
        finally:
            free.put(workshop)
        counts[outcome] += 1
        print(f"{mutant}: {outcome}{why and ': '}{why}", flush=True)

    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(width) as pool:
        for i in range(width):
            (Path(directory) / str(i)).mkdir()
            free.put(Workshop(Path(directory) / str(i)))
        workshop = free.get()
        for test in sorted({group_of(mutant) for mutant in mutants}):
            if not workshop.survives(test):
                raise SystemExit(f"{test} fails without any mutation")
        free.put(workshop)
        list(pool.map(attempt, mutants))
    return counts


if __name__ == "__main__":
    sys.exit(main())
