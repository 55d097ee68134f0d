"""Every interleaving of the ring's sleep and wake protocol (protocol.py), with a crash allowed at every step.

A producer and a consumer run the memory operations of src/spsc*.c, in its order, each with its memory order, on a
machine with a store buffer per process. It is what neither x86 nor ThreadSanitizer can show: a store that is not
seq_cst may stay in the buffer while later loads read memory; a seq_cst load waits until the seq_cst stores before it
have left (the rule of AArch64's stlr and ldar; x86 has it by its locked stores); a relaxed store may overtake others;
what follows a relaxed load may be read before it. System calls empty the buffer.

What must hold in every reachable state: a received message is the one that was sent, in order; the end of the stream
and the death of the peer are told only after the last message; from everywhere the end can be reached; and nobody
sleeps when nothing can happen any more. A sleeper's slice may run out only after somebody has died: so with both alive
every wake-up must come, and a dead waker costs no more than a slice.

usage: explore.py              the protocol as it is, then with each operation weakened that must not be
       explore.py NAME=ORDER   with one operation weakened (the names: OPERATIONS)
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from protocol import CLOSED, HARMLESS, OPERATIONS, WEAKER, Process, assemble, program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from protocol import Step


class State(NamedTuple):
    """The whole machine."""

    memory: tuple[tuple[str, int], ...]
    sides: tuple[Process, Process]
    crashes: int  # that have happened


class Violation(Exception):
    """A state that must not be."""


class Machine:
    """Two programs, their memory, and the orders of their operations."""

    def __init__(self, messages: int, capacity: int, stop: int, crashes: int, weakened: dict[str, str]) -> None:
        self.code = [assemble(program(role, messages, capacity, stop)) for role in (0, 1)]
        self.orders = {name: weakened.get(name, place[3]) for name, place in OPERATIONS.items()}
        self.orders |= {"plain": "relaxed", "acquire": "acquire", "relaxed": "relaxed"}
        self.speculates = "relaxed" in weakened.values()
        self.messages = messages
        self.crashes = crashes
        names = ["tail", "head", "asleep0", "asleep1", "state0", "state1", *(f"slot{i}" for i in range(capacity))]
        self.start = State(tuple((name, 0) for name in sorted(names)), (Process(), Process()), 0)

    def successors(self, s: State) -> Iterator[State]:
        """All that can happen next."""
        for role in (0, 1):
            p = s.sides[role]
            yield from self.drain(s, role, p)
            if p.status == "runs":
                step = self.code[role][p.pc]
                yield from getattr(self, step[0])(s, role, p, step)
            elif p.status == "sleeps" and s.crashes > 0:
                yield self.put(s, role, p._replace(status="runs"))  # the slice is over
            elif p.status == "dead" and not p.buffer:
                yield self.put(s, role, Process())  # a successor claims the role
            if p.status in {"runs", "sleeps"} and s.crashes < self.crashes:
                yield self.put(s, role, Process(buffer=p.buffer, status="dead"))._replace(crashes=s.crashes + 1)

    @staticmethod
    def put(s: State, role: int, p: Process, **stored: int) -> State:
        """The state with one process changed, and some memory."""
        sides = (p, s.sides[1]) if role == 0 else (s.sides[0], p)
        return s._replace(sides=sides, memory=tuple((name, stored.get(name, value)) for name, value in s.memory))

    def go_on(self, s: State, role: int, p: Process, **stored: int) -> State:
        """The same, and the process goes on to its next step."""
        return self.put(s, role, self.settle(s, role, p._replace(pc=p.pc + 1)), **stored)

    def drain(self, s: State, role: int, p: Process) -> Iterator[State]:
        """A store leaves the buffer: the oldest, or a relaxed one that overtakes others of other variables."""
        for i, (name, value, order) in enumerate(p.buffer):
            if i == 0 or (order == "relaxed" and name not in {entry[0] for entry in p.buffer[:i]}):
                yield self.put(s, role, p._replace(buffer=p.buffer[:i] + p.buffer[i + 1 :]), **{name: value})

    def store(self, s: State, role: int, p: Process, step: Step) -> Iterator[State]:
        """Into the buffer. Nothing is read ahead across a seq_cst store."""
        _, operation, name, value = step
        order = self.orders[operation]
        entry = (name(p) if callable(name) else name, value(p), order)
        early = () if order == "seq_cst" else p.early
        yield self.go_on(s, role, p._replace(buffer=(*p.buffer, entry), early=early))

    def load(self, s: State, role: int, p: Process, step: Step) -> Iterator[State]:
        """From the buffer if it is there, else from memory; or what was read ahead, behind a relaxed load."""
        _, operation, name, into = step
        order = self.orders[operation]
        name = name(p) if callable(name) else name
        if order == "seq_cst" and any(entry[2] == "seq_cst" for entry in p.buffer):
            return  # not before our own stores are out
        if order == "relaxed" and operation != "plain" and self.speculates and not p.early:
            yield self.put(s, role, p._replace(early=s.memory))
        own = [entry[1] for entry in p.buffer if entry[0] == name]
        values = {own[-1] if own else dict(s.memory)[name]}
        if p.early and not own and (order != "relaxed" or operation == "plain"):
            values.add(dict(p.early)[name])
        for value in values:
            early = p.early if order == "relaxed" else ()
            yield self.go_on(s, role, p._replace(**{into: value}, early=early))

    def swap(self, s: State, role: int, p: Process, step: Step) -> Iterator[State]:
        """An atomic exchange, of relaxed order: in memory, behind our own stores to the variable only."""
        _, name, value = step
        if name not in {entry[0] for entry in p.buffer}:
            yield self.go_on(s, role, p._replace(flag=dict(s.memory)[name]), **{name: value})

    def sleep(self, s: State, role: int, p: Process, step: Step) -> Iterator[State]:
        """FUTEX_WAIT while the word is 1."""
        if p.buffer:
            return
        if dict(s.memory)[step[1]] == 1:
            yield self.put(s, role, p._replace(pc=p.pc + 1, status="sleeps", early=()))
        else:
            yield self.go_on(s, role, p)

    def wake(self, s: State, role: int, p: Process, _step: Step) -> Iterator[State]:
        """FUTEX_WAKE of the word that only the other one sleeps on."""
        if p.buffer:
            return
        other = s.sides[1 - role]
        if other.status == "sleeps":
            s = self.put(s, 1 - role, other._replace(status="runs"))
        yield self.go_on(s, role, p)

    def alive(self, s: State, role: int, p: Process, step: Step) -> Iterator[State]:
        """Ask the kernel whether the other one lives, and jump if so."""
        other = s.sides[1 - role]
        dead = other.status == "dead" and not other.buffer
        yield self.go_on(s, role, p if dead else p._replace(pc=step[1] - 1))

    def settle(self, s: State, role: int, p: Process) -> Process:
        """Go on to the next step that touches memory, or to the end."""
        while True:
            kind, *rest = self.code[role][p.pc]
            if kind in {"goto", "if", "unless"}:
                jumps = kind == "goto" or bool(rest[0](p)) == (kind == "if")
                p = p._replace(pc=rest[-1] if jumps else p.pc + 1)
                continue
            if kind == "end":
                return Process(n=p.n, buffer=p.buffer, status="closed")
            if kind == "advance":
                p = p._replace(n=p.n + 1)
            elif kind == "check" and not rest[0](p):
                raise Violation(rest[1])
            elif kind == "tell" and role == 1:
                self.check_last(s, p, rest[0])
            elif kind not in {"check", "tell"}:
                return p
            p = p._replace(pc=p.pc + 1)

    def check_last(self, s: State, p: Process, how: str) -> None:
        """What the consumer is told must come after the last message."""
        memory = dict(s.memory)
        # A producer that was told of a dead consumer closes early, and one that succeeds a dead one may send more.
        last = self.messages if s.crashes == 0 else memory["tail"]
        if how == "EPIPE" and p.n != last and memory["state0"] == CLOSED:
            raise Violation("the stream ended before its last message")
        if how == "EOWNERDEAD" and p.n != memory["tail"]:
            raise Violation("the producer's death was told before its last message")


def reach(machine: Machine) -> dict[State, list[State]]:
    """Every reachable state, and the states before it."""
    before: dict[State, list[State]] = {machine.start: []}
    todo = [machine.start]
    while todo:
        s = todo.pop()
        following = list(machine.successors(s))
        if not following and any(p.status == "sleeps" for p in s.sides):
            raise Violation("a wake-up is lost: one sleeps, and nothing can happen any more")
        for t in following:
            if t not in before:
                before[t] = []
                todo.append(t)
            before[t].append(s)
    return before


def explore(messages: int, capacity: int, stop: int, crashes: int, weakened: dict[str, str] | None = None) -> int:
    """Visit every reachable state; raise Violation, or return how many there are."""
    before = reach(Machine(messages, capacity, stop, crashes, weakened or {}))
    todo = [s for s in before if all(p.status in {"closed", "dead"} for p in s.sides)]
    ends = set(todo)
    while todo:
        for s in before[todo.pop()]:
            if s not in ends:
                ends.add(s)
                todo.append(s)
    if len(ends) < len(before):
        raise Violation("from some state the end cannot be reached")
    return len(before)


# messages, capacity in messages, messages until the consumer closes, crashes
SETTINGS = [(3, 1, 9, 0), (3, 2, 9, 0), (3, 1, 1, 0), (2, 1, 9, 1), (2, 1, 1, 1)]


def flaw(name: str, order: str) -> str | None:
    """What goes wrong with the operation weakened, or None."""
    for setting in SETTINGS[:3]:
        try:
            explore(*setting, {name: order})
        except Violation as violation:
            return str(violation)
    return None


def main(arguments: list[str]) -> int:
    """Explore what the command line says."""
    if arguments:
        name, _, order = arguments[0].partition("=")
        found = flaw(name, order)
        print(found or "no flaw found")
        return 0 if found else 1
    for setting in SETTINGS:
        states = explore(*setting)
        print(
            "{} messages through room for {}, consumer stops after {}, {} crashes: ".format(*setting)
            + f"{states} states, all well"
        )
    failed = False
    for name, (_, _, kind, order) in OPERATIONS.items():
        for weaker in WEAKER[kind][order]:
            found = flaw(name, weaker)
            print(f"{name} {order} -> {weaker}: {found or 'no flaw'}")
            failed |= (found is None) != (f"{name}={weaker}" in HARMLESS)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
