"""The newest value: write, read, wait, close, each operation as in src/latest*.c and sleepers.*.

What must hold: a value that a reader takes is whole; each is newer than the one before; the end and the writer's death
are told only after the last value; nobody sleeps on when there is a newer value or an end.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from model.explorer import Model, Setting
from model.machine import Machine
from model.program import Memory, Process, State, Violation

if TYPE_CHECKING:
    from model.program import Program

OPEN, CLOSED = 1, 2
ANY, ONE_TIME = 1, 2  # of the sleepers' word
WORDS = 2  # of a value
ALL = 99  # to wake

OPERATIONS = {
    "send.number": ("latest_copy.c", "ipk_latest_send", "sequence", "store", "release"),
    "send.word": ("latest_copy.c", "fill", "words", "store", "release"),
    "send.index": ("latest_copy.c", "publish", "sequence", "store", "seq_cst"),
    "reserve.number": ("latest_copy.c", "ipk_latest_reserve", "sequence", "store", "seq_cst"),
    "reserve.look": ("latest_copy.c", "ipk_latest_reserve", "sequence", "load", "seq_cst"),
    "look.index": ("latest_copy.c", "ipk_latest_look", "sequence", "load", "acquire"),
    "copy.word": ("latest_copy.c", "ipk_latest_copy", "words", "load", "acquire"),
    "copy.number": ("latest_copy.c", "still_there", "sequence", "load", "acquire"),
    "ready.index": ("latest_wait.c", "ready", "sequence", "load", "acquire"),
    "roused.index": ("latest_wait.c", "roused", "sequence", "load", "seq_cst"),
    "roused.state": ("latest_wait.c", "roused", "state", "load", "seq_cst"),
    "gone.state": ("latest_wait.c", "writer_gone", "state", "load", "acquire"),
    "close.state": ("latest.c", "give_up_role", "state", "store", "seq_cst"),
    "announce.word": ("sleepers.h", "ipk_sleepers_announce", "word", "exchange", "seq_cst"),
    "wake.word": ("sleepers.h", "ipk_sleepers_wake_all", "word", "load", "seq_cst"),
}


BEHIND_THE_INDEX = (
    "the look at the sleepers' word, a seq_cst load, has waited until the index of the value before was out; C11 alone "
    "does not promise it"
)
AFTER_ANNOUNCING = (
    "the announcement just before it, a seq_cst exchange, is out before what follows, on every machine that we know; "
    "C11 promises it only among seq_cst operations"
)
HARMLESS = {
    "send.number=relaxed": BEHIND_THE_INDEX,
    "ready.index=relaxed": "whoever finds a newer number loads it again, with acquire, before he looks at the value",
    "roused.index=acquire": AFTER_ANNOUNCING,
    "roused.index=relaxed": AFTER_ANNOUNCING,
    "roused.state=acquire": AFTER_ANNOUNCING,
    "roused.state=relaxed": AFTER_ANNOUNCING,
}


class Registers(NamedTuple):
    """What a process remembers."""

    n: int = 0  # the newest value: its own; or that the reader has taken
    found: int = 0
    item: int = 0
    number: int = 0
    flag: int = 0
    state: int = 0
    torn: bool = False


def wake(name: str) -> Program:
    """Wake all that sleep, as ipk_sleepers_wake_all does."""
    return [
        ("load", "wake.word", "word", "flag"), ("unless", lambda r: r.flag & ANY, f"{name}.woken"),
        ("cas", "relaxed", "word", lambda r: r.flag, lambda r: (r.flag + ONE_TIME) & ~ANY, "flag", f"{name}.woken"),
        ("wake", "word", ALL),
        f"{name}.woken", ("set", "flag", 0),
    ]  # fmt: skip


def writer(values: int, buffers: int, *, in_place: bool, closes: bool, early: bool) -> Program:
    """It goes on after its predecessor, writes, and closes, or stays.

    in_place: the words are written by others, with plain stores. early: the mistake to publish before it has filled.
    """

    def fill(r: Registers) -> int:
        return r.n + 1

    word = "relaxed" if in_place else "send.word"
    words: Program = [("store", word, lambda r, i=i: f"buffer{(r.n + 1) % buffers}.{i}", fill) for i in range(WORDS)]
    number: Program = [
        ("store", "reserve.number" if in_place else "send.number", lambda r: f"number{(r.n + 1) % buffers}", fill)
    ]
    if in_place:
        number += [("load", "reserve.look", lambda r: f"number{(r.n + 1) % buffers}", "item"), ("set", "item", 0)]
    index: Program = [("store", "send.index", "index", fill)]
    return [
        ("load", "plain", "index", "n"), ("store", "relaxed", "state", OPEN),
        "next", ("unless", lambda r: r.n < values, "close"),
        *number, *([*index, *words] if early else [*words, *index]),
        ("set", "n", fill), *wake("send"), ("goto", "next"),
        "close", *([("store", "close.state", "state", CLOSED), *wake("close")] if closes else []), ("end",),
    ]  # fmt: skip


def reader(buffers: int, *, trusting: bool) -> Program:
    """It takes what it gets until the writer is gone. trusting: the mistake not to look at the number again."""

    def newer(r: Registers) -> bool:
        return r.found > r.n

    copy: Program = [("set", "torn", False)]
    for i in range(WORDS):
        copy += [
            ("load", "copy.word", lambda r, i=i: f"buffer{r.found % buffers}.{i}", "item"),
            ("set", "torn", lambda r: r.torn or r.item != r.found),
        ]
    copy += [("set", "item", 0)]
    valid: Program = [
        ("load", "copy.number", lambda r: f"number{r.found % buffers}", "number"),
        ("if", lambda r: r.number == r.found, "valid"),
        ("load", "relaxed", "index", "item"),
        ("check", lambda r: r.number <= r.item + 1, "an honest writer is taken for a broken one"),
        ("set", "item", 0), ("goto", "next"), "valid",
    ]  # fmt: skip
    return [
        "next", ("set", "number", 0), ("set", "state", 0), ("set", "torn", False),
        ("load", "look.index", "index", "found"), ("unless", newer, "wait"),
        *copy, *([] if trusting else valid),
        ("check", lambda r: not r.torn, "a value is torn"),
        ("set", "n", lambda r: r.found), ("goto", "next"),
        # ipk_latest_wait
        "wait", ("load", "ready.index", "index", "found"), ("if", newer, "next"),
        ("load", "gone.state", "state", "state"), ("unless", lambda r: r.state == CLOSED, "sleep"),
        ("load", "ready.index", "index", "found"), ("if", newer, "next"), ("ghost", partial(told, "EPIPE")),
        ("goto", "end"),
        "sleep", ("rmw", "announce.word", "word", lambda _r, old: old | ANY, "flag"),
        ("set", "flag", lambda r: r.flag | ANY),
        ("load", "roused.index", "index", "found"), ("if", newer, "awake"),
        ("load", "roused.state", "state", "state"), ("if", lambda r: r.state == CLOSED, "awake"),
        ("sleep", "word", lambda r: r.flag),
        "awake", ("set", "flag", 0), ("set", "state", 0),
        ("load", "ready.index", "index", "found"), ("if", newer, "next"), ("alive", 0, "next"),
        ("load", "ready.index", "index", "found"), ("if", newer, "next"), ("ghost", partial(told, "EOWNERDEAD")),
        "end", ("end",),
    ]  # fmt: skip


def told(how: str, r: Registers, memory: Memory) -> None:
    """The end comes after the last value. A successor may have written since."""
    if how == "EPIPE" and not memory["deaths"] and r.n != memory["values"]:
        raise Violation("the end was told before the last value")
    if how == "EOWNERDEAD" and not memory["deaths"]:
        raise Violation("a death was told, and nobody died")


class Latest(Machine):
    """A writer, who has a successor if he dies, and readers."""

    def __init__(
        self,
        values: int,
        buffers: int,
        readers: int,
        crashes: int = 0,
        *,
        in_place: bool = False,
        closes: bool = True,
        early: bool = False,
        trusting: bool = False,
    ) -> None:
        programs = [
            (writer(values, buffers, in_place=in_place, closes=closes, early=early), Process(Registers())),
            *((reader(buffers, trusting=trusting), Process(Registers())) for _ in range(readers)),
        ]
        names = ["index", "state", "word", "deaths", *(f"number{b}" for b in range(buffers))]
        names += [f"buffer{b}.{i}" for b in range(buffers) for i in range(WORDS)]
        super().__init__(programs, dict.fromkeys(names, 0) | {"values": values}, crashes)
        self.values = values
        self.closes = closes

    def died(self, member: int, memory: Memory) -> dict[str, int]:
        """Of readers nobody takes notice."""
        return {"deaths": memory["deaths"] + (member == 0)}

    def ended(self, _role: int, registers: Registers) -> Registers:
        """What it came to."""
        return Registers(n=registers.n)

    def successor(self, role: int) -> Process | None:
        """The next writer claims the role."""
        return self.fresh[role] if role == 0 else None

    def lives(self, p: Process) -> bool:
        """Who has closed still lives."""
        return p.status == "closed" or super().lives(p)

    def rests(self, _state: State, process: Process) -> bool:
        """It has all values, and the writer has not closed."""
        return not self.closes and process.registers.n == self.values


SMALL = (3, 2, 1)  # values, buffers, readers

MODEL = Model(
    "latest",
    OPERATIONS,
    HARMLESS,
    [
        Setting("3 values in 2 buffers, 1 reads", partial(Latest, *SMALL), finds=True),
        Setting("the same, and the writer stays", partial(Latest, *SMALL, closes=False), finds=True),
        Setting("the same, written in place", partial(Latest, *SMALL, in_place=True), finds=True),
        Setting("the same, 1 death", partial(Latest, *SMALL, crashes=1)),
        Setting("4 values in 3 buffers, 1 reads", partial(Latest, 4, 3, 1)),
        Setting("1 value, 2 read", partial(Latest, 1, 2, 2)),
    ],
    [
        Setting("the writer publishes before it has filled", partial(Latest, *SMALL, early=True)),
        Setting("the reader does not look at the number again", partial(Latest, *SMALL, trusting=True)),
    ],
)
