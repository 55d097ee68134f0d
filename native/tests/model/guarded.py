"""A lock in one step, for models of what is built on it: lock.py has its protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model.program import Process, State, Step


class Guarded(Machine):
    """Variable `owner` is the number of whose it is, plus 1."""

    def entered(self, _state: State, p: Process, *, dead: bool) -> Process:
        """The process when it has the lock; dead: its last owner was."""
        del dead
        return p

    def lock(self, s: State, role: int, p: Process, _step: Step) -> Iterator[State]:
        """Wait until it is free, or its owner is dead."""
        owner = s.memory[self.at["owner"]]
        if not owner or not self.lives(s.processes[owner - 1]):
            q = self.entered(s, p._replace(early=(), ahead=""), dead=owner > 0)
            yield self.go_on(s, role, q, owner=role + 1)

    def unlock(self, s: State, role: int, p: Process, _step: Step) -> Iterator[State]:
        """Give it back."""
        if not p.buffer:
            yield self.go_on(s, role, p, owner=0)
