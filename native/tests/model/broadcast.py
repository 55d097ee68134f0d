"""The ring of which each reader sees all, where no writer waits for readers; each operation as in src/broadcast*.

What must hold: a message that a reader takes is whole, and the next one; who was passed is told exactly how many it
lost, and goes on; who comes late gets messages that are retained, or begins at the end; nobody takes honest writers
for broken ones; the end is told only after the last message; nobody sleeps on when there is a message, or an end.
What a writer leaves that is killed at any step, the next one goes on with. The lock is one step, and so is burying:
lock.py and roster.py have their protocols.
"""

from __future__ import annotations

from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from model.explorer import Model, Setting
from model.guarded import Guarded
from model.program import LATE, Memory, Process, State, Violation, of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from model.program import Program, Step

CAPACITY = 6  # words
SIZES = [3, 2] * 8  # of the messages, in words: two of the header, and perhaps one more
STARTS = [0, *accumulate(SIZES)]
CLOSED, DIED = 1, 2  # how the last writer went
OPEN, DEAD = 1, 2  # of a role: somebody's; one's who has died and is not yet buried
ANY, ONE_TIME = 1, 2  # of the sleepers' word
ALL = 99  # to wake

OPERATIONS = {
    "drop.oldest": ("broadcast_log.c", "drop", "position", "store", "seq_cst"),
    "reserve.oldest": ("broadcast_send.c", "ipk_broadcast_try_reserve", "position", "load", "seq_cst"),
    "send.word": ("broadcast_side.h", "store_word", "at", "store", "release"),
    "commit.tail": ("broadcast_send.c", "ipk_broadcast_show", "position", "store", "seq_cst"),
    "commit.last": ("broadcast_send.c", "ipk_broadcast_show", "last", "store", "release"),
    "find.last": ("broadcast_log.c", "ipk_broadcast_find_end", "tail.last", "load", "acquire"),
    "find.tail": ("broadcast_log.c", "ipk_broadcast_find_end", "tail.position", "load", "acquire"),
    "look.tail": ("broadcast_receive.c", "ipk_broadcast_look", "tail.position", "load", "acquire"),
    "look.word": ("broadcast_side.h", "load_word", "at", "load", "acquire"),
    "catch.oldest": ("broadcast_receive.c", "ipk_broadcast_catch_up", "position", "load", "acquire"),
    "roused.tail": ("broadcast_wait.c", "ready", "tail", "load", "seq_cst"),
}

AFTER_ANNOUNCING = (
    "the announcement just before it, a seq_cst exchange, is out before what follows, on every machine that we know; "
    "C11 promises it only among seq_cst operations"
)
HARMLESS = {
    "commit.tail=release": (
        "the lock is given back, by an exchange that releases, before the writer looks for sleepers for the last time; "
        "broadcast_block has the writer that keeps it, and finds this"
    ),
    "roused.tail=acquire": AFTER_ANNOUNCING,
    "roused.tail=relaxed": AFTER_ANNOUNCING,
}


class Registers(NamedTuple):
    """What a process remembers."""

    n: int = 0  # the message that it writes, or receives, next
    oldest: int = 0
    seen: int = 0  # the tail
    now: int = 0  # what it has just loaded
    item: int = 0
    left: int = 0  # how many older messages a late reader still wants
    flag: int = 0  # the sleepers' word
    slept: int = 0
    joined: bool = False


def target(n: int) -> int:
    """The first message that need not go for message n."""
    return next(i for i in range(n + 1) if STARTS[n + 1] - STARTS[i] <= CAPACITY)


def word(n: int, i: int) -> str:
    """Where a word of message n lies. In each of them is n + 1."""
    return f"data{(STARTS[n] + i) % CAPACITY}"


def wake(name: str, sleepers: str = "readers") -> Program:
    """Wake all that sleep, as ipk_sleepers_wake_all does."""
    return [
        ("load", "seq_cst", sleepers, "flag"), ("unless", lambda r: r.flag & ANY, f"{name}.woken"),
        ("cas", "relaxed", sleepers, lambda r: r.flag, lambda r: (r.flag + ONE_TIME) & ~ANY, "flag", f"{name}.woken"),
        ("wake", sleepers, ALL),
        f"{name}.woken", ("set", "flag", 0),
    ]  # fmt: skip


def announce(sleepers: str) -> Program:
    """Say that one is about to sleep."""
    return [
        ("rmw", "seq_cst", sleepers, lambda _r, old: old | ANY, "flag"), ("set", "flag", lambda r: r.flag | ANY),
    ]  # fmt: skip


def fill(operation: str, words: range) -> Program:
    """Write some words of message n."""
    steps: Program = []
    for i in words:
        label = f"filled {i}"
        steps += [
            ("unless", lambda r, i=i: i < SIZES[r.n], label),
            ("store", operation, lambda r, i=i: word(r.n, i), lambda r: r.n + 1), label,
        ]  # fmt: skip
    return steps


def lossy_room(*, look: bool = False) -> Program:
    """Move `oldest` out of the way. look: for code of the user's that will write there."""
    return [
        ("if", lambda r: r.oldest >= target(r.n), "room"), ("set", "oldest", lambda r: target(r.n)),
        ("store", "drop.oldest", "oldest", lambda r: r.oldest), "room",
        *([("load", "reserve.oldest", "oldest", "now"), ("set", "now", 0)] if look else []),
    ]  # fmt: skip


COPIED = [*lossy_room(), *fill("send.word", range(3))]
IN_PLACE = [*lossy_room(look=True), *fill("relaxed", range(2, 3)), *fill("send.word", range(2))]
LATE_DROP = [*fill("send.word", range(3)), *lossy_room()]  # a mistake


def writer(me: int, messages: int, append: Program, *, at_once: int = 1, hasty: bool = False) -> Program:
    """It writes what is missing, and leaves. at_once: with the lock; hasty: the mistake to say first which is last."""
    commit: Program = [
        ("store", "commit.tail", "tail", lambda r: r.n + 1), ("store", "commit.last", "last", lambda r: r.n),
    ]  # fmt: skip
    more: Program = [
        ("set", "n", lambda r: r.n + 1), ("if", lambda r: r.n % at_once == 0 or r.n == messages, "enough"),
        *wake("amid"), ("goto", "append"), "enough",
    ]  # fmt: skip
    return [
        ("rmw", "seq_cst", f"writer{me}", lambda _r, _old: OPEN, "now"), ("set", "now", 0),
        "next", ("lock",), ("if", lambda r: r.n == messages, "leave"),
        "append", *append, *(commit[::-1] if hasty else commit), *(more if at_once > 1 else []),
        ("set", "n", 0), ("set", "oldest", 0), ("unlock",), *wake("sent"), ("goto", "next"),
        "leave", ("unlock",), ("store", "seq_cst", "end", CLOSED),
        ("rmw", "seq_cst", f"writer{me}", lambda _r, _old: 0, "now"), *wake("left"), ("end",),
    ]  # fmt: skip


def find_end(history: int) -> Program:
    """Where the next message goes, and then back over some."""

    def verified(r: Registers) -> bool:
        return r.now == r.item == r.seen + 1

    broken = "an honest writer is taken for a broken one"
    header: Program = [
        ("load", "look.word", lambda r: word(r.seen, 0), "now"),
        ("load", "look.word", lambda r: word(r.seen, 1), "item"),
    ]
    return [
        "find", ("set", "item", 0), ("load", "find.last", "last", "seen"), ("load", "find.tail", "tail", "n"),
        "follow", ("if", lambda r: r.seen == r.n, "found"), ("check", lambda r: r.seen < r.n, broken),
        *header, ("load", "relaxed", "oldest", "oldest"), ("if", lambda r: r.seen < r.oldest, "find"),
        ("check", verified, broken), ("set", "seen", lambda r: r.seen + 1), ("goto", "follow"),
        "found", ("check", lambda r: r.item == r.n, "who comes late counts from a wrong number"),
        ("set", "left", history),
        "back", ("unless", lambda r: r.left and r.n, "begin"), ("set", "seen", lambda r: r.n - 1),
        ("load", "relaxed", "oldest", "oldest"), ("if", lambda r: r.seen < r.oldest, "begin"),
        *header, ("load", "relaxed", "oldest", "oldest"), ("if", lambda r: r.seen < r.oldest, "begin"),
        ("check", verified, broken),
        ("set", "n", lambda r: r.seen), ("set", "left", lambda r: r.left - 1), ("goto", "back"),
        "begin", ("set", "left", 0), ("set", "seen", lambda r: r.n), ("set", "joined", True),
    ]  # fmt: skip


def lossy_copy(*, trusting: bool, cut_off: bool) -> Program:
    """Copy message n, which was complete once. trusting: the mistake not to look at `oldest` afterwards."""

    def right(r: Registers) -> bool:
        return r.now == r.item == r.n + 1

    passed: Program = [
        ("load", "relaxed", "oldest", "oldest"), ("if", lambda r: r.n < r.oldest, "passed"), ("set", "oldest", 0),
    ]  # fmt: skip
    return [
        ("load", "look.word", lambda r: word(r.n, 0), "now"), ("load", "look.word", lambda r: word(r.n, 1), "item"),
        *passed, ("check", right, "a message is torn, skipped, or there twice"),
        ("unless", lambda r: SIZES[r.n] > 2, "copied"), ("load", "look.word", lambda r: word(r.n, 2), "now"),
        *([] if trusting else passed), ("check", right, "a message is torn"),
        "copied", ("set", "n", lambda r: r.n + 1), ("goto", "receive"),
        "passed", ("set", "now", 0), ("load", "catch.oldest", "oldest", "seen"),
        ("load", "look.word", lambda r: word(r.seen, 1), "item"),
        ("load", "relaxed", "oldest", "oldest"), ("if", lambda r: r.seen < r.oldest, "receive"),
        ("check", lambda r: r.item == r.seen + 1, "what was lost is counted wrongly"),
        ("check", lambda r: r.n < r.seen, "a gap is told, and nothing was lost"),
        *([("set", "joined", False), ("goto", "join")] if cut_off else []),
        ("set", "n", lambda r: r.seen), ("goto", "receive"),
    ]  # fmt: skip


def wait(writers: Sequence[int]) -> Program:
    """ipk_broadcast_wait_message."""

    def news(r: Registers) -> bool:
        return r.now != r.n

    def gone(name: str) -> Program:
        look: Program = []
        for i in writers:
            look += [("load", "seq_cst", f"writer{i}", "now"), ("if", lambda r: r.now, f"{name}.there")]
        return [
            *look, ("load", "seq_cst", "end", "item"), ("unless", lambda r: r.item, f"{name}.there"),
            ("load", "roused.tail", "tail", "now"), ("if", news, "receive"), ("ghost", told), ("goto", "over"),
            f"{name}.there", ("set", "item", 0),
        ]  # fmt: skip

    return [
        ("load", "relaxed", "tail", "now"), ("if", news, "receive"), *gone("before"), *announce("readers"),
        ("load", "roused.tail", "tail", "now"), ("if", news, "receive"), *gone("announced"), ("set", "now", 0),
        ("sleep", "readers", lambda r: r.flag), ("set", "flag", 0),
        ("load", "relaxed", "tail", "now"), ("if", news, "receive"),
        ("unless", lambda r: r.slept == LATE, "buried"), *(("bury", f"writer{i}") for i in writers),
        "buried", ("set", "slept", 0), *gone("awake"), ("goto", "receive"),
    ]  # fmt: skip


def reader(
    copy: Program, join: Program, writers: Sequence[int], leave: Program, *, enough: int | None = None
) -> Program:
    """It joins, if it is not there already, and receives until the end, or until it has that many."""
    return [
        ("if", lambda r: r.joined, "receive"), "join", *join,
        "receive", *(("set", name, 0) for name in ("oldest", "now", "item", "flag", "slept")),
        ("if", lambda r: r.n == enough, "over"),
        ("if", lambda r: r.seen != r.n, "copy"), ("load", "look.tail", "tail", "seen"),
        ("unless", lambda r: r.seen != r.n, "wait"),
        "copy", *copy,
        "wait", *wait(writers),
        "over", *leave, ("end",),
    ]  # fmt: skip


def told(r: Registers, memory: Memory) -> None:
    """Where nobody dies, the end comes after the last message."""
    if not memory["deaths"] and (r.n != memory["messages"] or r.item != CLOSED):
        raise Violation("the end was told before the last message")


class Ring(Guarded):
    """Writers, each of whom has a successor if it dies, and readers, whose successors come late."""

    def __init__(
        self,
        messages: int,
        writers: list[Program],
        readers: list[Program],
        crashes: int,
        *,
        joined: bool,
        written: int = 0,  # in the beginning
        at_once: bool = False,  # stores are seen at once: for many processes
    ) -> None:
        there = Process(Registers(joined=joined))
        self.writers = range(len(writers))
        self.at_once = at_once
        others = range(len(writers), len(writers) + len(readers))
        names = ["tail", "last", "oldest", "bound", "want", "end", "owner", "readers", "writers", "deaths"]
        names += [f"data{i}" for i in range(CAPACITY)]
        names += [f"cursor{i}" for i in others]
        memory = dict.fromkeys(names, 0) | {"messages": messages} | {f"writer{i}": OPEN for i in self.writers}
        memory |= {f"reader{i}": OPEN * joined for i in others}
        memory |= {"tail": written, "last": max(written - 1, 0)}
        memory |= {word(n, i): n + 1 for n in range(written) for i in range(SIZES[n])}
        super().__init__(
            [*((p, Process(Registers())) for p in writers), *((p, there) for p in readers)], memory, crashes
        )
        values = tuple(memory.values())
        self.newcomers = [self.settle(role, Process(Registers()), values)[0] for role in range(len(self.code))]

    def died(self, member: int, memory: Memory) -> dict[str, int]:
        """It leaves the lock and its role."""
        name = f"{'writer' if member in self.writers else 'reader'}{member}"
        noted = {"deaths": memory["deaths"] + 1}
        if memory[name]:
            noted[name] = DEAD
        if memory["owner"] == member + 1:
            noted["owner"] = -(member + 1)
        return noted

    def ended(self, _role: int, _registers: Registers) -> Registers:
        """Nothing of it matters."""
        return Registers()

    def successor(self, role: int) -> Process | None:
        """Somebody else comes, and buries it: the roster is full."""
        return self.newcomers[role]

    def lives(self, p: Process) -> bool:
        """Who has closed still lives."""
        return p.status == "closed" or super().lives(p)

    def store(self, s: State, role: int, p: Process, step: Step) -> Iterator[State]:
        """Into the buffer, or at once."""
        if not self.at_once:
            yield from super().store(s, role, p, step)
            return
        _, _, name, value = step
        yield self.go_on(s, role, p, **{of(name, p.registers): of(value, p.registers)})

    def lock(self, s: State, role: int, p: Process, _step: Step) -> Iterator[State]:
        """Wait until it is free, or its owner is dead; then see what there is."""
        owner = s.memory[self.at["owner"]]
        if owner > 0 or (owner < 0 and s.processes[-owner - 1].buffer):
            return
        n, last, oldest = (s.memory[self.at[name]] for name in ("tail", "last", "oldest"))
        if not oldest <= last <= n or any(s.memory[self.at[word(i, 0)]] != i + 1 for i in range(oldest, n)):
            raise Violation("what a dead writer has left can't be followed")
        q = p._replace(early=(), ahead="", registers=p.registers._replace(n=n, oldest=oldest))
        yield self.go_on(s, role, q, owner=role + 1)

    def bury(self, s: State, role: int, p: Process, step: Step) -> Iterator[State]:
        """If whoever has a role is dead, nobody has it."""
        _, name = step
        member = int(name[6:])
        if s.memory[self.at[name]] != DEAD or s.processes[member].buffer:
            yield self.go_on(s, role, p)
        else:
            yield self.go_on(s, role, p, **{name: 0}, **({"end": DIED} if member in self.writers else {}))


def lossy(
    messages: int,
    writers: int = 1,
    readers: int = 1,
    crashes: int = 0,
    append: Program = COPIED,
    *,
    at_once: int = 1,
    hasty: bool = False,
    trusting: bool = False,
    cut_off: bool = False,
    joined: bool = True,
    history: int = 0,
    early: bool = False,
) -> Ring:
    """Writers that overwrite."""
    numbers = range(writers)
    receives = reader(lossy_copy(trusting=trusting, cut_off=cut_off), find_end(history), numbers, [])
    writes = [writer(i, messages, append, at_once=at_once, hasty=hasty) for i in numbers]
    ring = Ring(messages, writes, [receives] * readers, crashes, joined=joined)
    ring.speculates = early
    return ring


MODEL = Model(
    "broadcast",
    OPERATIONS,
    HARMLESS,
    [
        Setting("4 overwritten, 1 reads", partial(lossy, 4), finds=True),
        Setting("the same, written in place", partial(lossy, 4, append=IN_PLACE), finds=True),
        Setting("the same, 2 at a time", partial(lossy, 4, at_once=2), finds=True),
        Setting("3 overwritten, 1 comes late and looks back", partial(lossy, 3, joined=False, history=2), finds=True),
        Setting("4 overwritten, 1 is disconnected, and comes again", partial(lossy, 4, cut_off=True)),
        Setting("3 overwritten, 1 reads, loads ahead", partial(lossy, 3, early=True)),
        Setting("3 overwritten, 1 reads, 1 death", partial(lossy, 3, crashes=1)),
        Setting("3 overwritten by 2, 1 reads", partial(lossy, 3, 2)),
        Setting("2 sent, 2 read", partial(lossy, 2, 1, 2)),
    ],
    planted=[
        Setting("the oldest moves after its bytes", partial(lossy, 4, append=LATE_DROP)),
        Setting("the reader does not look at the oldest again", partial(lossy, 4, trusting=True)),
        Setting("the last one is told before it is there", partial(lossy, 3, hasty=True, joined=False)),
    ],
)
