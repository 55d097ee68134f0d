"""How those that wait on a ring for many sleep and are woken, each operation as in src/mpmc_*.c and sleepers.*.

What must hold: nobody sleeps on when there is a message for it, or room, or when its own view was closed. What the
locks order is not in here: the threads of test_threads_mpmc.c show it to ThreadSanitizer.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from model.explorer import Model, Setting
from model.machine import Machine
from model.program import Process

if TYPE_CHECKING:
    from model.program import Program

OPERATIONS = {
    "publish.tail": ("mpmc_send.c", "publish", "tail.place", "store", "seq_cst"),
    "tell.commits": ("mpmc_locks.c", "ipk_mpmc_tell", "tail.commits", "exchange", "seq_cst"),
    "look.commits": ("mpmc_wait_message.c", "look", "tail.commits", "load", "acquire"),
    "look.tail": ("mpmc_wait_message.c", "look", "tail.place", "load", "acquire"),
    "happened.tail": ("mpmc_wait_message.c", "happened", "place", "load", "seq_cst"),
    "happened.commits": ("mpmc_wait_message.c", "happened", "commits", "load", "seq_cst"),
    "closed.message": ("mpmc_wait_message.c", "sleep_on", "closed", "load", "seq_cst"),
    "free.place": ("mpmc_walk.c", "ipk_mpmc_walk_end", "place", "store", "seq_cst"),
    "free.word": ("mpmc_locks.c", "ipk_mpmc_wake_room", "word", "load", "seq_cst"),
    "roomy.free": ("mpmc_wait_room.c", "roomy", "place", "load", "seq_cst"),
    "closed.room": ("mpmc_wait_room.c", "sleep_on", "closed", "load", "seq_cst"),
    "close.closed": ("mpmc.c", "ipk_mpmc_close", "closed", "exchange", "seq_cst"),
}

AFTER_ANNOUNCING = (
    "the announcement just before it, a seq_cst exchange, is out before what follows, on every machine that we know; "
    "C11 promises it only among seq_cst operations"
)
SAME_WORD = "the walk loads the same word again before it finds nothing"
HARMLESS = {
    "look.commits=relaxed": "x86 keeps loads in order, and this machine reads nothing ahead of the acquire after it",
    "look.tail=relaxed": SAME_WORD,
} | {
    f"{name}={order}": AFTER_ANNOUNCING
    for name in ("happened.tail", "happened.commits", "closed.message", "roomy.free", "closed.room")
    for order in ("acquire", "relaxed")
}


class Registers(NamedTuple):
    """What a process remembers."""

    tail: int = 0
    commits: int = 0
    now: int = 0
    slept: int = 0


def wake(load: str = "seq_cst") -> Program:
    """Wake who sleeps, as in sleepers.*."""
    return [
        ("load", load, "asleep", "now"), ("unless", lambda r: r.now, "end"),
        ("cas", "relaxed", "asleep", 1, 0, "now", "end"), ("wake", "asleep", 1),
        "end", ("end",),
    ]  # fmt: skip


def sender() -> Program:
    """It sends one message, in one step."""
    return [("store", "relaxed", "record", 1), ("store", "publish.tail", "tail", 1), *wake()]


def committer(*, silent: bool) -> Program:
    """It commits what it had claimed, before the tail. silent: the mistake to count no news."""
    news: Program = [] if silent else [("rmw", "tell.commits", "commits", lambda _r, old: old + 1, "now")]
    return [("store", "release", "record", 1), *news, *wake()]


def closer() -> Program:
    """Another thread of the waiter's view closes it."""
    return [("rmw", "close.closed", "closed", lambda _r, _old: 1, "now"), *wake()]


def consumer(*, claimed: bool) -> Program:
    """It waits for the message. claimed: it lies before the tail, not yet committed."""
    look: Program = [] if claimed else [("load", "acquire", "tail", "now"), ("unless", lambda r: r.now, "none")]
    return [
        "again", ("load", "look.commits", "commits", "commits"), ("load", "look.tail", "tail", "tail"),
        *look, ("load", "acquire", "record", "now"), ("if", lambda r: r.now, "end"),
        "none", ("rmw", "seq_cst", "asleep", lambda _r, _old: 1, "now"),
        ("load", "happened.tail", "tail", "now"), ("if", lambda r: r.now != r.tail, "again"),
        ("load", "happened.commits", "commits", "now"), ("if", lambda r: r.now != r.commits, "again"),
        ("load", "closed.message", "closed", "now"), ("if", lambda r: r.now, "end"),
        ("set", "now", 0), ("sleep", "asleep", 1), ("set", "slept", 0), ("load", "relaxed", "closed", "now"),
        ("unless", lambda r: r.now, "again"),
        "end", ("end",),
    ]  # fmt: skip


def receiver() -> Program:
    """It makes room."""
    return [("store", "free.place", "free", 1), *wake("free.word")]


def producer() -> Program:
    """It waits for room."""
    return [
        "again", ("rmw", "seq_cst", "asleep", lambda _r, _old: 1, "now"),
        ("load", "roomy.free", "free", "now"), ("if", lambda r: r.now, "end"),
        ("load", "closed.room", "closed", "now"), ("if", lambda r: r.now, "end"),
        ("set", "now", 0), ("sleep", "asleep", 1), ("set", "slept", 0), ("load", "relaxed", "closed", "now"),
        ("unless", lambda r: r.now, "again"),
        "end", ("end",),
    ]  # fmt: skip


class Waits(Machine):
    """One that waits, and others that end that."""

    def __init__(self, *programs: Program, early: bool = False) -> None:
        names = ["record", "tail", "commits", "asleep", "closed", "free"]
        super().__init__([(program, Process(Registers())) for program in programs], dict.fromkeys(names, 0), 0)
        self.speculates = early


SENT, COMMITTED = consumer(claimed=False), consumer(claimed=True)

MODEL = Model(
    "mpmc",
    OPERATIONS,
    HARMLESS,
    [
        Setting("one waits for a message", partial(Waits, SENT, sender()), finds=True),
        Setting("one waits for a commit", partial(Waits, COMMITTED, committer(silent=False)), finds=True),
        Setting("one waits for a message, and is closed", partial(Waits, SENT, closer()), finds=True),
        Setting("one waits for room", partial(Waits, producer(), receiver()), finds=True),
        Setting("one waits for room, and is closed", partial(Waits, producer(), closer()), finds=True),
        Setting("one waits for a commit, loads ahead", partial(Waits, COMMITTED, committer(silent=False), early=True)),
    ],
    planted=[Setting("a commit is no news", partial(Waits, COMMITTED, committer(silent=True)))],
)
