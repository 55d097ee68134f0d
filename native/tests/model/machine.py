"""Processes that share memory, each with a store buffer, and every state that they can get into.

It is what neither x86 nor ThreadSanitizer can show. A store that is not seq_cst may stay in the buffer while later
loads read memory; a seq_cst load waits until the seq_cst stores before it have left (the rule of AArch64's stlr and
ldar; x86 has it by its locked stores); a relaxed store may overtake others. What follows a relaxed load may be read
before it, and what follows a read-modify-write before its store is seen, but for seq_cst after seq_cst. A
read-modify-write that releases waits for the stores before it. System calls empty the buffer.

What the machine leaves out: a load that is delayed behind a later store, and a peer that is not ours.

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

from collections import deque
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

Step = tuple  # (kind, ...)
Program = list[Any]  # of steps, and of labels between them

JUMPS = {"if", "unless", "goto", "alive", "runs", "cas", "choose", "late", "requeue", "wake_some"}
DIFFERS, WOKEN, LATE = 0, 1, 2  # how a sleep ended
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


class Machine:
    """Programs, their memory, and the orders of their operations."""

    def __init__(self, processes: list[tuple[Program, Process]], memory: dict[str, int], crashes: int) -> None:
        self.code = [assemble(program) for program, _ in processes]
        self.members = list(range(len(processes)))  # of which member each process is a thread
        self.at = {name: i for i, name in enumerate(memory)}
        values = tuple(memory.values())
        self.fresh = [self.settle(role, process, values)[0] for role, (_, process) in enumerate(processes)]
        self.orders = {order: order for order in ("relaxed", "acquire", "release", "seq_cst")} | {"plain": "relaxed"}
        self.speculates = False  # whether what follows is done ahead of any operation, or of those in `weakened` only
        self.weakened: set[str] = set()
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
        p, memory = self.settle(role, p._replace(pc=p.pc + 1), self.changed(s.memory, stored))
        return self.put(s, role, p)._replace(memory=memory)

    def go_to(self, s: State, role: int, p: Process, place: int) -> State:
        """The process has done its step, and jumps."""
        return self.go_on(s, role, p._replace(pc=place - 1))

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

    # Memory.

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
        old = s.memory[self.at[name]]
        if old != of(expected, p.registers):
            q = self.known(p, name, old)
            yield self.go_to(s, role, q._replace(registers=q.registers._replace(**{into: old})), otherwise)
            return
        new = of(desired, p.registers)
        for other in self.exclusive(s, role, p, operation, name):
            q = self.exchanged(p, operation, name, new)
            yield other if other is not None else self.go_on(s, role, q, **{name: new})

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
