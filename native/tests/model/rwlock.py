"""The lock of readers and writers, each operation as in src/rwlock_*.c and src/holders.c.

The lock among writers is one step here: lock.py has its protocol. What must hold: nobody reads while another one
writes, and each finds what the last writer left; who is not told of a death finds nothing half-changed; nobody is told
without a death; nobody sleeps through the end of what he waits for.
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

WRITER, WAITERS, DIED = 7, 8, 16
PASSED = 99
ALL = 99  # to wake

OPERATIONS = {
    "add": ("holders.c", "ipk_holders_add", "word", "exchange", "seq_cst"),
    "sub": ("holders.c", "ipk_holders_sub", "word", "exchange", "seq_cst"),
    "sum": ("holders.c", "ipk_holders_sum", "word", "load", "seq_cst"),
    "used": ("holders.h", "ipk_holders_used", "used", "load", "seq_cst"),
    "raise": ("holders.c", "raise_used", "used", "exchange", "seq_cst"),
    "bury": ("holders.c", "ipk_holders_bury_one", "word", "exchange", "seq_cst"),
    "shut": ("rwlock_gate.c", "ipk_rwlock_shut", "gate", "exchange", "seq_cst"),
    "open": ("rwlock_gate.c", "ipk_rwlock_open", "gate", "exchange", "release"),
    "open.dead": ("rwlock_gate.c", "ipk_rwlock_open_for_dead", "gate", "exchange", "release"),
    "enter.gate": ("rwlock_read.c", "enter", "gate", "load", "seq_cst"),
    "wake.asleep": ("rwlock_gate.c", "ipk_rwlock_wake_writer", "asleep", "load", "seq_cst"),
    "wait.waiting": ("rwlock_read.c", "ipk_rwlock_read_wait", "waiting", "exchange", "release"),
    "done.waiting": ("rwlock_read.c", "ipk_rwlock_read_wait", "waiting", "exchange", "seq_cst"),
    "elder.waiting": ("rwlock_write.c", "elder", "waiting", "load", "seq_cst"),
    "sleep.asleep": ("rwlock_write.c", "sleep_for_readers", "asleep", "store", "seq_cst"),
}


BURIAL = "the writer that buries sums up by itself after that; and what the dead one did, the kernel orders"
BEFORE_COUNTING = (
    "the reader counts itself after that, by an exchange that releases; C11 alone wants both to be seq_cst"
)
AFTER_USED = "the load of `used`, before it, is seq_cst: no count is read ahead of that"
HARMLESS = {
    "sum=acquire": AFTER_USED,
    "sum=relaxed": AFTER_USED,
    "wait.waiting=relaxed": "what it orders tells a reader that has waited for long from one that has just come: "
    "turns, not exclusion",
    "raise=acq_rel": BEFORE_COUNTING,
    "raise=relaxed": BEFORE_COUNTING,
    "bury=acq_rel": BURIAL,
    "bury=relaxed": BURIAL,
    "open.dead=relaxed": "what the dead writer stored is in memory when the kernel says that he is dead, and there it "
    "is the same for all, on this machine as on x86 and AArch64; C11 alone wants it handed on",
}


class Registers(NamedTuple):
    """What a process remembers."""

    rounds: int = 1
    word: int = 0  # the gate
    flag: int = 0
    phase: int = 0
    since: int = 0
    told: int = 0
    item: int = 0
    slept: int = 0
    hindered: int = 0
    used: int = 0  # entries of the table


class Reader(NamedTuple):
    """It reads, so many times. Its entry of the table has its number."""

    number: int
    gives_up: bool

    def wake_writer(self, at: str) -> Program:
        """Wake the lock's owner, if he sleeps until we are out or in."""
        return [
            ("load", "wake.asleep", "asleep", "flag"), ("unless", lambda r: r.flag, f"{at}.awake"),
            ("rmw", "relaxed", "asleep", lambda _r, _old: 0, "flag"), ("unless", lambda r: r.flag, f"{at}.awake"),
            ("wake", "asleep", 1), f"{at}.awake", ("set", "flag", 0),
        ]  # fmt: skip

    def count_less(self, at: str) -> Program:
        """Take the count back."""
        return [("rmw", "sub", f"count{self.number}", lambda _, old: old - 1, "flag"), *self.wake_writer(at)]

    def enter(self, at: str, into: str) -> Program:
        """Count, look at the gate, and jump; or take the count back, and go on."""
        return [
            ("rmw", "add", f"count{self.number}", lambda _, old: old + 1, "flag"), ("set", "flag", 0),
            ("load", "enter.gate", "gate", "word"), ("unless", lambda r: r.word & WRITER, into),
            *self.count_less(at),
        ]  # fmt: skip

    def enter_if_open(self, at: str) -> Program:
        """The same, without a count that would wake the writer for nothing."""
        return [
            ("load", "relaxed", "gate", "word"), ("if", lambda r: r.word & WRITER, f"{at}.shut"),
            *self.enter(at, "waited"), f"{at}.shut",
        ]  # fmt: skip

    def open_for_dead(self) -> Program:
        """Open the gate that a dead writer has shut."""
        return [
            ("load", "relaxed", "gate", "word"), ("unless", lambda r: r.word & WRITER, "dead.not"),
            ("set", "item", lambda r: r.word & WRITER),
            ("alive", lambda r: r.item - 1, "dead.not"),
            ("load", "relaxed", "changing", "told"),
            ("rmw", "relaxed", "phase", lambda _, old: old + 1, "flag"), ("set", "flag", 0),
            "dead.again", ("unless", lambda r: r.word & WRITER == r.item, "dead.not"),
            ("cas", "open.dead", "gate", lambda r: r.word, lambda r: DIED if r.told else 0, "word", "dead.again"),
            ("unless", lambda r: r.word & WAITERS, "dead.not"), ("wake", "gate", ALL),
            "dead.not", ("set", "item", 0), ("set", "told", 0),
        ]  # fmt: skip

    def program(self) -> Program:
        """Try, wait, read, release."""
        waiting, since = f"waiting{self.number}", f"since{self.number}"
        return [
            # ipk_holders_claim
            ("rmw", "raise", "used", lambda _, old: max(old, self.number + 1), "flag"), ("set", "flag", 0),
            "next", *self.enter("try", "in"),
            # ipk_rwlock_read_wait
            ("load", "relaxed", "phase", "phase"), ("store", "relaxed", since, lambda r: r.phase), ("set", "phase", 0),
            ("rmw", "wait.waiting", waiting, lambda _, old: old + 1, "flag"), ("set", "flag", 0),
            *self.enter_if_open("first"),
            # sleep_at_gate
            "sleep", ("load", "relaxed", "gate", "word"),
            "look", ("if", lambda r: r.word & WAITERS, "announced"), ("unless", lambda r: r.word & WRITER, "awake"),
            ("cas", "relaxed", "gate", lambda r: r.word, lambda r: r.word | WAITERS, "word", "look"),
            ("set", "word", lambda r: r.word | WAITERS),
            "announced", ("unless", lambda r: r.word & WRITER, "awake"), ("sleep", "gate", lambda r: r.word),
            "awake", *self.enter_if_open("again"),
            ("if", lambda r: r.slept == LATE, "late"), ("set", "slept", 0), ("late", "sleep"),
            "late", ("set", "slept", 0), *self.open_for_dead(), *self.enter_if_open("last"),
            *([("goto", "gone")] if self.gives_up else [("goto", "sleep")]),
            "gone", ("set", "rounds", 0),
            ("rmw", "done.waiting", waiting, lambda _, old: old - 1, "flag"), *self.wake_writer("gone"), ("end",),
            "waited", ("set", "slept", 0), ("set", "told", lambda r: r.word & DIED),
            ("rmw", "done.waiting", waiting, lambda _, old: old - 1, "flag"), *self.wake_writer("waited"),
            ("goto", "read"),
            "in", ("set", "told", lambda r: r.word & DIED),
            "read", ("ghost", told),
            ("load", "plain", "one", "item"), ("ghost", whole), ("load", "plain", "two", "item"), ("ghost", whole),
            ("set", "item", 0), ("set", "told", 0), ("set", "word", 0),
            *self.count_less("done"),
            ("set", "rounds", lambda r: r.rounds - 1), ("if", lambda r: r.rounds, "next"), ("end",),
        ]  # fmt: skip


class Writer(NamedTuple):
    """It writes, so many times."""

    number: int  # after those of the readers
    readers: int
    gives_up: bool

    def elders_outside(self, at: str) -> Program:
        """Whether readers that wait since an earlier phase are still outside."""
        steps: Program = [("set", "hindered", 0)]
        for i in range(self.readers):
            steps += [
                ("load", "elder.waiting", f"waiting{i}", "flag"), ("unless", lambda r: r.flag, f"{at}.{i}"),
                ("load", "relaxed", f"since{i}", "since"), ("load", "relaxed", "phase", "phase"),
                ("set", "hindered", lambda r: int(r.hindered or r.since not in {PASSED, r.phase})),
                f"{at}.{i}", ("set", "since", 0), ("set", "phase", 0), ("set", "flag", 0),
            ]  # fmt: skip
        return steps

    def sum(self, at: str) -> Program:
        """Whether anybody is counted."""
        steps: Program = [("set", "hindered", 0), ("load", "used", "used", "used")]
        for i in range(self.readers):
            steps += [
                ("unless", partial(lambda i, r: r.used > i, i), f"{at}.end"),
                ("load", "sum", f"count{i}", "flag"), ("set", "hindered", lambda r: int(r.hindered or r.flag > 0)),
            ]  # fmt: skip
        return [*steps, f"{at}.end", ("set", "flag", 0), ("set", "used", 0)]

    def bury(self) -> Program:
        """Take off what dead readers have counted."""
        steps: Program = []
        for i in range(self.readers):
            steps += [
                ("load", "relaxed", f"count{i}", "flag"), ("unless", lambda r: r.flag, f"bury.{i}"),
                ("alive", i, f"bury.{i}"),
                ("cas", "bury", f"count{i}", lambda r: r.flag, 0, "flag", f"bury.{i}"),
                f"bury.{i}", ("set", "flag", 0),
            ]  # fmt: skip
        return steps

    def pass_over(self) -> Program:
        """Elders that have not come for a slice, or are dead."""
        steps: Program = []
        for i in range(self.readers):
            steps += [("store", "relaxed", f"since{i}", PASSED)]
        return steps

    def wait_for_readers(self, at: str, looks: list[Program]) -> Program:
        """Sleep until nobody hinders us any more; go on at "<at>.late" when the slice is over."""
        hindered, again, last = looks
        return [
            *hindered, ("unless", lambda r: r.hindered, f"{at}.past"),
            f"{at}.sleep", ("store", "sleep.asleep", "asleep", 1),
            *again, ("if", lambda r: r.hindered, f"{at}.doze"),
            ("store", "relaxed", "asleep", 0), ("goto", f"{at}.past"),
            f"{at}.doze", ("sleep", "asleep", 1),
            *last,
            ("unless", lambda r: r.hindered, f"{at}.past"),
            ("if", lambda r: r.slept == LATE, f"{at}.late"), ("goto", f"{at}.sleep"),
        ]  # fmt: skip

    def leave(self, at: str) -> Program:
        """Open the gate, if it is shut, and give the lock back."""
        return [
            ("load", "relaxed", "gate", "word"), ("unless", lambda r: r.word & WRITER, f"{at}.unlock"),
            ("rmw", "relaxed", "phase", lambda _, old: old + 1, "flag"), ("set", "flag", 0),
            ("rmw", "open", "gate", lambda r, _: DIED if r.told else 0, "word"),
            ("unless", lambda r: r.word & WAITERS, f"{at}.unlock"), ("wake", "gate", ALL),
            f"{at}.unlock", ("unlock", lambda r: r.told),
        ]  # fmt: skip

    def program(self) -> Program:
        """Lock, let elders in, shut, wait, write, open, unlock."""
        me = self.number + 1
        return [
            "next", ("lock",),
            # begin: it had changed nothing, or had finished
            ("unless", lambda r: r.told, "begun"), ("load", "relaxed", "changing", "flag"),
            ("if", lambda r: r.flag, "begun"), ("set", "told", 0), "begun", ("set", "flag", 0),
            ("load", "relaxed", "gate", "word"), ("if", lambda r: r.word & WRITER, "elders.past"),
            *self.wait_for_readers("elders", [self.elders_outside(at) for at in ("first", "again", "last")]),
            "elders.late", ("set", "slept", 0), *self.pass_over(),
            "elders.past", ("set", "slept", 0), ("set", "hindered", 0),
            ("load", "relaxed", "gate", "word"), ("if", lambda r: r.word & WRITER == me, "shut"),
            ("load", "relaxed", "gate", "word"),
            "shut.again",
            ("cas", "shut", "gate", lambda r: r.word, lambda r: r.word & WAITERS | me | r.told, "word", "shut.again"),
            "shut", ("set", "word", 0),
            *self.wait_for_readers("readers", [self.sum(at) for at in ("sum", "resum", "lastsum")]),
            "readers.late", ("set", "slept", 0), *self.bury(), *self.sum("buried"),
            *([("if", lambda r: r.hindered, "given.up")] if self.gives_up else [("if", lambda r: r.hindered, "shut")]),
            "readers.past", ("set", "slept", 0), ("set", "hindered", 0),
            # grant
            ("store", "relaxed", "changing", 1), ("ghost", told),
            ("load", "plain", "one", "item"), ("ghost", whole), ("load", "plain", "two", "item"), ("ghost", whole),
            ("store", "plain", "one", lambda r: r.item + 1), ("store", "plain", "two", lambda r: r.item + 1),
            ("ghost", lambda r, _: {"version": r.item + 1}), ("set", "item", 0),
            # consistent, release
            ("unless", lambda r: r.told, "whole"), ("set", "told", 0),
            ("rmw", "relaxed", "gate", lambda _, old: old & ~DIED, "word"), ("set", "word", 0),
            "whole", ("store", "relaxed", "changing", 0),
            *self.leave("done"), ("set", "word", 0),
            ("set", "rounds", lambda r: r.rounds - 1), ("if", lambda r: r.rounds, "next"), ("end",),
            *(["given.up", *self.leave("given"), ("end",)] if self.gives_up else []),
        ]  # fmt: skip


def told(r: Registers, memory: Memory) -> None:
    """It is told of a death only if there was one."""
    if r.told and not memory["deaths"]:
        raise Violation("a death is told, and there was none")


def whole(r: Registers, memory: Memory) -> None:
    """What the last writer left is there, and all of it."""
    if not r.told and r.item != memory["version"]:
        raise Violation("what is read is half-changed, or old")


class RWLock(Guarded):
    """Readers, then writers."""

    def __init__(
        self,
        reads: Sequence[int],
        writes: Sequence[int],
        *,
        crashes: int = 0,
        slices: Sequence[int] = (0, 0, 0),
        early: bool = False,
    ) -> None:
        n = len(reads)
        programs = [
            (Reader(i, slices[i] > 0).program(), Process(Registers(rounds=some), slices=slices[i]))
            for i, some in enumerate(reads)
        ] + [
            (Writer(n + i, n, slices[n + i] > 0).program(), Process(Registers(rounds=some), slices=slices[n + i]))
            for i, some in enumerate(writes)
        ]
        names = ["gate", "phase", "asleep", "changing", "one", "two", "version", "deaths", "owner", "left", "used"]
        own = [f"{kind}{i}" for kind in ("count", "waiting", "since") for i in range(n)]
        super().__init__(programs, dict.fromkeys(names + own, 0), crashes)
        self.speculates = early

    def died(self, member: int, memory: Memory) -> dict[str, int]:
        """A writer's death may be told; and where it was amid a change, what it left is anything."""
        return {"deaths": 1} if memory["owner"] == member + 1 else {}

    def entered(self, s: State, p: Process, *, dead: bool) -> Process:
        """It is told if the last owner died, or left as if he had."""
        told = DIED if dead or s.memory[self.at["left"]] else 0
        return p._replace(registers=p.registers._replace(told=told))

    def unlock(self, s: State, role: int, p: Process, step: Step) -> Iterator[State]:
        """Give it back; as if we had died, if we were told of a death and have not put that right."""
        if not p.buffer:
            yield self.go_on(s, role, p, owner=0, left=int(bool(step[1](p.registers))))


MODEL = Model(
    "rwlock",
    OPERATIONS,
    HARMLESS,
    [
        Setting("1 reads, 1 writes, loads ahead", partial(RWLock, [1], [1], early=True), finds=True),
        Setting("1 reads twice, 1 writes twice", partial(RWLock, [2], [2])),
        Setting("1 reads, 1 writes twice", partial(RWLock, [1], [2]), finds=True),
        Setting("2 read, 1 writes", partial(RWLock, [1, 1], [1])),
        Setting("1 reads, 2 write", partial(RWLock, [1], [1, 1])),
        Setting("1 reads, 1 writes twice, deadlines", partial(RWLock, [1], [2], slices=[1, 1]), finds=True),
        Setting("1 reads, 1 writes, 1 death", partial(RWLock, [1], [1], crashes=1)),
        Setting("1 reads, 2 write, 1 death", partial(RWLock, [1], [1, 1], crashes=1)),
    ],
)
