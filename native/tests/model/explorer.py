"""Every state that a machine can get into, and whether all is well in each of them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from model.program import Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from model.machine import Machine
    from model.program import State


def trace_to(before: dict[State, list[State]], s: State) -> list[State]:
    """A shortest way to a state."""
    trace = [s]
    while before[trace[-1]]:
        trace.append(before[trace[-1]][0])
    return trace[::-1]


def reach(machine: Machine) -> dict[State, list[State]]:
    """Every reachable state, and the states before it."""
    before: dict[State, list[State]] = {machine.start: []}
    todo = deque([machine.start])
    while todo:
        s = todo.popleft()
        try:
            following = list(machine.successors(s))
            asleep = (p for p in s.processes if p.status == "sleeps")
            if not following and s.crashes == 0 and not all(machine.rests(s, p) for p in asleep):
                raise Violation("a wake-up is lost: one sleeps, and nothing can happen any more")
            following.extend(machine.timers(s))
        except Violation as violation:
            violation.trace = trace_to(before, s)
            raise
        for t in following:
            if t not in before:
                before[t] = []
                todo.append(t)
            before[t].append(s)
    return before


def explore(machine: Machine) -> int:
    """Visit every reachable state; raise Violation, or return how many there are."""
    before = reach(machine)
    todo = [s for s in before if machine.ends(s)]
    ends = set(todo)
    while todo:
        for s in before[todo.pop()]:
            if s not in ends:
                ends.add(s)
                todo.append(s)
    if len(ends) < len(before):
        stuck = Violation("from some state the end cannot be reached")
        stuck.trace = trace_to(before, next(s for s in before if s not in ends))
        raise stuck
    return len(before)


class Setting(NamedTuple):
    """One size of a model."""

    name: str
    build: Callable[[], Machine]
    finds: bool = False  # weakened operations are tried with it


class Model(NamedTuple):
    """A protocol: its operations, and how they are put together."""

    name: str
    # operation -> its place in src (file, function, variable, kind) and its order there
    operations: dict[str, tuple[str, str, str, str, str]]
    # operation=order -> why the protocol holds with it weakened so
    harmless: dict[str, str]
    settings: list[Setting]
    planted: Sequence[Setting] = ()  # with a mistake each, that must be found

    def machine(self, setting: Setting, weakened: Mapping[str, str]) -> Machine:
        """The machine of a setting, with some operations weakened."""
        machine = setting.build()
        machine.orders |= {name: place[-1] for name, place in self.operations.items()} | dict(weakened)
        machine.weakened |= set(weakened)
        return machine

    def flaw(self, name: str, order: str) -> Violation | None:
        """What goes wrong with the operation weakened, or None."""
        for setting in self.settings:
            if setting.finds:
                try:
                    explore(self.machine(setting, {name: order}))
                except Violation as violation:
                    return violation
        return None
