"""The latch: count down, wait, each operation as in src/latch.c.

What must hold: nobody passes before all have counted, and who passes finds what each of them did before; nobody sleeps
on when it is open. Who dies before he has counted keeps it shut, which is no fault.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from model.explorer import Model, Setting
from model.machine import Machine
from model.program import LATE, Memory, Process, State, Violation

if TYPE_CHECKING:
    from model.program import Program

WAITERS = 64
COUNT = WAITERS - 1
ALL = 99  # to wake

OPERATIONS = {
    "count": ("latch.c", "ipk_latch_count", "view", "load", "acquire"),
    "down": ("latch.c", "ipk_latch_count_down", "word", "exchange", "acq_rel"),
}


class Registers(NamedTuple):
    """What a process remembers."""

    rounds: int = 1
    word: int = 0
    item: int = 0
    slept: int = 0


def look(counters: int) -> Program:
    """It is open: everything is there."""
    steps: Program = [("ghost", is_open), ("set", "slept", 0), ("set", "word", 0)]
    for its in range(counters):
        steps += [("load", "plain", f"done{its}", "item"), ("ghost", partial(complete, its)), ("set", "item", 0)]
    return steps


def counter(number: int, counters: int, mistake: str) -> Program:
    """It does something and counts, so many times. The last one uses what the others did."""
    done = f"done{number}"
    kept = WAITERS if mistake != "forgets the waiters" else 0
    woken = 1 if mistake == "wakes one" else ALL

    def left(r: Registers) -> int:
        count = r.word & COUNT
        return r.word & kept | (count - 1) if count > 1 else 0

    return [
        "next", ("load", "plain", done, "item"), ("store", "plain", done, lambda r: r.item + 1), ("set", "item", 0),
        ("load", "relaxed", "word", "word"),
        "again", ("cas", "down", "word", lambda r: r.word, left, "word", "again"),
        ("ghost", lambda _, memory: {f"told{number}": memory[f"told{number}"] + 1}),
        ("unless", lambda r: r.word & COUNT == 1, "counted"),
        ("unless", lambda r: r.word & WAITERS, "woken"), ("wake", "word", woken), "woken", *look(counters),
        "counted", ("set", "word", 0),
        ("set", "rounds", lambda r: r.rounds - 1), ("if", lambda r: r.rounds, "next"), ("end",),
    ]  # fmt: skip


def waiter(counters: int, *, gives_up: bool) -> Program:
    """It waits until all have counted."""
    return [
        "wait", ("load", "count", "word", "word"), ("unless", lambda r: r.word & COUNT, "open"),
        "sleep", ("load", "relaxed", "word", "word"),
        "announce", ("if", lambda r: not r.word & COUNT or r.word & WAITERS, "announced"),
        ("cas", "relaxed", "word", lambda r: r.word, lambda r: r.word | WAITERS, "word", "announce"),
        ("set", "word", lambda r: r.word | WAITERS),
        "announced", ("unless", lambda r: r.word & COUNT, "awake"), ("sleep", "word", lambda r: r.word),
        "awake", ("load", "count", "word", "word"), ("unless", lambda r: r.word & COUNT, "open"), ("set", "word", 0),
        ("if", lambda r: r.slept == LATE, "late"), ("set", "slept", 0), ("late", "sleep"),
        "late", ("set", "slept", 0), *([("goto", "end")] if gives_up else [("goto", "wait")]),
        "open", *look(counters), "end", ("end",),
    ]  # fmt: skip


def is_open(_: Registers, memory: Memory) -> None:
    """All have counted."""
    if memory["sum"] != sum(memory[f"told{i}"] for i in range(memory["counters"])):
        raise Violation("one passes, and not all have counted")


def complete(its: int, r: Registers, memory: Memory) -> None:
    """What was done before it was counted is seen."""
    if r.item < memory[f"told{its}"]:
        raise Violation("what was done before it was counted is not seen")


class Latch(Machine):
    """Some count, so many times each, and others wait."""

    def __init__(
        self,
        counts: list[int],
        waiters: int,
        *,
        crashes: int = 0,
        slices: int = 0,
        early: bool = False,
        mistake: str = "",
    ) -> None:
        n = len(counts)
        programs = [(counter(i, n, mistake), Process(Registers(rounds=some))) for i, some in enumerate(counts)] + [
            (waiter(n, gives_up=slices > 0 and i == 0), Process(Registers(), slices=slices if i == 0 else 0))
            for i in range(waiters)
        ]
        names = [f"{kind}{i}" for kind in ("done", "told") for i in range(n)]
        known = {"word": sum(counts), "sum": sum(counts), "counters": n}
        super().__init__(programs, known | dict.fromkeys(names, 0), crashes)
        self.speculates = early

    def rests(self, s: State, _process: Process) -> bool:
        """Not all have counted."""
        return s.memory[self.at["word"]] & COUNT > 0


MODEL = Model(
    "latch",
    OPERATIONS,
    {},
    [
        Setting("2 count, 1 waits, loads ahead", partial(Latch, [1, 1], 1, early=True), finds=True),
        Setting("1 counts twice, 2 wait", partial(Latch, [2], 2)),
        Setting("2 count, 2 wait, a deadline", partial(Latch, [1, 1], 2, slices=1)),
        Setting("2 count, 2 wait, 1 death", partial(Latch, [1, 1], 2, crashes=1)),
    ],
    planted=[
        Setting("one of those who wait is woken", partial(Latch, [1], 2, mistake="wakes one")),
        Setting("who counts forgets those who wait", partial(Latch, [2], 1, mistake="forgets the waiters")),
    ],
)
