"""The barrier: arrive, release, wait, look for the dead, break, each operation as in src/barrier*.c.

The guard is one step here: lock.py has its protocol. What must hold: nobody passes before all of a generation have
come, and who passes finds what each of them did before; a generation ends once, and in one way for all who see its end;
it is broken only by a death or a deadline; nobody sleeps on when it has ended, or when one who had been here is dead.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from model.explorer import Model, Setting
from model.guarded import Guarded
from model.program import LATE, Memory, Process, State, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model.program import Program

FREE, ARRIVED, RELEASED, BROKEN, PAST, GONE = range(0, 6 * 8, 8)  # beside the id
STATE, ID = 56, 7
SLEEPERS, BROKEN_GATE, GENERATION = 1, 2, 4
GOES_ON, ENDS_RELEASED, ENDS_BROKEN = range(3)
PASSES, TOLD, GAVE_UP, WAITS = range(4)  # how a wait has ended
ALL = 99  # to wake

OPERATIONS = {
    "look": ("barrier_parts.h", "load", "word", "load", "acquire"),
    "change": ("barrier_parts.h", "change", "word", "exchange", "acq_rel"),
    "gate": ("barrier_parts.h", "gate_of", "gate", "load", "acquire"),
    "open": ("barrier_guard.c", "finish", "gate", "exchange", "release"),
    "end": ("barrier_guard.c", "ipk_barrier_over", "ending", "store", "release"),
    "claim": ("barrier.c", "claim", "word", "store", "release"),
}

MEETING = "guard, entry and gate each order what was done before the meeting: with one of them weakened, the others do"
ORDERED_TWICE = [*(f"change={order}" for order in ("acquire", "release", "relaxed")), "look=relaxed", "open=relaxed"]
HARMLESS = dict.fromkeys([*ORDERED_TWICE, "claim=relaxed"], MEETING) | {
    "end=relaxed": "who finds it is in the guard, after one whose death the kernel has told",
}


class Registers(NamedTuple):
    """What a process remembers."""

    rounds: int = 1
    word: int = 0
    gate: int = 0  # of its generation
    party: int = 0  # its entry
    arrived: int = 0
    ending: int = 0
    was: int = 0  # the gate before the generation ended, for the wake-up
    how: int = 0
    dead: int = 0  # the guard's last owner was
    slept: int = 0


class Party(NamedTuple):
    """It comes, so many times."""

    number: int
    parties: int
    entries: int
    acts: bool = False  # has something to do when it is the last one
    gives_up: bool = False
    goes: bool = False  # gives up outside of the guard
    mistake: str = ""

    @property
    def id(self) -> int:
        """What entries call it."""
        return self.number + 1

    def every(self, steps: Callable[[int], Program]) -> Program:
        """The steps for each entry."""
        return [step for i in range(self.entries) for step in steps(i)]

    def finish(self, at: str) -> Program:
        """Do all that `ending` asks for."""

        def told(r: Registers) -> int:
            return (RELEASED if r.ending == ENDS_RELEASED else BROKEN) | r.word & ID

        def opened(r: Registers) -> int:
            return (r.word & ~(SLEEPERS | BROKEN_GATE)) + GENERATION | (BROKEN_GATE * (r.ending == ENDS_BROKEN))

        def tell(i: int) -> Program:
            entry, here = f"entry{i}", f"{at}.tell.{i}"
            return [
                ("load", "look", entry, "word"), ("unless", lambda r: r.word & STATE == ARRIVED, f"{here}.other"),
                ("cas", "change", entry, lambda r: r.word, told, "word", f"{here}.other"), ("goto", f"{here}.next"),
                f"{here}.other", ("load", "look", entry, "word"),
                ("unless", lambda r: r.word & STATE >= PAST, f"{here}.next"),
                ("cas", "change", entry, lambda r: r.word, FREE, "word", f"{here}.next"), f"{here}.next",
            ]  # fmt: skip

        gate: Program = [
            ("store", "relaxed", "arrived", 0),
            ("load", "relaxed", "gate", "word"), f"{at}.open",
            ("cas", "open", "gate", lambda r: r.word, opened, "word", f"{at}.open"),
            ("set", "was", lambda r: r.word),
        ]  # fmt: skip
        body = [*gate, *self.every(tell)] if self.mistake == "opens before it tells" else [*self.every(tell), *gate]
        return [*body, ("set", "word", 0), ("set", "ending", 0), ("store", "relaxed", "ending", 0)]

    def end(self, at: str, ending: int | None = None) -> Program:
        """End the generation; by default released, unless somebody has gone."""
        gone: Program = [("set", "ending", ENDS_RELEASED if ending is None else ending)]
        if ending is None and self.goes:
            gone += self.every(
                lambda i: [
                    ("load", "look", f"entry{i}", "word"),
                    ("unless", lambda r: r.word & STATE == GONE, f"{at}.gone.{i}"),
                    ("set", "ending", ENDS_BROKEN), f"{at}.gone.{i}",
                ]
            )  # fmt: skip
        return [*gone, ("set", "word", 0), ("store", "end", "ending", lambda r: r.ending), *self.finish(at)]

    def enter(self, at: str) -> Program:
        """Enter the guard, and put right what a dead predecessor has left."""
        count = self.every(
            lambda i: [
                ("load", "look", f"entry{i}", "word"),
                ("set", "arrived", lambda r: r.arrived + (r.word & STATE == ARRIVED)),
            ]
        )
        finish = [
            ("load", "relaxed", "ending", "ending"), ("unless", lambda r: r.ending, f"{at}.count"),
            *self.finish(f"{at}.repair"), *self.wake(f"{at}.repair"),
        ] if self.mistake != "leaves the end half done" else []  # fmt: skip
        return [
            ("lock",), ("unless", lambda r: r.dead, f"{at}.in"), ("set", "dead", 0), *finish,
            f"{at}.count", *count, ("store", "relaxed", "arrived", lambda r: r.arrived), ("set", "arrived", 0),
            f"{at}.in", ("set", "word", 0),
        ]  # fmt: skip

    def wake(self, at: str) -> Program:
        """Wake those who slept until the generation ended."""
        count = 1 if self.mistake == "wakes one" else ALL
        return [
            ("unless", lambda r: r.was & SLEEPERS, f"{at}.woken"), ("wake", "gate", count),
            f"{at}.woken", ("set", "was", 0),
        ]  # fmt: skip

    def leave(self, at: str) -> Program:
        """Leave the guard."""
        return [("unlock",), *self.wake(at)]

    def outcome(self, at: str) -> Program:
        """Turn our entry into what is left of us; `how` says how the wait ended."""

        def mine(r: Registers) -> str:
            return f"entry{r.party}"

        def left(r: Registers) -> int:
            return PAST | self.id if r.was - r.gate in range(GENERATION, 2 * GENERATION) else FREE

        keep = self.mistake == "leaves nothing behind"
        return [
            ("load", "look", mine, "word"), ("set", "how", WAITS),
            ("if", lambda r: r.word == ARRIVED | self.id, f"{at}.end"),
            ("set", "how", TOLD), ("if", lambda r: r.word == BROKEN | self.id, f"{at}.broken"),
            ("unless", lambda r: r.word == RELEASED | self.id, f"{at}.end"), ("set", "how", PASSES),
            ("set", "arrived", lambda r: r.was),
            ("load", "gate", "gate", "was"),
            ("cas", "change", mine, lambda r: r.word, FREE if keep else left, "word", f"{at}.changed"),
            f"{at}.changed", ("set", "was", lambda r: r.arrived), ("set", "arrived", 0), ("goto", f"{at}.end"),
            f"{at}.broken", ("cas", "change", mine, lambda r: r.word, FREE, "word", f"{at}.end"),
            f"{at}.end", ("set", "word", 0),
        ]  # fmt: skip

    def claim(self) -> Program:
        """Take an entry, and go to "claimed"; a free one, or one whose party has left, or is dead."""

        def take(i: int, at: str, *, mark: Callable[[Registers], bool], dead: bool) -> Program:
            entry = f"entry{i}"
            return [
                ("load", "look", entry, "word"), ("unless", mark, f"{at}.{i}"),
                *([("alive", lambda r: (r.word & ID) - 1, f"{at}.{i}")] if dead else []),
                ("cas", "change", entry, lambda r: r.word, FREE, "word", f"{at}.{i}"), ("set", "party", i),
                ("goto", "claimed"), f"{at}.{i}",
            ]  # fmt: skip

        def strangers(r: Registers) -> bool:
            return r.word & STATE != ARRIVED and r.word & ID not in {0, self.id}

        return [
            *self.every(lambda i: take(i, "free", mark=lambda r: r.word == FREE, dead=False)),
            *self.every(lambda i: take(i, "past", mark=lambda r: r.word & STATE == PAST, dead=False)),
            *self.every(lambda i: take(i, "dead", mark=strangers, dead=True)),
        ]

    def break_off(self) -> Program:
        """Break the generation, unless it is over."""
        go: Program = [
            ("choose", "break.guarded"),
            ("cas", "change", lambda r: f"entry{r.party}", ARRIVED | self.id, GONE | self.id, "word", "go.over"),
            ("set", "word", 0), ("goto", "end"),
            "go.over", *self.outcome("go"), ("goto", "ended"), "break.guarded",
        ]  # fmt: skip
        return [
            *(go if self.goes else []),
            *self.enter("break"), *self.outcome("break"), ("unless", lambda r: r.how == WAITS, "break.over"),
            *self.end("break.end", ENDS_BROKEN), *self.outcome("broke"), ("set", "how", GAVE_UP),
            "break.over", *self.leave("break"),
        ]  # fmt: skip

    def missing(self) -> Program:
        """Go to "missing" if one that we wait with, or for, is dead or has given up."""
        seen = {ARRIVED, RELEASED, PAST} - ({PAST} if self.mistake == "forgets those who have left" else set())
        return self.every(
            lambda i: [
                ("load", "look", f"entry{i}", "word"), ("if", lambda r: r.word & STATE == GONE, "missing"),
                ("if", lambda r: r.word & STATE not in seen or r.word & ID == self.id, f"missing.{i}"),
                ("alive", lambda r: (r.word & ID) - 1, f"missing.{i}"), ("goto", "missing"), f"missing.{i}",
            ]
        )  # fmt: skip

    def arrive(self) -> Program:
        """Arrive; go to "look", or to "ended" if we are the last one."""
        act: Program = [
            ("unlock",), *self.enter("release"), *self.outcome("release"),
            ("unless", lambda r: r.how == WAITS, "release.over"),
        ] if self.acts else []  # fmt: skip
        return [
            "arrive", ("load", "relaxed", "gate", "word"), ("if", lambda r: r.word & BROKEN_GATE, "end"),
            *self.enter("arrive"),
            ("load", "relaxed", "gate", "word"), ("if", lambda r: r.word & BROKEN_GATE, "refused"),
            ("set", "gate", lambda r: r.word & ~SLEEPERS),
            ("load", "relaxed", "arrived", "arrived"), ("if", lambda r: r.arrived >= self.parties, "again"),
            *self.claim(), ("goto", "again"),
            "claimed", ("set", "word", 0), ("store", "claim", lambda r: f"entry{r.party}", ARRIVED | self.id),
            ("ghost", lambda _r, _m: {f"came{self.number}": 1}),
            ("store", "relaxed", "arrived", lambda r: r.arrived + 1), ("set", "arrived", lambda r: r.arrived + 1),
            ("if", lambda r: r.arrived == self.parties, "last"), ("set", "arrived", 0), ("unlock",), ("goto", "look"),
            "again", ("unlock",), ("set", "word", 0), ("set", "arrived", 0), ("set", "gate", 0), ("goto", "arrive"),
            "refused", ("unlock",), ("goto", "end"),
            "last", ("set", "arrived", 0), *act, *self.end("last"), *self.outcome("last"),
            *(["release.over"] if act else []), *self.leave("last"), ("goto", "ended"),
        ]  # fmt: skip

    def program(self) -> Program:
        """Come, wait, look at what the others did."""

        def changed(r: Registers) -> bool:
            return r.word & ~SLEEPERS != r.gate

        def asleep(r: Registers) -> int:
            return r.gate | SLEEPERS

        done = f"done{self.number}"
        return [
            "next", ("load", "plain", done, "word"), ("store", "plain", done, lambda r: r.word + 1),
            ("set", "word", 0), *self.arrive(),
            "look", ("load", "gate", "gate", "word"), ("if", changed, "see"),
            "doze", ("cas", "relaxed", "gate", lambda r: r.gate, asleep, "word", "announced"), ("goto", "sleep"),
            "announced", ("unless", lambda r: r.word == asleep(r), "awake"),
            "sleep", ("set", "word", 0), ("sleep", "gate", asleep),
            "awake", ("load", "gate", "gate", "word"), ("if", changed, "see"),
            ("if", lambda r: r.slept == LATE, "late"), ("set", "slept", 0), ("late", "doze"),
            "late", ("set", "slept", 0), ("load", "relaxed", "ending", "ending"),
            ("unless", lambda r: r.ending, "late.look"), ("set", "ending", 0), *self.enter("late"), ("unlock",),
            "late.look", *self.outcome("late"), ("unless", lambda r: r.how == WAITS, "ended"),
            *([("goto", "missing")] if self.gives_up else self.missing()), ("set", "word", 0), ("goto", "look"),
            "missing", ("set", "word", 0), *self.break_off(), ("goto", "ended"),
            "see", ("set", "slept", 0), ("set", "word", 0), *self.outcome("see"),
            "ended", ("ghost", partial(ended_for, self.number)), ("unless", lambda r: r.how == PASSES, "end"),
            *(step for i in range(self.parties) for step in [
                ("load", "plain", f"done{i}", "word"), ("ghost", partial(complete, self.number, i)),
            ]),
            ("set", "how", 0), ("set", "party", 0), ("set", "gate", 0), ("set", "word", 0),
            ("set", "rounds", lambda r: r.rounds - 1), ("if", lambda r: r.rounds, "next"),
            "end", ("end",),
        ]  # fmt: skip


def ended_for(number: int, r: Registers, memory: Memory) -> dict[str, int]:
    """A wait has ended: in one way for all of a generation."""
    if r.how != PASSES and memory["calm"]:
        raise Violation("broken, and nobody died or gave up")
    if r.how == WAITS:
        raise Violation("the gate has changed, and one has not been told how")
    fate = f"fate{r.gate // GENERATION}"
    way = PASSES + 1 if r.how == PASSES else TOLD + 1
    if memory[fate] not in {0, way}:
        raise Violation("one passes, and another one of the same generation is told that it is broken")
    return {fate: way, f"round{number}": memory[f"round{number}"] + 1}


def complete(number: int, its: int, r: Registers, memory: Memory) -> None:
    """All have come, and what they did before is there."""
    if r.word < memory[f"round{number}"]:
        raise Violation(f"one passes before {its} has come, or does not see what that one did")


class Barrier(Guarded):
    """So many come, each as often."""

    def __init__(
        self,
        parties: int,
        rounds: int = 1,
        *,
        entries: int = 0,
        crashes: int = 0,
        slices: Sequence[int] = (0, 0, 0),
        early: bool = False,
        acts: bool = False,
        goes: bool = False,
        mistake: str = "",
    ) -> None:
        entries = entries or 2 * parties
        programs = [
            (
                Party(i, parties, entries, acts, slices[i] > 0, goes, mistake).program(),
                Process(Registers(rounds=rounds), slices=slices[i]),
            )
            for i in range(parties)
        ]
        kinds = {"entry": entries, "fate": rounds + 2, "done": parties, "came": parties, "round": parties}
        names = ["owner", "gate", "arrived", "ending", *(f"{k}{i}" for k, n in kinds.items() for i in range(n))]
        super().__init__(programs, dict.fromkeys(names, 0) | {"calm": int(not any(slices))}, crashes)
        self.speculates = early

    def died(self, _member: int, _memory: Memory) -> dict[str, int]:
        """It may be broken."""
        return {"calm": 0}

    def entered(self, _state: State, p: Process, *, dead: bool) -> Process:
        """It is told if the last owner died."""
        return p._replace(registers=p.registers._replace(dead=int(dead)))

    def lives(self, p: Process) -> bool:
        """Who has come for the last time still lives."""
        return p.status == "closed" or super().lives(p)

    def rests(self, s: State, _process: Process) -> bool:
        """It waits for one who died before he had ever come."""
        return any(p.status == "dead" and not s.memory[self.at[f"came{i}"]] for i, p in enumerate(s.processes))


MODEL = Model(
    "barrier",
    OPERATIONS,
    HARMLESS,
    [
        Setting("2 parties, loads ahead", partial(Barrier, 2, entries=2, early=True), finds=True),
        Setting("2 parties, 2 rounds, loads ahead", partial(Barrier, 2, 2, early=True), finds=True),
        Setting("2 parties, the last one acts", partial(Barrier, 2, acts=True)),
        Setting("3 parties", partial(Barrier, 3, entries=3)),
        Setting("2 parties, a deadline", partial(Barrier, 2, slices=[1, 0])),
        Setting("2 parties, a deadline, outside of the guard", partial(Barrier, 2, slices=[1, 0], goes=True)),
        Setting("2 parties, 1 death", partial(Barrier, 2, crashes=1)),
        Setting("2 parties, 2 rounds, 1 death", partial(Barrier, 2, 2, crashes=1)),
        Setting("2 parties, the last one acts, 1 death", partial(Barrier, 2, acts=True, crashes=1)),
        Setting("3 parties, 1 death", partial(Barrier, 3, entries=3, crashes=1)),
    ],
    planted=[
        Setting("the gate opens before all are told", partial(Barrier, 2, mistake="opens before it tells")),
        Setting("one is woken", partial(Barrier, 3, entries=3, mistake="wakes one")),
        Setting(
            "a dead one's end stays half done",
            partial(Barrier, 3, entries=3, crashes=1, mistake="leaves the end half done"),
        ),
        Setting("a death between two rounds", partial(Barrier, 2, 2, crashes=1, mistake="forgets those who have left")),
    ],
)
