"""The condition variable: wait, notify, hand on what the dead were notified of, each operation as in src/condition*.c.

The mutex is one step here, with its flag for those who were moved to sleep beside it: lock.py has its protocol. What
must hold: each notification that was given ends the wait of one who lives, if anybody still waits; nobody's wait
ends without one, unless somebody has died.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from model.explorer import Model, Setting
from model.guarded import Guarded
from model.program import LATE, Memory, Process, State, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from model.program import Program, Step

FREE, CLAIMED, AWAKE, ASLEEP, NOTIFIED, MOVED, PASSING = range(0, 7 * 8, 8)  # beside the id
STATE, ID = 56, 7

OPERATIONS = {
    "change": ("condition_slots.h", "change", "word", "exchange", "acq_rel"),
    "oldest": ("condition_slots.c", "ipk_condition_oldest", "word", "load", "acquire"),
    "notify.look": ("condition_slots.c", "ipk_condition_notify_slot", "word", "load", "acquire"),
    "sweep.look": ("condition_slots.c", "ipk_condition_sweep", "word", "load", "acquire"),
    "begin": ("condition.c", "ipk_condition_begin", "word", "store", "release"),
}

HARMLESS = dict.fromkeys(
    [
        "change=acquire", "change=release", "change=relaxed",
        "oldest=relaxed", "notify.look=relaxed", "sweep.look=relaxed", "begin=relaxed",
    ],
    "what these order is the ticket, by which waiters are chosen: which of them is told, not whether one is",
)  # fmt: skip


class Registers(NamedTuple):
    """What a process remembers."""

    rounds: int = 1
    word: int = 0
    slot: int = 0  # its own
    chosen: int = 0  # a slot to notify
    swept: int = 0  # a slot to look at
    moved: int = 0
    slept: int = 0
    flag: int = 0
    alone: int = 0  # the chosen one is moved over without a flag
    besides: int = 0  # of the mutex that we have: one was


def waits(word: int) -> bool:
    """Whether a slot's waiter can be notified."""
    return word & STATE in {AWAKE, ASLEEP}


class Thread(NamedTuple):
    """A waiter or a notifier."""

    number: int
    slots: int
    gives_up: bool

    @property
    def id(self) -> int:
        """What slots call it."""
        return self.number + 1

    def oldest(self, at: str, nobody: str) -> Program:
        """Choose one who waits, or jump."""
        steps: Program = [("set", "chosen", 0)]
        for i in range(self.slots):
            steps += [
                ("load", "oldest", f"slot{i}", "word"),
                ("set", "chosen", i), ("if", lambda r: waits(r.word), f"{at}.found"),
            ]  # fmt: skip
        return [*steps, ("goto", nobody), f"{at}.found"]

    def notify_slot(self, at: str, *, locked: bool, none: str) -> Program:
        """Notify the chosen one, or jump; locked: the mutex is ours, and he is moved over to it."""

        def slot(r: Registers) -> str:
            return f"slot{r.chosen}"

        def next_(r: Registers) -> int:
            return (MOVED if locked and r.word & STATE == ASLEEP and not r.alone else NOTIFIED) | r.word & ID

        look: Program = [
            ("load", "relaxed", "flag", "flag"),
            ("set", "alone", lambda r: int(r.alone or (r.word & STATE == ASLEEP and not r.flag | r.besides))),
            ("set", "besides", lambda r: r.besides | r.alone), ("set", "flag", 0),
        ]  # fmt: skip
        move = [
            ("if", lambda r: r.alone, f"{at}.alone"), ("rmw", "relaxed", "flag", lambda _r, _old: 1, "flag"),
            f"{at}.alone", ("requeue", slot, next_, "mutex", f"{at}.none"),
        ]  # fmt: skip
        return [
            ("set", "alone", 0), ("load", "notify.look", slot, "word"),
            f"{at}.again", ("unless", lambda r: waits(r.word), none), *(look if locked else []),
            ("cas", "change", slot, lambda r: r.word, next_, "word", f"{at}.again"),
            ("if", lambda r: r.word & STATE == AWAKE, f"{at}.told"),
            *(move if locked else [("wake_some", slot, f"{at}.none")]), ("goto", f"{at}.told"),
            # on his way into or out of his sleep, or dead
            f"{at}.none", ("alive", lambda r: (r.word & ID) - 1, f"{at}.told"),
            ("cas", "change", slot, next_, FREE, "word", f"{at}.told"), ("goto", none),
            f"{at}.told", ("set", "flag", 0), ("set", "word", 0), ("set", "alone", 0),
        ]  # fmt: skip

    def sweep(self) -> Program:
        """Hand on what the dead were notified of."""
        steps: Program = []
        for i in range(self.slots):
            at = f"sweep.{i}"
            steps += [
                ("load", "sweep.look", f"slot{i}", "word"),
                ("if", lambda r: r.word & STATE <= ASLEEP or r.word & ID == self.id, f"{at}.next"),
                ("alive", lambda r: (r.word & ID) - 1, f"{at}.next"),
                ("cas", "change", f"slot{i}", lambda r: r.word, PASSING | self.id, "word", f"{at}.next"),
                f"{at}.hand", *self.oldest(at, f"{at}.handed"),
                *self.notify_slot(f"{at}.on", locked=False, none=f"{at}.hand"),
                f"{at}.handed",
                ("cas", "change", f"slot{i}", PASSING | self.id, FREE, "word", f"{at}.next"),
                f"{at}.next", ("set", "word", 0), ("set", "chosen", 0),
            ]  # fmt: skip
        return steps

    def notified(self, at: str) -> Program:
        """Leave the slot if we have been notified, and jump to "left"; else go on."""
        mine = f"slot{self.number}"
        return [
            ("load", "relaxed", mine, "word"),
            ("if", lambda r: r.word in {AWAKE | self.id, ASLEEP | self.id}, f"{at}.not"),
            ("set", "moved", lambda r: int(r.word & STATE == MOVED)),
            ("cas", "change", mine, lambda r: r.word, FREE, "word", f"{at}.taken"),
            ("ghost", consumed), ("goto", "left"),
            f"{at}.taken", ("check", lambda _: False, "a notified waiter's slot was changed by another one"),
            f"{at}.not", ("set", "word", 0),
        ]  # fmt: skip

    def wait(self) -> Program:
        """Wait once."""
        mine = f"slot{self.number}"
        give_up: Program = [
            ("cas", "change", mine, ASLEEP | self.id, FREE, "word", "give.awake"), ("goto", "left"),
            "give.awake", ("cas", "change", mine, AWAKE | self.id, FREE, "word", "give.told"), ("goto", "left"),
            "give.told", *self.notified("give"), ("goto", "left"),
        ]  # fmt: skip
        return [
            ("lock",),
            ("cas", "change", mine, FREE, CLAIMED | self.id, "word", "end"),
            ("store", "begin", mine, AWAKE | self.id),
            ("unlock",),
            *self.notified("first"),
            ("cas", "change", mine, AWAKE | self.id, ASLEEP | self.id, "word", "sleep"),
            "sleep", ("set", "word", 0), ("sleep", mine, ASLEEP | self.id),
            *self.notified("awake"),
            ("if", lambda r: r.slept == LATE, "late"), ("set", "slept", 0), ("late", "sleep"),
            "late", ("set", "slept", 0), *self.sweep(),
            *(give_up if self.gives_up else self.notified("late")), ("goto", "sleep"),
            "left", ("set", "slept", 0), ("set", "word", 0), ("lock",),
            ("unless", lambda r: r.moved, "in"), ("rmw", "relaxed", "flag", lambda _r, _old: 1, "flag"),
            "in", ("set", "moved", 0), ("set", "flag", 0), ("unlock",),
            "end", ("end",),
        ]  # fmt: skip

    def notify(self, at_once: int) -> Program:
        """Notify one, or so many while it has the mutex; and again."""
        one = [
            [
                f"again.{i}", *self.oldest(f"notify.{i}", "none"),
                *self.notify_slot(f"told.{i}", locked=True, none=f"again.{i}"),
                ("ghost", lambda _, memory: {"given": memory["given"] + 1}),
            ]
            for i in range(at_once)
        ]  # fmt: skip
        return [
            "next", ("lock",), *(step for steps in one for step in steps),
            "none", ("set", "word", 0), ("set", "chosen", 0), ("unlock",),
            ("set", "rounds", lambda r: r.rounds - 1), ("if", lambda r: r.rounds, "next"), ("end",),
        ]  # fmt: skip


def consumed(_: Registers, memory: Memory) -> dict[str, int]:
    """A wait has ended, for it was notified."""
    return {"consumed": memory["consumed"] + 1}


class Condition(Guarded):
    """Some wait, once each, and one notifies."""

    def __init__(
        self, waiters: int, notifies: int, at_once: int = 1, *, crashes: int = 0, slices: Sequence[int] = (0, 0, 0)
    ) -> None:
        threads = [Thread(i, waiters, gives_up=slices[i] > 0) for i in range(waiters + 1)]
        programs = [
            (thread.wait(), Process(Registers(), slices=slices[i])) for i, thread in enumerate(threads[:waiters])
        ] + [(threads[waiters].notify(at_once), Process(Registers(rounds=notifies)))]
        names = ["owner", "flag", "mutex", "given", "consumed", *(f"slot{i}" for i in range(waiters))]
        super().__init__(programs, dict.fromkeys(names, 0), crashes)
        self.slots = waiters

    def rests(self, s: State, _process: Process) -> bool:
        """Nobody has been notified who has not come back."""
        memory = Memory(self.at, s.memory)
        told = any(memory[f"slot{i}"] & STATE >= NOTIFIED for i in range(self.slots))
        if not told and memory["consumed"] > memory["given"] and not s.crashes:
            raise Violation("a wait has ended, and nobody had been notified")
        return not told and memory["consumed"] >= memory["given"]

    def unlock(self, s: State, role: int, p: Process, _step: Step) -> Iterator[State]:
        """Give it back; whoever was moved beside it, with its flag or without, is woken in the next step."""
        if p.buffer:
            return
        flag, besides = s.memory[self.at["flag"]], p.registers.besides
        if s.memory[self.at["owner"]] != role + 1:  # given back already
            p = p._replace(registers=p.registers._replace(besides=0))
            yield from self.wake(s, role, p, ("wake", "mutex", 1))
        elif flag or besides:
            memory = self.changed(s.memory, {"owner": 0, "flag": flag & besides})
            yield s._replace(memory=memory)
        else:
            yield self.go_on(s, role, p, owner=0)

    def requeue(self, s: State, role: int, p: Process, step: Step) -> Iterator[State]:
        """FUTEX_CMP_REQUEUE, which wakes nobody; jump if nobody was there."""
        if p.buffer:
            return
        name, expected, to = (value(p.registers) if callable(value) else value for value in step[1:4])
        asleep = [i for i, q in enumerate(s.processes) if q.status == "sleeps" and q.word == name]
        if s.memory[self.at[name]] == expected and not asleep:
            yield self.go_to(s, role, p, step[4])
            return
        if s.memory[self.at[name]] == expected:
            for i in asleep:
                s = self.put(s, i, s.processes[i]._replace(word=to))
        yield self.go_on(s, role, p)

    def wake_some(self, s: State, role: int, p: Process, step: Step) -> Iterator[State]:
        """FUTEX_WAKE of one; jump if nobody was there."""
        name = step[1](p.registers)
        if any(q.status == "sleeps" and q.word == name for q in s.processes):
            yield from self.wake(s, role, p, ("wake", name, 1))
        elif not p.buffer:
            yield self.go_to(s, role, p, step[2])


MODEL = Model(
    "condition",
    OPERATIONS,
    HARMLESS,
    [
        Setting("1 waits, 1 notifies twice", partial(Condition, 1, 2), finds=True),
        Setting("2 wait, 1 notifies twice", partial(Condition, 2, 2)),
        Setting("2 wait, 1 notifies both", partial(Condition, 2, 1, 2)),
        Setting("2 wait, 1 notifies twice, deadlines", partial(Condition, 2, 2, slices=[1, 1, 0])),
        Setting("2 wait, 1 notifies both, deadlines", partial(Condition, 2, 1, 2, slices=[1, 1, 0])),
        Setting("2 wait, 1 notifies both, 1 death", partial(Condition, 2, 1, 2, crashes=1)),
        Setting("2 wait, 1 notifies, 1 death", partial(Condition, 2, 1, crashes=1)),
        Setting("2 wait, 1 notifies twice, 1 death", partial(Condition, 2, 2, crashes=1)),
    ],
)
