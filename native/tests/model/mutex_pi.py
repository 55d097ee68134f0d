"""Whose a mutex is that inherits: take it, say so, ask, take it over, each operation as in src/mutex_pi*.c.

What the kernel does is left out, and with it all waiting: this is what is done where the kernel takes a stranger for
the owner, for he has the dead one's thread id. What must hold: the mutex is taken from nobody who lives.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from model.explorer import Model, Setting
from model.machine import Machine
from model.program import Memory, Process, Violation

if TYPE_CHECKING:
    from model.program import Program

OPERATIONS = {
    "records": ("mutex_pi_take.c", "own", "owner", "store", "release"),
    "asks": ("mutex_pi.c", "ipk_mutex_pi_recorded_dead", "owner", "load", "acquire"),
}


class Registers(NamedTuple):
    """What a process remembers."""

    word: int = 0
    owner: int = 0
    member: int = 0


def party(number: int, mistake: str) -> Program:
    """It takes the mutex if that is free, or a dead one's, and gives it back."""
    ours = number + 1  # the thread's id, and its member's
    record = [
        ("store", "relaxed", "owner", 0), ("store", "relaxed", "member", 0), ("store", "release", "member", ours),
        ("store", "records", "owner", ours),
    ]  # fmt: skip
    if mistake == "owner first":
        record = [record[3], *record[1:3]]

    def took(_: Registers, memory: Memory) -> dict[str, int]:
        if memory["inside"]:
            raise Violation("taken from one that lives")
        return {"inside": ours}

    return [
        ("cas", "relaxed", "word", 0, ours, "word", "taken"), ("ghost", took), ("goto", "own"),
        "taken", ("load", "asks", "owner", "owner"), ("if", lambda r: r.owner != r.word, "end"),
        ("load", "relaxed", "member", "member"), ("unless", lambda r: r.member, "end"),
        ("alive", lambda r: r.member - 1, "end"),
        ("cas", "relaxed", "word", lambda r: r.word, ours, "word", "end"), ("ghost", took),
        "own", ("load", "acquire", "word", "word"), ("load", "acquire", "owner", "owner"),
        ("load", "relaxed", "member", "member"),
        ("if", lambda r: r.owner == ours and r.member == ours, "recorded"), *record,
        "recorded", ("cas", "release", "word", ours, 0, "word", "end"), ("ghost", lambda *_: {"inside": 0}),
        "end", ("end",),
    ]  # fmt: skip


class MutexPi(Machine):
    """Some come by, of a member each."""

    def __init__(self, parties: int, *, crashes: int, mistake: str = "") -> None:
        programs = [(party(i, mistake), Process(Registers())) for i in range(parties)]
        super().__init__(programs, dict.fromkeys(["word", "owner", "member", "inside"], 0), crashes)

    def died(self, member: int, memory: Memory) -> dict[str, int]:
        """Whose it was, has it no more."""
        return {"inside": 0} if memory["inside"] == member + 1 else {}


MODEL = Model(
    "mutex_pi",
    OPERATIONS,
    {},
    [
        Setting("3 members, 1 death", partial(MutexPi, 3, crashes=1), finds=True),
        Setting("3 members, 2 deaths", partial(MutexPi, 3, crashes=2)),
    ],
    planted=[Setting("who owns it before what it is", partial(MutexPi, 3, crashes=1, mistake="owner first"))],
)
