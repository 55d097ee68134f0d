"""How a process sees memory: its store buffer, loads that are done ahead of their turn, read-modify-writes.

A store that is not seq_cst may stay in the buffer while later loads read memory; a seq_cst load waits until the seq_cst
stores before it have left (the rule of AArch64's stlr and ldar; x86 has it by its locked stores); a relaxed store may
overtake others. What follows a relaxed load may be read before it, and what follows a read-modify-write before its
store is seen, but for seq_cst after seq_cst. A read-modify-write that releases waits for the stores before it.

What is left out: a load that is delayed behind a later store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.program import of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from model.program import Process, State, Step

RELEASING = {"release", "acq_rel", "seq_cst"}
ACQUIRING = {"acquire", "acq_rel", "seq_cst"}
WEAKER = {
    "load": {"seq_cst": ["acquire", "relaxed"], "acquire": ["relaxed"]},
    "store": {"seq_cst": ["release", "relaxed"], "release": ["relaxed"]},
    "exchange": {
        "seq_cst": ["acq_rel", "relaxed"],
        "acq_rel": ["acquire", "release", "relaxed"],
        "acquire": ["relaxed"],
        "release": ["relaxed"],
    },
}


class Processor:
    """What loads and stores do. Machine has the rest."""

    code: list[list[Step]]
    at: dict[str, int]

    def __init__(self) -> None:
        self.orders = {order: order for order in ("relaxed", "acquire", "release", "seq_cst")} | {"plain": "relaxed"}
        self.speculates = False  # whether what follows is done ahead of any operation, or of those in `weakened` only
        self.weakened: set[str] = set()

    def changed(self, memory: tuple[int, ...], stored: Mapping[str, int]) -> tuple[int, ...]:
        """Memory with some of it changed."""
        if not stored:
            return memory
        values = list(memory)
        for name, value in stored.items():
            values[self.at[name]] = value
        return tuple(values)

    @staticmethod
    def put(s: State, role: int, p: Process) -> State:
        """The state with one process changed."""
        return s._replace(processes=(*s.processes[:role], p, *s.processes[role + 1 :]))

    def go_on(self, s: State, role: int, p: Process, **stored: int) -> State:
        """The process has done its step, which stored something, and goes on to its next one."""
        raise NotImplementedError

    def go_to(self, s: State, role: int, p: Process, place: int) -> State:
        """The process has done its step, and jumps."""
        return self.go_on(s, role, p._replace(pc=place - 1))

    def drain(self, s: State, role: int, p: Process) -> Iterator[State]:
        """A store leaves the buffer: the oldest, or a relaxed one that overtakes others of other variables."""
        for i, (name, value, order) in enumerate(p.buffer):
            if self.reserved(s, role, name):
                continue
            if i == 0 or (order == "relaxed" and name not in {entry[0] for entry in p.buffer[:i]}):
                left = self.put(s, role, p._replace(buffer=p.buffer[:i] + p.buffer[i + 1 :]))
                yield left._replace(memory=self.changed(s.memory, {name: value}))

    def doubtful(self, operation: str) -> bool:
        """Whether it is tried out what happens if later loads are done ahead of this one."""
        return operation in self.weakened or (self.speculates and operation != "plain")

    def seen(self, s: State, p: Process) -> tuple[int, ...]:
        """Memory as the process sees it, with what it has stored itself."""
        return self.changed(s.memory, {name: value for name, value, _ in p.buffer})

    def known(self, p: Process, name: str, value: int, *, until: bool = False) -> Process:
        """What was done ahead is not older than what has been seen of the variable since; until: it ends here."""
        if not p.early:
            return p
        if until:
            return p._replace(early=(), ahead="")
        return p._replace(early=self.changed(p.early, {name: value}))

    def load(self, s: State, role: int, p: Process, step: Step) -> Iterator[State]:
        """From the buffer if it is there, else from memory, as it is or as it was when this load was done ahead."""
        _, operation, name, into = step
        order = self.orders[operation]
        name = of(name, p.registers)
        if order == "seq_cst":
            if any(entry[2] == "seq_cst" for entry in p.buffer):
                return  # not before our own stores are out
            if p.ahead == "store":
                p = p._replace(early=(), ahead="")
        if order == "relaxed" and self.doubtful(operation) and not p.early:
            yield self.put(s, role, p._replace(early=self.seen(s, p), ahead="load"))
        own = [entry[1] for entry in p.buffer if entry[0] == name]
        values = {own[-1] if own else s.memory[self.at[name]]}
        if p.early and not own:
            values.add(p.early[self.at[name]])
        for value in values:
            q = self.known(p, name, value, until=order != "relaxed")
            yield self.go_on(s, role, q._replace(registers=q.registers._replace(**{into: value})))

    def store(self, s: State, role: int, p: Process, step: Step) -> Iterator[State]:
        """Into the buffer. Nothing is read ahead across a seq_cst store."""
        _, operation, name, value = step
        order = self.orders[operation]
        name, value = of(name, p.registers), of(value, p.registers)
        p = self.known(p, name, value, until=order == "seq_cst")
        yield self.go_on(s, role, p._replace(buffer=(*p.buffer, (name, value, order))))

    def exclusive(self, s: State, role: int, p: Process, operation: str, name: str) -> Iterator[State | None]:
        """A read-modify-write may be done now (None), or what follows it is done ahead of its store."""
        order = self.orders[operation]
        if any(order in RELEASING or entry[0] == name for entry in p.buffer) or self.reserved(s, role, name):
            return  # not before our own stores are out
        if self.doubtful(operation) and not p.early:
            ahead = "exchange" if order in ACQUIRING else "load"
            yield self.put(s, role, p._replace(early=self.seen(s, p), ahead=ahead))
        yield None

    def exchanged(self, p: Process, operation: str, name: str, new: int) -> Process:
        """The process when its read-modify-write is done."""
        if self.orders[operation] not in ACQUIRING:
            return self.known(p, name, new)
        if p.ahead != "exchange":
            return p._replace(early=(), ahead="")
        return self.known(p._replace(ahead="store" if self.orders[operation] == "seq_cst" else "load"), name, new)

    def reserved(self, s: State, role: int, name: str) -> bool:
        """Whether another one is amid its read-modify-write of the variable."""
        return any(
            q.ahead == "exchange" and i != role and of(self.code[i][q.pc][2], q.registers) == name
            for i, q in enumerate(s.processes)
        )

    def rmw(self, s: State, role: int, p: Process, step: Step) -> Iterator[State]:
        """Load and store as one, in memory; for a fetch, an exchange."""
        _, operation, name, change, into = step
        name = of(name, p.registers)
        old = s.memory[self.at[name]]
        for other in self.exclusive(s, role, p, operation, name):
            if other is not None:
                yield other
                continue
            new = change(p.registers, old)
            q = self.exchanged(p, operation, name, new)
            yield self.go_on(s, role, q._replace(registers=q.registers._replace(**{into: old})), **{name: new})

    def cas(self, s: State, role: int, p: Process, step: Step) -> Iterator[State]:
        """The same, but only if the variable is as expected; else a relaxed load, and a jump."""
        _, operation, name, expected, desired, into, otherwise = step
        name = of(name, p.registers)
        if any(entry[0] == name for entry in p.buffer):
            return  # not before our own stores to it are out
        old = s.memory[self.at[name]]
        if old != of(expected, p.registers):
            q = self.known(p, name, old)
            yield self.go_to(s, role, q._replace(registers=q.registers._replace(**{into: old})), otherwise)
            return
        new = of(desired, p.registers)
        for other in self.exclusive(s, role, p, operation, name):
            q = self.exchanged(p, operation, name, new)
            yield other if other is not None else self.go_on(s, role, q, **{name: new})
