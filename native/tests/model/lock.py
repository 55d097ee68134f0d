"""The robust lock: acquire, spin, sleep, recover, release, abandon, each operation as in src/lock.c.

What must hold: nobody owns it while another one does, and each owner finds the protected data as the last one left it;
who acquires is told of a death if, and only if, an owner died and nobody has said since that all is consistent; a lock
that is lost is never owned again; an owner whose descriptors were closed by others is not taken for dead once its
record stands. What a thread owns another one of its member may abandon, when it closes the view: then one of the two
gives it back, and neither touches what is the next owner's.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from model.explorer import Model, Setting
from model.machine import Machine
from model.program import DIFFERS, LATE, WOKEN, Memory, Process, Violation, of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from model.program import Program, State, Step

OWNER, WAITERS, DIED, LOST = 7, 8, 16, 32
ALL = 99  # to wake

OPERATIONS = {
    "take": ("lock.c", "take", "word", "exchange", "acquire"),
    "leave": ("lock.c", "leave", "word", "exchange", "release"),
    "record.id": ("member.c", "ipk_member_record", "id", "store", "release"),
    "alive.id": ("member.c", "read_record", "id", "load", "acquire"),
}

HARMLESS = {
    "alive.id=relaxed": "the kernel, asked just before, says that the id has no lock: what its process had stored "
    "before it lost its descriptors is seen by then",
}


class Registers(NamedTuple):
    """What a thread remembers."""

    rounds: int = 1  # how often it still acquires
    word: int = 0
    keep: int = 0  # flags that the next take sets besides
    died: int = 0  # what it was told when it acquired
    item: int = 0
    slept: int = 0
    woken: int = 0  # in this call
    holder: int = 0  # the record beside the id, as loaded
    pid: int = 0


class Options(NamedTuple):
    """What the threads may do besides acquiring and releasing."""

    gives_up: bool = False  # when a slice is over, for its deadline has passed
    abandons: bool = False
    poisons: bool = False  # releases without saying that all is consistent
    records: bool = False  # the holder's record, for processes whose descriptors may be closed
    closes: bool = False  # another thread of the first one's member abandons what that owns
    blind: bool = False  # a mistake: it does not ask whether the other one was faster


def free(r: Registers) -> bool:
    """Whether the word, as last seen, is nobody's, and may be taken."""
    return not r.word & (OWNER | LOST)


class Thread(NamedTuple):
    """Who runs a program."""

    number: int
    member: int
    options: Options

    @property
    def id(self) -> int:
        """What the word says when it owns the lock: ipk_member_id."""
        return self.member + 1

    # What the model knows.

    def took(self, r: Registers, memory: Memory) -> dict[str, int]:
        """It has acquired."""
        if memory["owner"]:
            raise Violation("two own the lock")
        if memory["lost"]:
            raise Violation("a lost lock was acquired")
        if bool(r.died) != bool(memory["broken"]):
            raise Violation("a death was not told" if memory["broken"] else "a death was told twice, or without any")
        return {"owner": self.number + 1}

    def left(self, next_: Callable[[Registers], int], r: Registers, memory: Memory) -> dict[str, int]:
        """It has put this in the place of its id."""
        if memory["owner"] != self.number + 1:
            raise Violation("released by one who does not own it")
        word = next_(r)
        if bool(word & LOST) != bool(memory["broken"]) and word != DIED:
            raise Violation("a lock is lost without a death, or not lost after one")
        return {"owner": 0, "broken": int(word == DIED), "lost": int(word & LOST > 0)}

    # The functions of src/lock.c.

    def take(self, flags: Callable[[Registers], int], otherwise: str, expected: Callable[[Registers], int]) -> Program:
        """Exchange word for our id, and go to "own"."""
        return [
            ("cas", "take", "word", expected, lambda r: self.id | flags(r), "word", otherwise),
            ("set", "died", lambda r: flags(r) & DIED),
            ("ghost", self.took),
            ("goto", "own"),
        ]

    def take_free(self, at: str) -> Program:
        """Take it while it is free, with the flags in `keep`; else go on."""
        return [
            ("load", "relaxed", "word", "word"),
            f"{at}.look", ("unless", free, f"{at}.busy"),
            *self.take(lambda r: r.word & ~OWNER | r.keep, f"{at}.look", lambda r: r.word),
            f"{at}.busy", ("if", lambda r: r.word & LOST, "close"),
        ]  # fmt: skip

    def announce(self, at: str) -> Program:
        """Say that somebody may sleep, while it is owned."""
        return [
            ("load", "relaxed", "word", "word"),
            f"{at}.look", ("unless", lambda r: r.word & OWNER and not r.word & WAITERS, f"{at}.announced"),
            ("cas", "relaxed", "word", lambda r: r.word, lambda r: r.word | WAITERS, "word", f"{at}.look"),
            ("set", "word", lambda r: r.word | WAITERS),
            f"{at}.announced",
        ]  # fmt: skip

    def alive(self, otherwise: str) -> Program:
        """Go on if the owner of the word is dead: ipk_member_alive()."""
        if not self.options.records:
            return [("alive", lambda r: (r.word & OWNER) - 1, otherwise)]
        return [
            ("alive", lambda r: (r.word & OWNER) - 1, otherwise),
            ("load", "alive.id", "holder.id", "holder"),
            ("unless", lambda r: r.holder == r.word & OWNER, "recover.dead"),
            ("load", "relaxed", "holder.pid", "pid"),
            ("runs", lambda r: r.pid - 1, otherwise),
            "recover.dead",
        ]

    def own(self) -> Program:
        """Say who owns it."""
        record: Program = [
            ("load", "relaxed", "holder.id", "holder"),
            ("if", lambda r: r.holder == self.id, "own.recorded"),
            ("store", "relaxed", "holder.id", 0),
            ("store", "relaxed", "holder.pid", self.member + 1),
            ("store", "record.id", "holder.id", self.id),
            "own.recorded",
        ]
        return [*(record if self.options.records else []), ("store", "relaxed", "thread", self.number + 1)]

    def disown(self, otherwise: str) -> Program:
        """Clear the thread's word, if it still names us."""
        return [
            ("load", "relaxed", "word", "word"), ("unless", lambda r: r.word & OWNER == self.id, otherwise),
            ("store", "relaxed", "thread", 0) if self.options.blind else
            ("cas", "relaxed", "thread", self.number + 1, 0, "word", otherwise),
        ]  # fmt: skip

    def leave(self, at: str, next_: Callable[[Registers], int]) -> Program:
        """Give it back, and wake one, or all if it is lost; "robbed" if it is not ours."""
        return [
            *self.disown("robbed"),
            ("load", "relaxed", "word", "word"),
            f"{at}.again",
            ("check", lambda r: r.word & OWNER == self.id, "a living owner was robbed"),
            ("cas", "leave", "word", lambda r: r.word, next_, "word", f"{at}.again"),
            ("ghost", partial(self.left, next_)),
            ("unless", lambda r: r.word & WAITERS, f"{at}.left"),
            ("wake", "word", lambda r: ALL if next_(r) & LOST else 1),
            f"{at}.left",
        ]

    def acquire(self) -> Program:
        """Go to "own" with the lock, or to "close" without it, because it is lost, or for the deadline."""
        return [
            ("set", "keep", 0),
            # ipk_lock_try
            *self.take(lambda _: 0, "try.held", lambda _: 0),
            "try.held", ("if", lambda r: r.word & OWNER, "wait"),
            *self.take_free("try"),
            # ipk_lock_wait
            "wait", ("set", "keep", 0),
            *self.take_free("wait.first"),
            ("load", "relaxed", "word", "word"), ("unless", free, "sleep"),
            *self.take_free("spin"),
            # sleep_on
            "sleep", ("set", "slept", DIFFERS), *self.announce("sleep"),
            ("unless", lambda r: r.word & OWNER, "awake"), ("sleep", "word", lambda r: r.word),
            "awake", ("set", "keep", WAITERS), ("set", "woken", lambda r: r.woken or int(r.slept == WOKEN)),
            *self.take_free("awake"),
            ("if", lambda r: r.slept == LATE, "late"), ("late", "sleep"),
            # the slice is over
            "late", ("set", "slept", 0), ("unless", lambda r: r.woken, "recover"),
            "leave", *self.announce("leave"), ("if", lambda r: r.word & OWNER, "recover"),
            *self.take_free("leave.free"), ("goto", "leave"),
            "recover", ("set", "woken", 0),
            ("load", "relaxed", "word", "word"), ("set", "item", lambda r: r.word),
            *self.take_free("recover"),
            ("set", "word", lambda r: r.item), ("set", "item", 0),
            ("unless", lambda r: r.word & OWNER, "over"),
            *self.alive("over"),
            ("set", "item", lambda r: r.word & OWNER),
            "recover.take",
            *self.take(lambda r: r.word & ~OWNER | DIED | r.keep, "recover.lost", lambda r: r.word),
            "recover.lost", ("if", lambda r: r.word & OWNER == r.item, "recover.take"),
            "over", ("set", "item", 0), ("set", "holder", 0), ("set", "pid", 0),
            *([("choose", "wait")] if self.options.gives_up else [("goto", "wait")]), ("goto", "close"),
            "own", ("set", "item", 0), ("set", "slept", 0), ("set", "woken", 0), *self.own(),
        ]  # fmt: skip

    def program(self) -> Program:
        """Acquire, use and release it, so many times."""
        closed = self.options.closes and self.number == 0  # it knows that it may be closed, and changes nothing
        use: Program = [
            ("load", "plain", "data", "item"), ("ghost", intact), ("store", "plain", "data", lambda r: r.item + 1),
            ("ghost", lambda r, _: {"stored": r.item + 1}), ("set", "item", 0),
        ]  # fmt: skip
        return [
            "next", *self.acquire(), *([] if closed else use),
            *([("choose", "abandon")] if self.options.abandons else []),
            ("unless", lambda r: r.died, "release"),
            *([("choose", "release")] if self.options.poisons else []),
            ("rmw", "relaxed", "word", lambda _, old: old & ~DIED, "word"), ("ghost", lambda _r, _m: {"broken": 0}),
            "release", ("load", "relaxed", "word", "word"), ("set", "died", lambda r: r.word & DIED),
            *self.leave("release", lambda r: LOST if r.died else 0), ("goto", "done"),
            *(["abandon", *self.leave("abandon", lambda _: DIED)] if self.options.abandons else []),
            "done", ("set", "rounds", lambda r: r.rounds - 1), ("set", "died", 0), ("set", "word", 0),
            ("if", lambda r: r.rounds, "next"), ("goto", "close"),
            "robbed", *([("goto", "done")] if closed else [("check", lambda _: False, "a living owner was robbed")]),
            "close", ("end",),
        ]  # fmt: skip

    def closing(self) -> Program:
        """Abandon what the thread of this number owns."""
        return [
            ("load", "relaxed", "thread", "item"), ("unless", lambda r: r.item == self.number + 1, "robbed"),
            ("set", "item", 0), *self.leave("abandon", lambda _: DIED),
            "robbed", ("set", "item", 0), ("end",),
        ]  # fmt: skip


def intact(r: Registers, memory: Memory) -> None:
    """What the last owner stored must be there."""
    if r.item != memory["stored"]:
        raise Violation("an owner does not see what the last one did")


class Lock(Machine):
    """Processes that all use one lock. Of `strips` owners others may close the descriptors."""

    def __init__(
        self,
        rounds: list[int],
        *,
        crashes: int = 0,
        slices: Sequence[int] = (0, 0, 0),
        strips: int = 0,
        early: bool = False,
        **more: bool,
    ) -> None:
        options = Options(records=strips > 0, **more)
        names = ["word", "thread", "data", "owner", "broken", "lost", "stored", "holder.id", "holder.pid", "stripped"]
        processes = [
            (Thread(number, number, options).program(), Process(Registers(rounds=some), slices=its_slices))
            for number, (some, its_slices) in enumerate(zip(rounds, slices, strict=False))
        ]
        if options.closes:
            processes.append((Thread(0, 0, options).closing(), Process(Registers())))
        super().__init__(processes, dict.fromkeys(names, 0) | {"strips": strips}, crashes)
        self.members[len(rounds) :] = [0] * options.closes
        self.speculates = early

    def died(self, member: int, memory: Memory) -> dict[str, int]:
        """What it protects may be half changed, if the member owned it."""
        owns = memory["owner"] and self.members[memory["owner"] - 1] == member
        return {"owner": 0, "broken": 1} if owns else {}

    def successors(self, s: State) -> Iterator[State]:
        """Also that others close the descriptors of an owner whose record stands, and who will not acquire again."""
        yield from super().successors(s)
        memory = Memory(self.at, s.memory)
        if memory["strips"] and memory["owner"] and memory["holder.id"] == memory["owner"]:
            yield s._replace(memory=self.changed(s.memory, {"strips": 0, "stripped": memory["owner"]}))

    def locked(self, s: State, member: int) -> bool:
        """Whether it still has the lock of its id."""
        return super().locked(s, member) and Memory(self.at, s.memory)["stripped"] != member + 1

    def runs(self, s: State, role: int, p: Process, step: Step) -> Iterator[State]:
        """Ask /proc whether the process of a record runs, and jump if so."""
        if super().locked(s, of(step[1], p.registers)):
            yield self.go_to(s, role, p, step[2])
        else:
            yield self.go_on(s, role, p)


MODEL = Model(
    "lock",
    OPERATIONS,
    HARMLESS,
    [
        Setting("2 threads, loads ahead", partial(Lock, [1, 2], early=True), finds=True),
        Setting("3 threads once", partial(Lock, [1, 1, 1])),
        Setting("3 threads, a deadline", partial(Lock, [2, 1, 1], slices=[0, 1, 0], gives_up=True)),
        Setting("2 threads, 1 death", partial(Lock, [1, 2], crashes=1, abandons=True, poisons=True)),
        Setting("3 threads, 1 death", partial(Lock, [1, 1, 1], crashes=1)),
        Setting("3 threads, 2 deaths", partial(Lock, [1, 1, 1], crashes=2)),
        Setting("2 threads, descriptors closed", partial(Lock, [1, 1], slices=[1, 1], strips=1), finds=True),
        Setting("2 threads, descriptors closed, 1 death", partial(Lock, [1, 1], crashes=1, strips=1)),
        Setting("2 threads, one's view is closed", partial(Lock, [1, 2], closes=True)),
        Setting("2 threads, one's view is closed, 1 death", partial(Lock, [1, 1], crashes=1, closes=True)),
    ],
    [Setting("2 threads, one's view is closed, and both give back", partial(Lock, [1, 2], closes=True, blind=True))],
)
