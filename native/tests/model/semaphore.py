"""The counting semaphore: take, sleep, pass on, give, give up, each operation as in src/semaphore.c.

What must hold: nobody takes a permit that was not given; who takes one finds what was done before those of which the
count knows were given; nobody sleeps on beside a permit, whoever of those who give, take and give up was killed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from model.explorer import Model, Setting
from model.machine import Machine
from model.program import LATE, Memory, Process, State, Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model.program import Program

WAITERS = 64
VALUE = WAITERS - 1

OPERATIONS = {
    "take": ("semaphore.c", "take", "word", "exchange", "acquire"),
    "release": ("semaphore.c", "ipk_semaphore_release", "word", "exchange", "release"),
}


class Registers(NamedTuple):
    """What a process remembers."""

    rounds: int = 1
    word: int = 0
    item: int = 0
    slept: int = 0
    passes: int = 0  # it has slept, and others may sleep where it did


def give(number: int, at_once: int, at: str) -> Program:
    """Do something, then give so many permits: ipk_semaphore_release()."""
    done = f"done{number}"
    return [
        ("load", "plain", done, "item"), ("store", "plain", done, lambda r: r.item + 1), ("set", "item", 0),
        ("load", "relaxed", "word", "word"),
        f"{at}.again",
        ("cas", "release", "word", lambda r: r.word, lambda r: (r.word & VALUE) + at_once, "word", f"{at}.again"),
        ("ghost", partial(gave, f"told{number}", at_once)),
        ("unless", lambda r: r.word & WAITERS, f"{at}.given"), ("wake", "word", at_once),
        f"{at}.given", ("set", "word", 0),
    ]  # fmt: skip


def giver(number: int, at_once: int) -> Program:
    """It gives, so many times."""
    return [
        "next", *give(number, at_once, "give"),
        ("set", "rounds", lambda r: r.rounds - 1), ("if", lambda r: r.rounds, "next"), ("end",),
    ]  # fmt: skip


def taker(number: int, givers: int, *, gives: bool, gives_up: bool, mistake: str) -> Program:
    """It takes a permit, looks at what was done before that was given, and may give it back; so many times."""

    def take(at: str) -> Program:
        exchange = ("cas", "take", "word", lambda r: r.word, lambda r: r.word - 1, "word", f"{at}.again")
        if mistake == "in two steps":
            exchange = ("store", "take", "word", lambda r: r.word - 1)
        return [
            ("load", "relaxed", "word", "word"),
            f"{at}.again", ("unless", lambda r: r.word & VALUE, f"{at}.none"), exchange,
            ("ghost", partial(took, givers)), ("goto", "in"), f"{at}.none",
        ]  # fmt: skip

    def pass_on(at: str) -> Program:
        if mistake == "passes nothing on":
            return [("rmw", "relaxed", "word", lambda _, old: old | WAITERS, "word"), ("set", "word", 0)]
        return [
            ("rmw", "relaxed", "word", lambda _, old: old | WAITERS, "word"),
            ("unless", lambda r: r.word & VALUE, f"{at}.passed"), ("wake", "word", 1),
            f"{at}.passed", ("set", "word", 0),
        ]  # fmt: skip

    announce: Program = [
        ("load", "relaxed", "word", "word"), "announce", ("if", lambda r: r.word, "announced"),
        ("cas", "relaxed", "word", 0, WAITERS, "word", "announce"), ("set", "word", WAITERS),
        "announced", ("if", lambda r: r.word & VALUE, "awake"),
    ]  # fmt: skip
    if mistake == "says nothing":
        announce = [("load", "relaxed", "word", "word"), ("if", lambda r: r.word & VALUE, "awake")]
    return [
        "next", *take("try"),
        "sleep", ("set", "passes", 1), *announce, ("sleep", "word", lambda r: r.word),
        "awake", ("set", "word", 0), *take("woken"),
        ("if", lambda r: r.slept == LATE, "late"), ("set", "slept", 0), ("late", "sleep"),
        "late", ("set", "slept", 0), ("set", "word", 0), *pass_on("late"), ("set", "passes", 0),
        *([("goto", "end")] if gives_up else [("goto", "next")]),
        "in", ("set", "slept", 0), ("set", "word", 0),
        ("unless", lambda r: r.passes, "use"), ("set", "passes", 0), *pass_on("in"), "use",
        *(step for its in range(givers) for step in [
            ("load", "plain", f"done{its}", "item"), ("ghost", partial(complete, its)), ("set", "item", 0),
        ]),
        *(give(number, 1, "give") if gives else []),
        ("set", "rounds", lambda r: r.rounds - 1), ("if", lambda r: r.rounds, "next"),
        "end", ("end",),
    ]  # fmt: skip


def gave(told: str, at_once: int, _: Registers, memory: Memory) -> dict[str, int]:
    """Permits were given."""
    return {"given": memory["given"] + at_once, told: memory[told] + 1}


def took(givers: int, _: Registers, memory: Memory) -> dict[str, int]:
    """A permit was taken, and with it what was done before."""
    if memory["taken"] == memory["given"]:
        raise Violation("a permit was taken that nobody gave")
    seen = {f"seen{its}": memory[f"told{its}"] for its in range(givers)}
    return {"taken": memory["taken"] + 1} | (seen if memory["alone"] else {})


def complete(its: int, r: Registers, memory: Memory) -> None:
    """What was done before is seen."""
    if r.item < memory[f"seen{its}"]:
        raise Violation("what was done before a permit was given is not seen")


class Semaphore(Machine):
    """Some give, others take; `users` takes and gives back the one permit that there is from the start."""

    def __init__(
        self,
        gives: Sequence[tuple[int, int]],
        takes: Sequence[int],
        *,
        users: Sequence[int] = (),
        crashes: int = 0,
        slices: int = 0,
        early: bool = False,
        mistake: str = "",
    ) -> None:
        n = len(gives)
        programs = [
            (giver(i, at_once), Process(Registers(rounds=rounds))) for i, (rounds, at_once) in enumerate(gives)
        ] + [
            (
                taker(n + i, n + len(users), gives=i < len(users), gives_up=slices > 0 and i == 0, mistake=mistake),
                Process(Registers(rounds=rounds), slices=slices if i == 0 else 0),
            )
            for i, rounds in enumerate([*users, *takes])
        ]
        start = int(bool(users))
        names = [f"{kind}{i}" for kind in ("done", "told", "seen") for i in range(n + len(users))]
        known = {"word": start, "given": start, "taken": 0, "alone": int(len(takes) + len(users) == 1 or bool(users))}
        super().__init__(programs, known | dict.fromkeys(names, 0), crashes)
        self.speculates = early

    def rests(self, s: State, _process: Process) -> bool:
        """There is no permit."""
        return not s.memory[self.at["word"]] & VALUE


MODEL = Model(
    "semaphore",
    OPERATIONS,
    {},
    [
        Setting("2 give, 1 takes, loads ahead", partial(Semaphore, [(1, 1), (1, 1)], [2], early=True), finds=True),
        Setting("1 gives twice, 2 take", partial(Semaphore, [(2, 1)], [1, 1])),
        Setting("1 gives 2 at once, 2 take", partial(Semaphore, [(1, 2)], [1, 1])),
        Setting("1 gives twice, 2 take, a deadline", partial(Semaphore, [(2, 1)], [1, 1], slices=1)),
        Setting("2 use one permit, loads ahead", partial(Semaphore, [], [], users=[1, 2], early=True), finds=True),
        Setting("2 use one permit, a deadline", partial(Semaphore, [], [], users=[1, 2], slices=1)),
        Setting("3 use one permit, 1 death", partial(Semaphore, [], [], users=[1, 1, 1], crashes=1)),
        Setting("1 gives 2 at once, 2 take, 1 death", partial(Semaphore, [(1, 2)], [1, 1], crashes=1)),
        Setting("1 gives twice, 2 take, 1 death", partial(Semaphore, [(2, 1)], [1, 1], crashes=1)),
    ],
    planted=[
        Setting("a permit is taken in two steps", partial(Semaphore, [], [], users=[1, 1], mistake="in two steps")),
        Setting("who was woken passes nothing on", partial(Semaphore, [(2, 1)], [1, 1], mistake="passes nothing on")),
        Setting("who sleeps does not say so", partial(Semaphore, [(1, 1)], [1], mistake="says nothing")),
    ],
)
