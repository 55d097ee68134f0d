"""What a model's processes run, and what the machine that runs them is made of.

A program is a list of steps, tuples whose first word names a method of Machine, with labels (strings) between them:

    (load, operation, variable, register)           (store, operation, variable, value)
    (cas, operation, variable, expected, desired, register, label)   if it fails: what it found, and jump
    (rmw, operation, variable, change, register)    change: of registers and the old value
    (sleep, variable, expected)                     FUTEX_WAIT; register `slept`: DIFFERS, WOKEN or LATE
    (wake, variable, count)                         FUTEX_WAKE
    (alive, member, label)                          ask the kernel, and jump if it lives
    (choose, label)                                 jump, or not: both are explored
    (late, label)                                   jump, or the slice is over, if it may be

and, which take no time:

    (set, register, value)
    (if, condition, label)       (unless, condition, label)       (goto, label)
    (check, condition, complaint)
    (ghost, function)      of registers and memory: what it changes there. What the model knows, such as who owns what
    (end,)

Names, values and conditions may be functions of the registers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Step = tuple  # (kind, ...)
Program = list[Any]  # of steps, and of labels between them

JUMPS = {"if", "unless", "goto", "alive", "runs", "cas", "choose", "late", "requeue", "wake_some"}
DIFFERS, WOKEN, LATE = 0, 1, 2  # how a sleep ended


class Process(NamedTuple):
    """Where a process is, what it remembers, what it has stored and nobody sees yet."""

    registers: Any  # a NamedTuple of the model's
    pc: int = 0
    buffer: tuple[tuple[str, int, str], ...] = ()  # variable, value, order; oldest first
    early: tuple[int, ...] = ()  # memory as it was when later loads were done ahead of their turn
    ahead: str = ""  # of what: "load"; "exchange", which is still to come; "store", the second half of that
    status: str = "runs"  # or "sleeps", "dead", "closed"
    word: str = ""  # that it sleeps on
    slices: int = 0  # how often its sleep may end by itself while all are alive


class State(NamedTuple):
    """The whole machine."""

    memory: tuple[int, ...]
    processes: tuple[Process, ...]
    crashes: int  # that have happened


class Violation(Exception):
    """A state that must not be."""

    trace: list[State]


def of(value: Any, registers: Any) -> Any:
    """A value, which may be a function of the registers."""
    return value(registers) if callable(value) else value


def assemble(steps: Iterable[Any]) -> list[Step]:
    """Replace labels, which stand between the steps, by positions."""
    places: dict[str, int] = {}
    code: list[Step] = []
    for step in steps:
        if isinstance(step, str):
            if step in places:
                raise ValueError(f"label {step!r} is there twice")
            places[step] = len(code)
        else:
            code.append(step)
    return [(*step[:-1], places[step[-1]]) if step[0] in JUMPS else step for step in code]


class Memory:
    """Memory by name, for ghosts."""

    def __init__(self, at: Mapping[str, int], values: tuple[int, ...]) -> None:
        self.at = at
        self.values = values

    def __getitem__(self, name: str) -> int:
        """The value of one variable."""
        return self.values[self.at[name]]
