"""The ring's sleep and wake protocol as two programs, each operation as in src/spsc*.c.

What must hold: a received message is the one that was sent, in order; the end of the stream and the death of the peer
are told only after the last message.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from model.explorer import Model, Setting
from model.machine import Machine
from model.program import Memory, Process, Violation

if TYPE_CHECKING:
    from collections.abc import Callable

    from model.program import Program

OPEN, CLOSED = 1, 2

OPERATIONS = {
    "commit.index": ("spsc_send.c", "publish", "tail.position", "store", "seq_cst"),
    "commit.asleep": ("spsc_send.c", "publish", "consumer_sleep.asleep", "load", "seq_cst"),
    "release.index": ("spsc_receive.c", "ipk_spsc_release", "head.position", "store", "seq_cst"),
    "release.asleep": ("spsc_receive.c", "ipk_spsc_release", "producer_sleep.asleep", "load", "seq_cst"),
    "room.index": ("spsc_send.c", "room", "head.position", "load", "acquire"),
    "receive.index": ("spsc_receive.c", "record_at", "tail.position", "load", "acquire"),
    "sleep.announce": ("spsc_wait.c", "sleep_on", "asleep", "store", "seq_cst"),
    "sleep.index": ("spsc_wait.c", "ready", "position", "load", "seq_cst"),
    "sleep.state": ("spsc_wait.c", "closed", "state", "load", "seq_cst"),
    "ready.index": ("spsc_wait.c", "ready", "position", "load", "acquire"),
    "gone.state": ("spsc_wait.c", "peer_gone", "state", "load", "acquire"),
    "close.state": ("spsc.c", "give_up_role", "state", "store", "seq_cst"),
    "close.asleep": ("spsc.c", "give_up_role", "asleep", "load", "seq_cst"),
}

AFTER_THE_INDEX = (
    "the seq_cst load of sleep.index, just before it, has waited for the announcement; C11 alone does not promise it"
)
HARMLESS = {
    "room.index=relaxed": "loads are never delayed behind later stores on this machine; ThreadSanitizer misses it",
    "sleep.state=acquire": AFTER_THE_INDEX,
    "sleep.state=relaxed": AFTER_THE_INDEX,
}


class Registers(NamedTuple):
    """What a side remembers."""

    n: int = 0  # own index
    peer: int = 0  # the other's index, as last loaded
    state: int = 0  # the other's state, as last loaded
    flag: int = 0  # the other's `asleep`, as last loaded
    item: int = 0


def program(role: int, messages: int, capacity: int, stop: int) -> Program:
    """What one side does: producer (0) sends `messages`, consumer (1) receives `stop` of them at most; both close."""
    own, other = ("tail", "head") if role == 0 else ("head", "tail")
    mine, theirs = ("asleep0", "asleep1") if role == 0 else ("asleep1", "asleep0")
    state, other_state = f"state{role}", f"state{1 - role}"

    def ready(r: Registers) -> bool:
        return r.n - r.peer < capacity if role == 0 else r.peer > r.n

    def slot(r: Registers) -> str:
        return f"slot{r.n % capacity}"

    def wake(name: str) -> Program:
        return [
            ("load", f"{name}.asleep", theirs, "flag"),
            ("unless", lambda r: r.flag, f"{name}.done"),
            ("rmw", "relaxed", theirs, lambda _r, _old: 0, "flag"),
            ("unless", lambda r: r.flag, f"{name}.done"),
            ("wake", theirs, 1),
            f"{name}.done",
        ]

    transfer: dict[int, Program] = {
        0: [
            ("if", ready, "send"),
            ("load", "room.index", "head", "peer"),
            ("unless", ready, "wait"),
            "send",
            ("store", "relaxed", slot, lambda r: r.n + 1),
            ("set", "n", lambda r: r.n + 1),
            ("store", "commit.index", own, lambda r: r.n),
            *wake("commit"),
        ],
        1: [
            ("if", ready, "receive"),
            ("load", "receive.index", "tail", "peer"),
            ("unless", ready, "wait"),
            "receive",
            ("load", "plain", slot, "item"),
            ("check", lambda r: r.item == r.n + 1, "a message is lost, doubled or torn"),
            ("set", "n", lambda r: r.n + 1),
            ("store", "release.index", own, lambda r: r.n),
            *wake("release"),
        ],
    }
    finished: Callable[[Registers], bool] = (lambda r: r.n >= messages) if role == 0 else (lambda r: r.n >= stop)
    return [
        # claim_role; a successor begins here too
        ("load", "acquire", own, "n"), ("load", "acquire", other, "peer"), ("store", "relaxed", state, OPEN),
        "next", ("if", finished, "close"),
        *transfer[role], ("goto", "next"),
        # wait_for
        "wait", ("load", "ready.index", other, "peer"), ("if", ready, "next"),
        ("load", "gone.state", other_state, "state"), ("unless", lambda r: r.state == CLOSED, "sleep"),
        ("load", "ready.index", other, "peer"), ("if", ready, "next"), ("ghost", partial(last, role, "EPIPE")),
        ("goto", "close"),
        # sleep_on
        "sleep", ("store", "sleep.announce", mine, 1),
        ("load", "sleep.index", other, "peer"), ("if", ready, "awake"),
        ("load", "sleep.state", other_state, "state"), ("if", lambda r: r.state == CLOSED, "awake"),
        ("sleep", mine, 1),
        "awake", ("store", "relaxed", mine, 0),
        ("load", "ready.index", other, "peer"), ("if", ready, "next"), ("alive", 1 - role, "next"),
        ("load", "ready.index", other, "peer"), ("if", ready, "next"), ("ghost", partial(last, role, "EOWNERDEAD")),
        # give_up_role
        "close", ("store", "close.state", state, CLOSED), *wake("close"), ("end",),
    ]  # fmt: skip


def last(role: int, how: str, r: Registers, memory: Memory) -> None:
    """What the consumer is told must come after the last message."""
    if role == 0:
        return
    # A producer that was told of a dead consumer closes early, and one that succeeds a dead one may send more.
    end = memory["messages"] or memory["tail"]
    if how == "EPIPE" and r.n != end and memory["state0"] == CLOSED:
        raise Violation("the stream ended before its last message")
    if how == "EOWNERDEAD" and r.n != memory["tail"]:
        raise Violation("the producer's death was told before its last message")


class Ring(Machine):
    """Two sides; whoever dies has a successor."""

    def __init__(self, messages: int, capacity: int, stop: int, crashes: int) -> None:
        names = ["tail", "head", "asleep0", "asleep1", "state0", "state1", *(f"slot{i}" for i in range(capacity))]
        sides = [(program(role, messages, capacity, stop), Process(Registers())) for role in (0, 1)]
        super().__init__(sides, dict.fromkeys(names, 0) | {"messages": messages}, crashes)

    def died(self, _member: int, _memory: Memory) -> dict[str, int]:
        """How many messages there will be is no longer known."""
        return {"messages": 0}

    def ended(self, _role: int, registers: Registers) -> Registers:
        """Where a side stopped."""
        return Registers(n=registers.n)

    def successor(self, role: int) -> Process:
        """It claims the role."""
        return self.fresh[role]

    def lives(self, p: Process) -> bool:
        """Who has closed his side still lives."""
        return p.status == "closed" or super().lives(p)


# messages, capacity in messages, messages until the consumer closes, crashes
SIZES = [(3, 1, 9, 0), (3, 2, 9, 0), (3, 1, 1, 0), (2, 1, 9, 1), (2, 1, 1, 1)]

MODEL = Model(
    "ring",
    OPERATIONS,
    HARMLESS,
    [
        Setting(
            "{} messages through room for {}, consumer stops after {}, {} crashes".format(*size),
            partial(Ring, *size),
            finds=size[-1] == 0,
        )
        for size in SIZES
    ],
)
