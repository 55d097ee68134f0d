"""What is done once: run, complete, give up, each operation as in src/once.c, with the lock of lock.py, all of it.

What must hold: no two run at a time, and nobody runs when it has been done; whoever finds it done finds all that the
runner did, not what one that died or gave up had begun; nobody sleeps on when it is done, or nobody runs.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from model.explorer import Model, Setting
from model.lock import DIED, LOST, Options, Registers, Thread
from model.machine import Machine
from model.program import Memory, Process, Violation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model.program import Program

OPERATIONS = {
    "take": ("lock.c", "take", "word", "exchange", "acquire"),
    "leave": ("lock.c", "leave", "word", "exchange", "release"),
    "done": ("once.c", "ipk_once_done", "word", "load", "acquire"),
}

BEGUN, FINISHED = 1, 2  # what both of the runner's variables say


class Runner(Thread):
    """Whoever comes by: runs it, or finds it done."""

    def took(self, _: Registers, memory: Memory) -> dict[str, int]:
        """It runs."""
        if memory["owner"]:
            raise Violation("two run")
        if memory["done"]:
            raise Violation("it was done, and is run again")
        return {"owner": self.number + 1}

    def left(self, next_: object, _: Registers, memory: Memory) -> dict[str, int]:
        """It has completed, or given up."""
        del next_
        if memory["owner"] != self.number + 1:
            raise Violation("ended by one who does not run it")
        return {"owner": 0, "done": memory["marked"]}

    def run(self, mistake: str) -> Program:
        """Come by."""
        complete = self.leave("complete", lambda _: 0 if mistake == "leaves it free" else LOST)
        if mistake == "wakes one":
            complete = [("wake", "word", 1) if step[0] == "wake" else step for step in complete]
        early = mistake == "completes too early"
        return [
            ("load", "done", "word", "word"), ("if", lambda r: r.word & LOST, "done"),
            *self.acquire(),
            # begun: a runner that died has not done it
            ("unless", lambda r: r.died, "begun"), ("set", "died", 0),
            ("rmw", "relaxed", "word", lambda _, old: old & ~DIED, "word"), "begun", ("set", "word", 0),
            ("load", "plain", "one", "item"), ("ghost", intact), ("set", "item", 0), *both(BEGUN),
            *([] if early else both(FINISHED)),
            *([("choose", "abandon")] if self.options.abandons else []),
            # complete: with this flag the lock is left lost
            ("rmw", "relaxed", "word", lambda _, old: old | DIED, "word"), ("ghost", lambda _r, _m: {"marked": 1}),
            *complete, *(both(FINISHED) if early else []), ("goto", "end"),
            *(["abandon", *self.leave("abandon", lambda _: 0), ("goto", "end")] if self.options.abandons else []),
            "robbed", ("check", lambda _: False, "a living owner was robbed"),
            "close", ("load", "done", "word", "word"), ("unless", lambda r: r.word & LOST, "end"),
            "done", ("load", "plain", "one", "item"), ("ghost", whole),
            ("load", "plain", "two", "item"), ("ghost", whole),
            "end", ("end",),
        ]  # fmt: skip


def both(value: int) -> Program:
    """What the runner does."""
    return [
        ("store", "plain", "one", value), ("ghost", lambda _r, _m: {"stored": value}), ("store", "plain", "two", value),
    ]  # fmt: skip


def intact(r: Registers, memory: Memory) -> None:
    """What the last runner left is there."""
    if r.item != memory["stored"]:
        raise Violation("a runner does not see what the last one did")


def whole(r: Registers, memory: Memory) -> None:
    """It is done, and all of it is there."""
    if not memory["done"]:
        raise Violation("it is found done, and is not")
    if r.item != FINISHED:
        raise Violation("it is found done, and not all that was done is there")


class Once(Machine):
    """So many come by."""

    def __init__(
        self,
        comers: int,
        *,
        crashes: int = 0,
        slices: Sequence[int] = (0, 0, 0),
        abandons: bool = False,
        early: bool = False,
        mistake: str = "",
    ) -> None:
        options = Options(gives_up=any(slices), abandons=abandons)
        super().__init__(
            [
                (Runner(number, number, options).run(mistake), Process(Registers(), slices=its_slices))
                for number, its_slices in enumerate(slices[:comers])
            ],
            dict.fromkeys(["word", "thread", "one", "two", "owner", "marked", "done", "stored"], 0),
            crashes,
        )
        self.speculates = early

    def died(self, member: int, memory: Memory) -> dict[str, int]:
        """It was not done."""
        return {"owner": 0, "marked": 0} if memory["owner"] == member + 1 else {}


MODEL = Model(
    "once",
    OPERATIONS,
    {},
    [
        Setting("2 come, loads ahead", partial(Once, 2, early=True, abandons=True), finds=True),
        Setting("3 come", partial(Once, 3)),
        Setting("3 come, and may give up what they have begun", partial(Once, 3, abandons=True)),
        Setting("3 come, a deadline", partial(Once, 3, slices=[0, 1, 0])),
        Setting("2 come, and may give up, 1 death", partial(Once, 2, abandons=True, crashes=1)),
        Setting("3 come, 1 death", partial(Once, 3, crashes=1)),
        Setting("2 come, 2 deaths", partial(Once, 2, crashes=2)),
    ],
    planted=[
        Setting("one is told that it is done", partial(Once, 3, mistake="wakes one")),
        Setting("it is done, and free to be run again", partial(Once, 2, mistake="leaves it free")),
        Setting("it is done before the last of it", partial(Once, 2, mistake="completes too early")),
    ],
)
