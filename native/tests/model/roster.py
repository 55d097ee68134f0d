"""Who takes part in a ring: claim, leave, a look at who is there, each operation as in src/roster.c.

What must hold: who finds nobody with the role any more, and had seen somebody there, finds how that one went, and what
it had done before; a user of the roster that changes something and then looks for participants, and a participant that
comes and then looks for the change (broadcast.join), never both miss each other; nobody who waits for the last one to
go sleeps on when it has gone.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from model.explorer import Model, Setting
from model.machine import Machine
from model.program import Memory, Process, State, Violation

if TYPE_CHECKING:
    from model.program import Program

NOBODY, PRESENT, GONE = 0, 1, 2  # what a look at the roster has found
CLOSED = 2

OPERATIONS = {
    "claim.used": ("roster.c", "raise_used", "used", "exchange", "seq_cst"),
    "claim.word": ("roster.c", "add_roles", "word", "exchange", "seq_cst"),
    "leave.end": ("roster.c", "tell_closed", "end", "store", "seq_cst"),
    "leave.word": ("roster.c", "ipk_roster_leave", "word", "exchange", "seq_cst"),
    "bury.end": ("roster.c", "tell_died", "end", "exchange", "seq_cst"),
    "bury.word": ("roster.c", "ipk_roster_bury_one", "word", "exchange", "seq_cst"),
    "look.used": ("roster.h", "ipk_roster_used", "used", "load", "seq_cst"),
    "look.word": ("roster.c", "ipk_roster_having", "word", "load", "seq_cst"),
    "look.end": ("roster.c", "ipk_roster_end", "end", "load", "seq_cst"),
}
RELEASED = "the exchange of the word that follows releases; C11 alone wants both to be seq_cst"
AFTER_USED = "the load of `used` just before it, a seq_cst one, has waited for what was stored; C11 alone wants both"
BY_THE_KERNEL = "what the dead one did, the kernel orders, and the exchange of the word that follows releases"
LATE_AT_WORST = "who finds the word empty and no end takes nobody for gone, and looks again when his slice is over"
AFTER_THE_WORD = "who finds the word empty has acquired what was told before, and looks at this only then"
HARMLESS = {
    "claim.used=acq_rel": RELEASED,
    "claim.used=relaxed": RELEASED,
    "leave.end=release": RELEASED,
    "bury.end=acq_rel": BY_THE_KERNEL,
    "bury.end=relaxed": BY_THE_KERNEL,
    "bury.word=acq_rel": LATE_AT_WORST,
    "bury.word=relaxed": LATE_AT_WORST,
    "look.word=acquire": AFTER_USED,
    "look.end=acquire": AFTER_THE_WORD,
}


class Registers(NamedTuple):
    """What a process remembers."""

    word: int = 0
    used: int = 0
    end: int = 0
    item: int = 0
    looks: int = 0
    seen: bool = False
    slept: int = 0


def participant(*, leaves: bool, late: bool) -> Program:
    """It comes, looks for what was changed before, does something, and leaves. late: a mistake."""
    end: Program = [("store", "leave.end", "end", CLOSED)]
    word: Program = [("rmw", "leave.word", "word", lambda _r, _old: 0, "word"), ("set", "word", 0)]
    return [
        ("rmw", "claim.used", "used", lambda _r, old: max(old, 1), "used"), ("set", "used", 0),
        ("rmw", "claim.word", "word", lambda _r, _old: 1, "word"), ("set", "word", 0),
        ("load", "seq_cst", "change", "item"), ("ghost", lambda r, _: {"found": 1 + r.item}), ("set", "item", 0),
        *([("store", "relaxed", "work", 1), *([*word, *end] if late else [*end, *word])] if leaves else []),
        ("end",),
    ]  # fmt: skip


def user(looks: int) -> Program:
    """It changes something, and looks at the roster, so many times."""
    return [
        ("store", "seq_cst", "change", 1),
        "again", ("load", "look.used", "used", "used"), ("unless", lambda r: r.used, "nobody"),
        ("load", "look.word", "word", "word"), ("unless", lambda r: r.word, "nobody"),
        ("set", "word", 0), ("ghost", partial(told, PRESENT)), ("set", "seen", True), ("goto", "next"),
        "nobody", ("load", "look.end", "end", "end"), ("if", lambda r: r.end == CLOSED, "gone"),
        ("check", lambda r: not r.seen, "nobody is there, and how the last one went is not told"),
        ("ghost", partial(told, NOBODY)), ("goto", "next"),
        "gone", ("load", "relaxed", "work", "item"),
        ("check", lambda r: r.item, "the end was told, and what came before it is not seen"),
        ("set", "item", 0), ("ghost", partial(told, GONE)),
        "next", ("set", "used", 0), ("set", "end", 0),
        ("set", "looks", lambda r: r.looks + 1), ("if", lambda r: r.looks < looks, "again"),
        ("end",),
    ]  # fmt: skip


def leaver() -> Program:
    """It has been there, leaves, and wakes those who wait for that."""
    return [
        ("store", "leave.end", "end", CLOSED), ("rmw", "leave.word", "word", lambda _r, _old: 0, "word"),
        ("load", "seq_cst", "asleep", "item"), ("unless", lambda r: r.item, "end"),
        ("cas", "relaxed", "asleep", 1, 0, "item", "end"), ("wake", "asleep", 1),
        "end", ("end",),
    ]  # fmt: skip


def burier() -> Program:
    """It has found that the other one is dead."""
    return [
        ("cas", "bury.end", "end", 0, CLOSED, "item", "end"), ("cas", "bury.word", "word", 1, 0, "item", "end"),
        "end", ("end",),
    ]  # fmt: skip


def sleeper() -> Program:
    """It waits until nobody is there any more."""
    return [
        "again", ("rmw", "seq_cst", "asleep", lambda _r, _old: 1, "item"),
        ("load", "look.used", "used", "used"), ("load", "look.word", "word", "word"),
        ("unless", lambda r: r.used and r.word, "nobody"),
        ("sleep", "asleep", 1), ("set", "slept", 0), ("goto", "again"),
        "nobody", ("load", "look.end", "end", "end"),
        ("check", lambda r: r.end == CLOSED, "nobody is there, and how the last one went is not told"), ("end",),
    ]  # fmt: skip


def told(what: int, _registers: Registers, memory: Memory) -> dict[str, int]:
    """The first look is the one that follows the change."""
    return {} if memory["answer"] else {"answer": 1 + what}


class Roster(Machine):
    """One that comes or goes, and one that looks or waits. there: it has come, and done its work, in the beginning."""

    def __init__(self, *programs: Program, there: int = 0, early: bool = False) -> None:
        names = ["end", "change", "found", "answer", "asleep"]
        super().__init__(
            [(program, Process(Registers())) for program in programs],
            {"word": there, "used": there, "work": there} | dict.fromkeys(names, 0),
            0,
        )
        self.speculates = early

    def ended(self, _role: int, _registers: Registers) -> Registers:
        """Nothing of it matters."""
        return Registers()

    def go_on(self, s: State, role: int, p: Process, **stored: int) -> State:
        """Both have looked, and neither has found the other."""
        after = super().go_on(s, role, p, **stored)
        found, answer = (after.memory[self.at[name]] for name in ("found", "answer"))
        if found == 1 and answer == 1 + NOBODY:
            raise Violation("each has missed the other")
        return after


STAYS, LEAVES = participant(leaves=False, late=False), participant(leaves=True, late=False)

MODEL = Model(
    "roster",
    OPERATIONS,
    HARMLESS,
    [
        Setting("one stays, 1 look", partial(Roster, STAYS, user(1)), finds=True),
        Setting("one leaves, 3 looks", partial(Roster, LEAVES, user(3)), finds=True),
        Setting("the same, loads ahead", partial(Roster, LEAVES, user(3), early=True), finds=True),
        Setting("one leaves, 1 waits for that", partial(Roster, leaver(), sleeper(), there=1), finds=True),
        Setting("one is buried, 3 looks", partial(Roster, burier(), user(3), there=1), finds=True),
    ],
    planted=[
        Setting("who leaves says how afterwards", partial(Roster, participant(leaves=True, late=True), user(2))),
    ],
)
