"""Events, manual-reset and auto-reset: set, clear, wait, give up, each operation as in src/event_word.c.

What must hold: who finds an event set finds what was done before the set, also before an earlier one that nobody has
consumed; nobody consumes what was not set; nobody sleeps on while an auto-reset event is set, or when a manual-reset
one has been since he began to wait.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from model.explorer import Model, Setting
from model.machine import Machine
from model.program import LATE, Memory, Process, State, Violation

if TYPE_CHECKING:
    from model.program import Program

SET, WAITERS, ONE_TIME = 1, 2, 4
ALL = 99  # to wake

OPERATIONS = {
    "set_one": ("event_word.c", "set_one", "word", "exchange", "release"),
    "set_all": ("event_word.c", "set_all", "word", "exchange", "release"),
    "take.look": ("event_word.c", "ipk_event_word_take", "word", "load", "acquire"),
    "take": ("event_word.c", "ipk_event_word_take", "word", "exchange", "acquire"),
}


class Registers(NamedTuple):
    """What a process remembers."""

    rounds: int = 1  # how often it still sets, or waits
    word: int = 0
    since: int = 0
    slept: int = 0
    item: int = 0


def setter(number: int, *, auto: bool, clears: bool) -> Program:
    """It does something, and sets the event, so many times; and may clear it."""
    done = f"done{number}"
    exchange = {
        True: [("rmw", "set_one", "word", lambda _r, _old: SET, "word")],
        False: [
            ("load", "relaxed", "word", "word"),
            "again",
            ("cas", "set_all", "word", lambda r: r.word, lambda r: next_of(r.word), "word", "again"),
        ],
    }
    return [
        "next", ("load", "plain", done, "item"), ("store", "plain", done, lambda r: r.item + 1), ("set", "item", 0),
        *exchange[auto],
        ("ghost", lambda _, memory: {f"told{number}": memory[f"told{number}"] + 1}),
        ("unless", lambda r: r.word & WAITERS, "woken"), ("wake", "word", 1 if auto else ALL), "woken",
        *([("rmw", "relaxed", "word", lambda _, old: old & ~SET, "word")] if clears else []),
        ("set", "rounds", lambda r: r.rounds - 1), ("set", "word", 0), ("if", lambda r: r.rounds, "next"),
        ("end",),
    ]  # fmt: skip


def next_of(word: int) -> int:
    """The word after a set of a manual-reset event."""
    return ((word if word & SET else word + ONE_TIME) & ~WAITERS) | SET


def waiter(number: int, setters: int, *, auto: bool, gives_up: bool) -> Program:
    """It waits until the event is set, so many times, and looks at what was done."""

    def there(r: Registers) -> bool:
        return bool(r.word & SET) or (not auto and (r.word ^ r.since) >= ONE_TIME)

    def take(at: str, keep: int) -> Program:
        exchange = [
            f"{at}.again", ("unless", lambda r: r.word & SET, f"{at}.none"),
            ("cas", "take", "word", lambda r: r.word, lambda r: r.word & WAITERS | keep, "word", f"{at}.again"),
        ]  # fmt: skip
        return [
            ("load", "take.look", "word", "word"), ("unless", there, f"{at}.none"),
            *(exchange if auto else []), ("goto", "taken"),
            f"{at}.none",
        ]  # fmt: skip

    def look(its: int) -> Program:
        return [("load", "plain", f"done{its}", "item"), ("ghost", partial(complete, number, its))]

    return [
        "next", ("load", "relaxed", "word", "since"), ("set", "since", lambda r: r.since & ~(SET | WAITERS)),
        "wait", *take("first", 0),
        "sleep", ("load", "relaxed", "word", "word"),
        "announce", ("if", lambda r: r.word & WAITERS, "announced"), ("if", there, "awake"),
        ("cas", "relaxed", "word", lambda r: r.word, lambda r: r.word | WAITERS, "word", "announce"),
        ("set", "word", lambda r: r.word | WAITERS),
        "announced", ("if", there, "awake"),
        ("sleep", "word", lambda r: r.word),
        "awake", *take("later", WAITERS),
        ("if", lambda r: r.slept == LATE, "leave"), ("set", "slept", 0), ("late", "sleep"),
        "leave", ("set", "slept", 0),
        *([
            ("load", "relaxed", "word", "word"), ("if", lambda r: r.word & WAITERS, "left"),
            ("rmw", "relaxed", "word", lambda _, old: old | WAITERS, "word"),
            ("unless", lambda r: r.word & SET, "left"), ("wake", "word", 1),
        ] if auto else []),
        "left", ("set", "word", 0), *([] if gives_up else [("goto", "wait")]), ("end",),
        # what was done before the sets is there
        "taken", ("set", "slept", 0), ("set", "word", 0), ("ghost", partial(claim, number, setters)),
        *(step for its in range(setters) for step in look(its)),
        ("set", "item", 0),
        ("set", "rounds", lambda r: r.rounds - 1), ("if", lambda r: r.rounds, "next"),
        ("end",),
    ]  # fmt: skip


def claim(number: int, setters: int, _: Registers, memory: Memory) -> dict[str, int]:
    """It is told of all the sets until now."""
    told = {f"claim{number}.{i}": memory[f"told{i}"] for i in range(setters)}
    sets = sum(told.values())
    if memory["auto"] and memory["taken"] >= sets:
        raise Violation("consumed more often than set")
    return told | ({"taken": sets} if memory["auto"] else {})


def complete(number: int, its: int, r: Registers, memory: Memory) -> None:
    """What was done before the sets that it was told of is seen."""
    if r.item < memory[f"claim{number}.{its}"]:
        raise Violation("what was done before the set is not seen")


class Event(Machine):
    """Some set, and others wait."""

    def __init__(
        self, sets: list[int], waits: list[int], *, auto: bool, clears: bool = False, crashes: int = 0, slices: int = 0
    ) -> None:
        programs = [
            (setter(i, auto=auto, clears=clears), Process(Registers(rounds=some))) for i, some in enumerate(sets)
        ] + [
            (
                waiter(i, len(sets), auto=auto, gives_up=slices > 0 and i == 0),
                Process(Registers(rounds=some), slices=slices if i == 0 else 0),
            )
            for i, some in enumerate(waits)
        ]
        kinds = ["done", "told", *(f"claim{i}." for i in range(len(waits)))]
        names = ["word", "taken", *(f"{kind}{i}" for kind in kinds for i in range(len(sets)))]
        super().__init__(programs, dict.fromkeys(names, 0) | {"auto": int(auto)}, crashes)
        self.auto = auto
        self.speculates = crashes == 0

    def rests(self, s: State, p: Process) -> bool:
        """The event is not set, and has not been since it began to wait."""
        word = s.memory[self.at["word"]]
        return not word & SET and (self.auto or (word ^ p.registers.since) < ONE_TIME)


MODEL = Model(
    "event",
    OPERATIONS,
    {},
    [
        Setting("auto-reset, 2 set, 1 waits", partial(Event, [1, 1], [2], auto=True), finds=True),
        Setting("auto-reset, 1 sets twice, 2 wait", partial(Event, [2], [1, 1], auto=True)),
        Setting("auto-reset, 1 sets twice, 2 wait, a deadline", partial(Event, [2], [1, 1], auto=True, slices=1)),
        Setting("auto-reset, 1 sets, 2 wait, 1 death", partial(Event, [2], [1, 1], auto=True, crashes=1)),
        Setting("manual-reset, 2 set, 1 waits", partial(Event, [1, 1], [1], auto=False), finds=True),
        Setting("manual-reset, 1 sets and clears, 2 wait", partial(Event, [2], [1, 1], auto=False, clears=True)),
        Setting(
            "manual-reset, 1 sets and clears, 2 wait, 1 death",
            partial(Event, [1], [1, 1], auto=False, clears=True, crashes=1),
        ),
    ],
)
