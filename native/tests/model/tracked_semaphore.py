"""The semaphore that knows who has its permits, each operation as in src/tracked_semaphore.c and src/holders.c.

The guard of those who take is one step here. There is one permit. What must hold: no two have it, each finds what the
last one did, and nobody sleeps beside it, also if its holder has died.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from model.explorer import Model, Setting
from model.guarded import Guarded
from model.program import LATE, Memory, Process, Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model.program import Program

WAITERS = 64

OPERATIONS = {
    "add": ("holders.c", "ipk_holders_add", "word", "exchange", "seq_cst"),
    "sub": ("holders.c", "ipk_holders_sub", "word", "exchange", "seq_cst"),
    "sum": ("holders.c", "ipk_holders_sum", "word", "load", "seq_cst"),
    "wake": ("tracked_semaphore.c", "wake", "word", "load", "seq_cst"),
    "announce": ("tracked_semaphore.c", "announce", "word", "exchange", "seq_cst"),
}

HARMLESS = dict.fromkeys(
    ["add=acq_rel", "add=relaxed"],
    "who takes a permit counts it under the guard, whose next owner sums; rwlock.py needs the order",
)


class Registers(NamedTuple):
    """What a process remembers."""

    rounds: int = 1
    word: int = 0
    flag: int = 0
    taken: int = 0
    item: int = 0
    slept: int = 0
    passes: int = 0  # it has slept, and others may sleep where it did


class User(NamedTuple):
    """It takes the permit, uses what that protects, and gives it back."""

    number: int
    users: int
    gives_up: bool

    def unless_free(self, otherwise: str) -> Program:
        """Sum up, and jump if there is no permit."""
        steps: Program = [("set", "taken", 0)]
        for i in range(self.users):
            steps += [("load", "sum", f"count{i}", "flag"), ("set", "taken", lambda r: r.taken + r.flag)]
        return [*steps, ("set", "flag", 0), ("if", lambda r: r.taken, otherwise)]

    def take(self, at: str) -> Program:
        """Go to "in" with the permit, or go on."""
        return [
            *self.unless_free(f"{at}.none"), ("lock",), *self.unless_free(f"{at}.taken"),
            ("rmw", "add", f"count{self.number}", lambda _, old: old + 1, "flag"), ("set", "flag", 0),
            ("unlock",), ("goto", "in"),
            f"{at}.taken", ("unlock",), f"{at}.none", ("set", "taken", 0),
        ]  # fmt: skip

    def announce(self) -> Program:
        """Say that somebody sleeps."""
        return [
            ("rmw", "announce", "word", lambda _, old: old | WAITERS, "word"),
            ("set", "word", lambda r: r.word | WAITERS),
        ]

    def wake(self, at: str) -> Program:
        """There is a permit more."""
        return [
            ("load", "wake", "word", "word"), f"{at}.again", ("unless", lambda r: r.word & WAITERS, f"{at}.woken"),
            ("cas", "relaxed", "word", lambda r: r.word, lambda r: (r.word + 1) % WAITERS, "word", f"{at}.again"),
            ("wake", "word", 1), f"{at}.woken", ("set", "word", 0),
        ]  # fmt: skip

    def pass_on(self, at: str) -> Program:
        """Others may sleep where we did, and there may be something for them too."""
        return [*self.announce(), *self.unless_free(f"{at}.none"), *self.wake(at), f"{at}.none", ("set", "taken", 0)]

    def bury(self) -> Program:
        """Take off what the dead hold."""
        steps: Program = []
        for i in range(self.users):
            steps += [
                ("load", "relaxed", f"count{i}", "flag"), ("unless", lambda r: r.flag, f"bury.{i}"),
                ("alive", i, f"bury.{i}"), ("cas", "seq_cst", f"count{i}", lambda r: r.flag, 0, "flag", f"bury.{i}"),
                f"bury.{i}", ("set", "flag", 0),
            ]  # fmt: skip
        return steps

    def program(self) -> Program:
        """Take, use, release, so many times."""
        return [
            "next", *self.take("first"),
            "sleep", ("set", "passes", 1), *self.announce(), *self.unless_free("doze"), ("goto", "awake"),
            "doze", ("sleep", "word", lambda r: r.word),
            "awake", ("set", "word", 0), *self.take("again"),
            ("if", lambda r: r.slept == LATE, "late"), ("set", "slept", 0), ("late", "sleep"),
            "late", ("set", "slept", 0), *self.pass_on("late.pass"), ("set", "passes", 0),
            *self.bury(), *self.take("last"),
            *([("goto", "end")] if self.gives_up else [("goto", "sleep")]),
            "in", ("set", "slept", 0), ("set", "taken", 0), ("set", "word", 0),
            ("unless", lambda r: r.passes, "use"), ("set", "passes", 0), *self.pass_on("in.pass"), "use",
            ("load", "plain", "data", "item"), ("ghost", intact), ("store", "plain", "data", lambda r: r.item + 1),
            ("ghost", lambda r, _: {"stored": r.item + 1}), ("set", "item", 0),
            ("rmw", "sub", f"count{self.number}", lambda _, old: old - 1, "flag"), ("set", "flag", 0),
            *self.wake("release"),
            ("set", "rounds", lambda r: r.rounds - 1), ("if", lambda r: r.rounds, "next"),
            "end", ("end",),
        ]  # fmt: skip


def intact(r: Registers, memory: Memory) -> None:
    """What the last holder of the permit stored must be there."""
    if r.item != memory["stored"]:
        raise Violation("two have the permit, or what the last one did is not seen")


class TrackedSemaphore(Guarded):
    """So many use one permit."""

    def __init__(
        self, rounds: Sequence[int], *, crashes: int = 0, slices: Sequence[int] = (0, 0, 0), early: bool = False
    ) -> None:
        programs = [
            (User(i, len(rounds), slices[i] > 0).program(), Process(Registers(rounds=some), slices=slices[i]))
            for i, some in enumerate(rounds)
        ]
        names = ["owner", "word", "data", "stored", *(f"count{i}" for i in range(len(rounds)))]
        super().__init__(programs, dict.fromkeys(names, 0), crashes)
        self.speculates = early


MODEL = Model(
    "tracked_semaphore",
    OPERATIONS,
    HARMLESS,
    [
        Setting("2 users, loads ahead", partial(TrackedSemaphore, [1, 1], early=True), finds=True),
        Setting("3 users", partial(TrackedSemaphore, [1, 1, 1])),
        Setting("3 users, a deadline", partial(TrackedSemaphore, [1, 1, 1], slices=[0, 1, 0])),
        Setting("3 users, 1 death", partial(TrackedSemaphore, [1, 1, 1], crashes=1)),
    ],
)
