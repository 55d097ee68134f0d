"""The ring of which each reader sees all, where writers wait for readers; each operation as in src/broadcast*.

What must hold: each reader gets every message, from the one at which it joined; nobody sleeps on when there is room, a
message, or an end; who is killed is in nobody's way for longer than a slice.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from model import broadcast
from model.broadcast import CAPACITY, OPEN, SIZES, STARTS, Ring, announce, fill, reader, target, wake, word, writer
from model.explorer import Model, Setting
from model.program import LATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model.broadcast import Registers
    from model.program import Program

OPERATIONS = {
    "commit.tail": ("broadcast_send.c", "ipk_broadcast_show", "position", "store", "seq_cst"),
    "look.tail": ("broadcast_receive.c", "ipk_broadcast_look", "tail.position", "load", "acquire"),
    "join.cursor": ("broadcast_join.c", "begin_at", "cursor", "store", "seq_cst"),
    "join.tail": ("broadcast_join.c", "ipk_broadcast_join", "tail.position", "load", "seq_cst"),
    "receive.cursor": ("broadcast_receive.c", "ipk_broadcast_publish", "cursor", "store", "seq_cst"),
    "receive.writers": ("broadcast_receive.c", "ipk_broadcast_publish", "word", "load", "seq_cst"),
    "room.word": ("broadcast_log.c", "ipk_broadcast_last_cursor", "word", "load", "seq_cst"),
    "room.cursor": ("broadcast_log.c", "ipk_broadcast_last_cursor", "cursor", "load", "acquire"),
    "way.word": ("broadcast_wait.c", "in_the_way", "word", "load", "seq_cst"),
    "way.cursor": ("broadcast_wait.c", "in_the_way", "cursor", "load", "seq_cst"),
}

AFTER_THE_ROLE = (
    "the exchange that stores the role just before it, a seq_cst one, is out before what follows, on every machine "
    "that we know; C11 promises it only among seq_cst operations"
)
BEHIND_THE_TAIL = (
    "the look at the sleepers' word, a seq_cst load, or the exchange that gives the lock back, has waited until the "
    "tail was out; C11 promises it only among seq_cst operations"
)
HARMLESS = {
    "room.cursor=relaxed": "a store that overtakes a load is not in this machine; ThreadSanitizer shows it",
    "room.word=acquire": BEHIND_THE_TAIL,
    "room.word=relaxed": BEHIND_THE_TAIL + "; what else it acquires ThreadSanitizer shows",
    "join.tail=acquire": AFTER_THE_ROLE,
    "join.tail=relaxed": AFTER_THE_ROLE,
} | {
    f"{name}={order}": broadcast.AFTER_ANNOUNCING
    for name in ("way.word", "way.cursor")
    for order in ("acquire", "relaxed")
}


def in_the_way(name: str, readers: Sequence[int]) -> Program:
    """Jump to `name` if a reader has still to read something before `left`."""
    steps: Program = []
    for i in readers:
        steps += [
            ("load", "way.word", f"reader{i}", "now"), ("unless", lambda r: r.now, f"{name}.{i}"),
            ("load", "way.cursor", f"cursor{i}", "now"), ("if", lambda r: r.now < r.left, name),
            f"{name}.{i}",
        ]  # fmt: skip
    return steps


def room(readers: Sequence[int]) -> Program:
    """Move `oldest` out of the way, as far as all readers have come; if that is not enough, wait for them."""

    def far(r: Registers) -> int:
        return min(r.left, r.now)

    look: Program = [("set", "left", lambda r: r.n)]
    for i in readers:
        look += [
            ("load", "room.word", f"reader{i}", "now"), ("unless", lambda r: r.now, f"room.{i}"),
            ("load", "room.cursor", f"cursor{i}", "now"), ("set", "left", far),
            f"room.{i}",
        ]  # fmt: skip
    return [
        ("if", lambda r: r.oldest >= target(r.n), "write"),
        ("load", "plain", "bound", "item"), ("if", lambda r: r.item >= target(r.n), "limit"), *look,
        ("unless", lambda r: r.left > r.item and STARTS[r.n] - STARTS[r.left] <= CAPACITY, "limit"),
        ("set", "item", lambda r: r.left), ("store", "plain", "bound", lambda r: r.item),
        "limit", ("set", "now", 0), ("set", "left", 0), ("if", lambda r: r.item < target(r.n), "full"),
        ("set", "oldest", lambda r: target(r.n)), ("store", "relaxed", "oldest", lambda r: r.oldest),
        "write", ("set", "item", 0),
    ]  # fmt: skip


def wait_room(readers: Sequence[int], *, amid: bool, silent: bool, stale: bool) -> Program:
    """wait_for_readers: announce_want, sleep_for_room. amid: a message in parts, so the lock is kept.

    Mistakes: silent: who does not sleep after all tells nobody; stale: another's want is taken over whatever it is.
    """
    others: Program = [
        ("load", "plain", "writers", "flag"), ("unless", lambda r: r.flag & 1, "mine"),
        ("load", "plain", "want", "left"), ("if", lambda r: r.left >= r.item, "mine"),
        *([] if stale else [*in_the_way("theirs", readers), *wake("passed", "writers"), ("goto", "mine")]),
        "theirs", ("set", "item", lambda r: r.left),
    ]  # fmt: skip
    return [
        "full", ("set", "seen", lambda r: target(r.n)), ("set", "item", 0),
        *([] if amid else [("set", "oldest", 0), ("unlock",), ("lock",)]),
        ("set", "item", lambda r: min(r.seen + 1, r.n)),
        *([] if amid else [("set", "n", 0), ("set", "oldest", 0)]), *others,
        "mine", ("store", "plain", "want", lambda r: r.item), ("set", "now", 0), *announce("writers"),
        *([] if amid else [("unlock",)]),
        ("set", "left", lambda r: r.seen if stale else min(r.seen, r.item)), ("set", "item", 0), ("set", "seen", 0),
        *in_the_way("way", readers), *([] if silent else wake("needless", "writers")), ("goto", "again"),
        "way", ("set", "now", 0), ("set", "left", 0), ("sleep", "writers", lambda r: r.flag),
        ("unless", lambda r: r.slept == LATE, "again"), *(("bury", f"reader{i}") for i in readers),
        "again", *(("set", name, 0) for name in ("left", "slept", "flag", "now")),
        ("goto", "append" if amid else "next"),
    ]  # fmt: skip


def publish(me: int, name: str = "receive") -> Program:
    """Let the writers have what lies before message n."""
    return [
        ("store", "receive.cursor", f"cursor{me}", lambda r: r.n), ("load", "receive.writers", "writers", "flag"),
        ("unless", lambda r: r.flag & 1, "published"), ("load", "relaxed", "want", "now"),
        ("unless", lambda r: r.n == r.now, "published"), *wake(name, "writers"), "published",
    ]  # fmt: skip


def copy(me: int) -> Program:
    """Copy message n."""

    def right(r: Registers) -> bool:
        return r.now == r.n + 1

    steps: Program = []
    for i in range(3):
        steps += [
            ("unless", lambda r, i=i: i < SIZES[r.n], "copied") if i == 2 else ("set", "now", 0),
            ("load", "relaxed", lambda r, i=i: word(r.n, i), "now"),
            ("check", right, "a message is torn, skipped, or there twice"),
        ]  # fmt: skip
    return [*steps, "copied", ("set", "n", lambda r: r.n + 1), *publish(me), ("goto", "receive")]


def join(me: int, *, hasty: bool, silent: bool) -> Program:
    """ipk_broadcast_join. Mistakes: hasty: to begin at the tail that came before the role; silent: to wake nobody."""
    return [
        ("load", "relaxed", "tail", "seen"), ("store", "relaxed", f"cursor{me}", lambda r: r.seen),
        ("rmw", "seq_cst", f"reader{me}", lambda _r, _old: OPEN, "now"), ("set", "now", 0),
        ("set", "n", lambda r: r.seen), *([] if hasty else [("load", "join.tail", "tail", "n")]),
        ("store", "join.cursor", f"cursor{me}", lambda r: r.n), ("set", "joined", True),
        *([] if silent else [("if", lambda r: r.seen == r.n, "begun"), *wake("joined", "writers")]),
        "begun", ("set", "seen", lambda r: r.n),
    ]  # fmt: skip


def join_back(me: int, history: int, *, careless: bool) -> Program:
    """join_back_locked. careless: the mistake to leave the bound as it is."""
    return [
        ("lock",), ("set", "n", lambda r: max(r.oldest, r.n - history)), ("set", "oldest", 0),
        ("store", "relaxed", f"cursor{me}", lambda r: r.n),
        ("rmw", "seq_cst", f"reader{me}", lambda _r, _old: OPEN, "now"),
        ("store", "relaxed", f"cursor{me}", lambda r: r.n), ("set", "seen", lambda r: r.n), ("set", "joined", True),
        ("load", "plain", "bound", "now"), ("unless", lambda r: r.n < r.now, "bounded"),
        *([] if careless else [("store", "plain", "bound", lambda r: r.n)]),
        "bounded", ("set", "now", 0), ("unlock",),
    ]  # fmt: skip


def leave(me: int) -> Program:
    """It gives up its role."""
    return [("rmw", "seq_cst", f"reader{me}", lambda _r, _old: 0, "now"), *wake("over", "writers")]


def block(
    messages: int,
    writers: int = 1,
    readers: int = 1,
    crashes: int = 0,
    *,
    parts: bool = False,
    joined: bool = True,
    history: int = 0,
    hasty: bool = False,
    careless: bool = False,
    silent: bool = False,
    stale: bool = False,
    early: bool = False,
    written: int = 0,
    seen_at_once: bool = False,
    enough: int | None = None,
) -> Ring:
    """Writers that wait for readers."""
    numbers, others = range(writers), range(writers, writers + readers)
    append = [*room(others), *fill("relaxed", range(3))]
    writes = [
        [
            *writer(i, messages, append, at_once=messages if parts else 1),
            *wait_room(others, amid=parts, silent=silent, stale=stale),
        ]
        for i in numbers
    ]
    receives = [
        reader(
            copy(i),
            join_back(i, history, careless=careless) if history else join(i, hasty=hasty, silent=silent),
            numbers,
            leave(i),
            enough=enough,
        )
        for i in others
    ]
    ring = Ring(messages, writes, receives, crashes, joined=joined, written=written, at_once=seen_at_once)
    ring.orders |= {name: place[-1] for name, place in broadcast.OPERATIONS.items()}
    ring.speculates = early
    return ring


MODEL = Model(
    "broadcast_block",
    OPERATIONS,
    HARMLESS,
    [
        Setting("2 more than there is room for, 1 reads", partial(block, 4, written=2), finds=True),
        Setting("3 sent, 1 comes", partial(block, 3, joined=False), finds=True),
        Setting("3 parts sent, 1 reads", partial(block, 3, parts=True), finds=True),
        Setting("3 parts sent, 1 comes", partial(block, 3, parts=True, joined=False)),
        Setting("3 sent, 1 comes and looks back", partial(block, 3, joined=False, history=1)),
        Setting("1 more than there is room for, 1 reads, loads ahead", partial(block, 3, written=2, early=True)),
        Setting("1 more than there is room for, 2 read", partial(block, 3, 1, 2, written=2, enough=2)),
        Setting("1 more than there is room for, 2 write, 1 reads", partial(block, 3, 2, written=2, seen_at_once=True)),
        Setting("1 more than there is room for, 1 reads, 1 death", partial(block, 3, crashes=1, written=2)),
    ],
    planted=[
        Setting("who comes begins where he was before he was seen", partial(block, 3, joined=False, hasty=True)),
        Setting("who comes tells nobody that he is elsewhere", partial(block, 3, joined=False, silent=True)),
        Setting(
            "who looks back leaves the bound", partial(block, 4, joined=False, history=2, careless=True, written=2)
        ),
        Setting("a want is taken over from one who is gone", partial(block, 5, written=2, silent=True, stale=True)),
    ],
)
