"""Processes that share memory, each with a store buffer (processor.py), and what can happen to them next.

It is what neither x86 nor ThreadSanitizer can show. System calls empty the buffer. What the machine leaves out: a peer
that is not ours.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

from model.processor import Processor
from model.program import DIFFERS, LATE, WOKEN, Memory, State, Violation, assemble, of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model.program import Process, Program, Step


class Machine(Processor):
    """Programs, their memory, and the orders of their operations."""

    def __init__(self, processes: list[tuple[Program, Process]], memory: dict[str, int], crashes: int) -> None:
        super().__init__()
        self.code = [assemble(program) for program, _ in processes]
        self.members = list(range(len(processes)))  # of which member each process is a thread
        self.at = {name: i for i, name in enumerate(memory)}
        values = tuple(memory.values())
        self.fresh = [self.settle(role, process, values)[0] for role, (_, process) in enumerate(processes)]
        self.crashes = crashes
        self.start = State(values, tuple(self.fresh), 0)

    # What a kind of model may have otherwise.

    def died(self, _member: int, _memory: Memory) -> dict[str, int]:
        """What the model notes when all threads of a member have been killed."""
        return {}

    def ended(self, role: int, _registers: Any) -> Any:
        """The registers that matter when the program has ended."""
        return self.fresh[role].registers

    def successor(self, _role: int) -> Process | None:
        """Who takes the place of a dead process."""
        return None

    def lives(self, p: Process) -> bool:
        """A killed process is gone when its last store has been seen."""
        return p.status in {"runs", "sleeps"} or bool(p.buffer)

    def rests(self, _state: State, _process: Process) -> bool:
        """Whether it may sleep for ever, for there is nothing left to wake it for."""
        return False

    def ends(self, s: State) -> bool:
        """Whether nobody has anything left to do."""
        return all(p.status in {"closed", "dead"} or (p.status == "sleeps" and self.rests(s, p)) for p in s.processes)

    def locked(self, s: State, member: int) -> bool:
        """Whether any thread of a member lives, as the kernel says."""
        return any(self.lives(q) for q, its in zip(s.processes, self.members, strict=True) if its == member)

    # Transitions.

    def successors(self, s: State) -> Iterator[State]:
        """All that can happen next, but for the end of a slice."""
        for role, p in enumerate(s.processes):
            if p.buffer:
                yield from self.drain(s, role, p)
            if p.status == "runs":
                step = self.code[role][p.pc]
                yield from getattr(self, step[0])(s, role, p, step)
            elif p.status == "dead" and not p.buffer:
                new = self.successor(role)
                if new is not None:
                    yield self.put(s, role, new)
            if p.status in {"runs", "sleeps"} and s.crashes < self.crashes and self.members[role] == role:
                yield self.crash(s, role)

    def timers(self, s: State) -> Iterator[State]:
        """Slices that may be over."""
        for role, p in enumerate(s.processes):
            if p.status == "sleeps" and (s.crashes > 0 or p.slices > 0):
                yield self.rouse(s, role, p._replace(slices=max(p.slices - 1, 0)), LATE)

    def crash(self, s: State, member: int) -> State:
        """All threads of a member are killed; what they have stored will still be seen."""
        processes = tuple(
            self.fresh[role]._replace(buffer=p.buffer, status="dead") if self.members[role] == member else p
            for role, p in enumerate(s.processes)
        )
        memory = self.changed(s.memory, self.died(member, Memory(self.at, s.memory)))
        return State(memory, processes, s.crashes + 1)

    def go_on(self, s: State, role: int, p: Process, **stored: int) -> State:
        """The process has done its step, which stored something, and goes on to its next one."""
        p, memory = self.settle(role, p._replace(pc=p.pc + 1), self.changed(s.memory, stored))
        return self.put(s, role, p)._replace(memory=memory)

    def settle(self, role: int, p: Process, memory: tuple[int, ...]) -> tuple[Process, tuple[int, ...]]:
        """Go on to the next step that takes time, or to the end."""
        code = self.code[role]
        while True:
            kind, *rest = code[p.pc]
            if kind in {"goto", "if", "unless"}:
                jumps = kind == "goto" or bool(rest[0](p.registers)) == (kind == "if")
                p = p._replace(pc=rest[-1] if jumps else p.pc + 1)
                continue
            if kind == "end":
                fresh = self.fresh[role]
                p = fresh._replace(registers=self.ended(role, p.registers), buffer=p.buffer, slices=0, status="closed")
                return p, memory
            if kind == "set":
                p = p._replace(registers=p.registers._replace(**{rest[0]: of(rest[1], p.registers)}))
            elif kind == "check":
                if not rest[0](p.registers):
                    raise Violation(rest[1])
            elif kind == "ghost":
                memory = self.changed(memory, rest[0](p.registers, Memory(self.at, memory)) or {})
            else:
                return p, memory
            p = p._replace(pc=p.pc + 1)

    # Calls.

    def sleep(self, s: State, role: int, p: Process, step: Step) -> Iterator[State]:
        """FUTEX_WAIT while the word is as expected."""
        if p.buffer:
            return
        name, expected = (of(value, p.registers) for value in step[1:])
        p = p._replace(early=(), ahead="")
        if s.memory[self.at[name]] == expected:
            yield self.put(s, role, p._replace(pc=p.pc + 1, status="sleeps", word=name))
        else:
            yield self.rouse(s, role, p._replace(pc=p.pc + 1), DIFFERS)

    def rouse(self, s: State, role: int, p: Process, slept: int) -> State:
        """The process goes on after its sleep."""
        if hasattr(p.registers, "slept"):
            p = p._replace(registers=p.registers._replace(slept=slept))
        return self.go_on(s, role, p._replace(pc=p.pc - 1, status="runs", word=""))

    def wake(self, s: State, role: int, p: Process, step: Step) -> Iterator[State]:
        """FUTEX_WAKE of so many, whichever they are."""
        if p.buffer:
            return
        name, count = (of(value, p.registers) for value in step[1:])
        asleep = [i for i, q in enumerate(s.processes) if q.status == "sleeps" and q.word == name]
        for chosen in combinations(asleep, min(count, len(asleep))):
            t = self.go_on(s, role, p)
            for i in chosen:
                t = self.rouse(t, i, t.processes[i], WOKEN)
            yield t

    def alive(self, s: State, role: int, p: Process, step: Step) -> Iterator[State]:
        """Ask the kernel whether a member lives, and jump if so. What a dead one stored is seen after that."""
        member = of(step[1], p.registers)
        if self.locked(s, member):
            yield self.go_to(s, role, p, step[2])
        else:
            yield self.go_on(s, role, p._replace(early=(), ahead=""))

    def choose(self, s: State, role: int, p: Process, step: Step) -> Iterator[State]:
        """Jump, or do not."""
        yield self.go_on(s, role, p)
        yield self.go_to(s, role, p, step[1])

    def late(self, s: State, role: int, p: Process, step: Step) -> Iterator[State]:
        """Jump; or its slice is over though it did not sleep to the end of it."""
        yield self.go_to(s, role, p, step[1])
        if p.slices > 0:
            yield self.go_on(s, role, p._replace(slices=p.slices - 1))
