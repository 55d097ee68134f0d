"""The ring's sleep and wake protocol as two programs, each operation as in src/spsc*.c; explore.py runs them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

OPEN, CLOSED = 1, 2

# Operation -> its place in src/spsc*.c (function, variable, kind) and its order there.
OPERATIONS: dict[str, tuple[str, str, str, str]] = {
    "commit.index": ("commit", "tail.position", "store", "seq_cst"),
    "commit.asleep": ("commit", "consumer_sleep.asleep", "load", "seq_cst"),
    "release.index": ("ipk_spsc_release", "head.position", "store", "seq_cst"),
    "release.asleep": ("ipk_spsc_release", "producer_sleep.asleep", "load", "seq_cst"),
    "room.index": ("room", "head.position", "load", "acquire"),
    "receive.index": ("record_at", "tail.position", "load", "acquire"),
    "sleep.announce": ("sleep_on", "asleep", "store", "seq_cst"),
    "sleep.index": ("ready", "position", "load", "seq_cst"),
    "sleep.state": ("closed", "state", "load", "seq_cst"),
    "ready.index": ("ready", "position", "load", "acquire"),
    "gone.state": ("peer_gone", "state", "load", "acquire"),
    "close.state": ("give_up_role", "state", "store", "seq_cst"),
    "close.asleep": ("give_up_role", "asleep", "load", "seq_cst"),
}

WEAKER = {
    "load": {"seq_cst": ["acquire", "relaxed"], "acquire": ["relaxed"]},
    "store": {"seq_cst": ["release", "relaxed"], "release": ["relaxed"]},
}

# Weakened so, the protocol holds on this machine, whose loads are never delayed behind later stores (room.index:
# ThreadSanitizer misses it), and whose seq_cst load of sleep.index, just before sleep.state, has waited for the
# announcement already. C11 alone promises neither, so the source keeps its orders.
HARMLESS = {"room.index=relaxed", "sleep.state=acquire", "sleep.state=relaxed"}


class Process(NamedTuple):
    """One side: where it is, what it remembers, what it has stored and nobody sees yet."""

    pc: int = 0
    n: int = 0  # own index
    peer: int = 0  # the other's index, as last loaded
    state: int = 0  # the other's state, as last loaded
    flag: int = 0  # the other's `asleep`, as last loaded
    item: int = 0
    buffer: tuple[tuple[str, int, str], ...] = ()  # variable, value, order; oldest first
    early: tuple[tuple[str, int], ...] = ()  # read before a relaxed load that comes first in the program
    status: str = "runs"  # or "sleeps", "dead", "closed"


Step = tuple  # (kind, ...): what a kind does, explore.py says


def program(role: int, messages: int, capacity: int, stop: int) -> list[Step]:
    """What one side does: producer (0) sends `messages`, consumer (1) receives `stop` of them at most; both close."""
    own, other = ("tail", "head") if role == 0 else ("head", "tail")
    mine, theirs = ("asleep0", "asleep1") if role == 0 else ("asleep1", "asleep0")
    state, other_state = f"state{role}", f"state{1 - role}"

    def ready(p: Process) -> bool:
        return p.n - p.peer < capacity if role == 0 else p.peer > p.n

    def slot(p: Process) -> str:
        return f"slot{p.n % capacity}"

    def wake(name: str) -> list[Step]:
        return [
            ("load", f"{name}.asleep", theirs, "flag"),
            ("unless", lambda p: p.flag, f"{name}.done"),
            ("swap", theirs, 0),
            ("unless", lambda p: p.flag, f"{name}.done"),
            ("wake", theirs),
            f"{name}.done",
        ]

    transfer = {
        0: [
            ("if", ready, "send"),
            ("load", "room.index", "head", "peer"),
            ("unless", ready, "wait"),
            "send",
            ("store", "relaxed", slot, lambda p: p.n + 1),
            ("advance",),
            ("store", "commit.index", own, lambda p: p.n),
            *wake("commit"),
        ],
        1: [
            ("if", ready, "receive"),
            ("load", "receive.index", "tail", "peer"),
            ("unless", ready, "wait"),
            "receive",
            ("load", "plain", slot, "item"),
            ("check", lambda p: p.item == p.n + 1, "a message is lost, doubled or torn"),
            ("advance",),
            ("store", "release.index", own, lambda p: p.n),
            *wake("release"),
        ],
    }[role]
    finished: Callable[[Process], bool] = (lambda p: p.n >= messages) if role == 0 else (lambda p: p.n >= stop)
    return [
        # claim_role; a successor begins here too
        ("load", "acquire", own, "n"), ("load", "acquire", other, "peer"), ("store", "relaxed", state, lambda _: OPEN),
        "next", ("if", finished, "close"),
        *transfer, ("goto", "next"),
        # wait_for
        "wait", ("load", "ready.index", other, "peer"), ("if", ready, "next"),
        ("load", "gone.state", other_state, "state"), ("unless", lambda p: p.state == CLOSED, "sleep"),
        ("load", "ready.index", other, "peer"), ("if", ready, "next"), ("tell", "EPIPE"), ("goto", "close"),
        # sleep_on
        "sleep", ("store", "sleep.announce", mine, lambda _: 1),
        ("load", "sleep.index", other, "peer"), ("if", ready, "awake"),
        ("load", "sleep.state", other_state, "state"), ("if", lambda p: p.state == CLOSED, "awake"),
        ("sleep", mine),
        "awake", ("store", "relaxed", mine, lambda _: 0),
        ("load", "ready.index", other, "peer"), ("if", ready, "next"), ("alive", "next"),
        ("load", "ready.index", other, "peer"), ("if", ready, "next"), ("tell", "EOWNERDEAD"),
        # give_up_role
        "close", ("store", "close.state", state, lambda _: CLOSED), *wake("close"), ("end",),
    ]  # fmt: skip


def assemble(steps: list[Step]) -> list[Step]:
    """Replace labels, which stand between the steps, by positions."""
    places: dict[str, int] = {}
    code: list[Step] = []
    for step in steps:
        if isinstance(step, str):
            places[step] = len(code)
        else:
            code.append(step)
    jumps = {"if", "unless", "goto", "alive"}
    return [(*step[:-1], places[step[-1]]) if step[0] in jumps else step for step in code]
