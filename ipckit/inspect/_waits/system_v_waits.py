"""Who sleeps in a call on a System V queue or semaphore set: proc_pid_syscall(5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit._syscalls import numbers
from ipckit.inspect._processes.calls import calls
from ipckit.inspect._processes.procfs import namespace_of
from ipckit.inspect.records import Holder

if TYPE_CHECKING:
    from ipckit.inspect._processes.scan import Scan

_INT = 0xFFFFFFFF


class Sleepers:
    """The processes that sleep in such calls. They are looked for when they are first asked for.

    Args:
        names: of the calls; the first argument of each is the object's number.
    """

    def __init__(self, scan: Scan, *names: str) -> None:
        self._scan = scan
        self._names = names
        self._found: dict[int, tuple[Holder, ...]] | None = None
        self._unseen = 0

    def at(self, number: int) -> tuple[Holder, ...]:
        """Those that sleep in a call on this object."""
        return self._all().get(number, ())

    @property
    def unseen(self) -> int:
        """How many processes do not let us see what they sleep in."""
        self._all()
        return self._unseen

    def _all(self) -> dict[int, tuple[Holder, ...]]:
        if self._found is None:
            self._found = {}
            self._unseen = self._scan.unseen
            try:
                self._look(numbers(self._names))
            except NotImplementedError:  # of this architecture the numbers are not known
                self._unseen += len(self._scan.processes)
        return self._found

    def _look(self, wanted: frozenset[int]) -> None:
        found: dict[int, dict[int, Holder]] = {}
        ours = namespace_of("self", "ipc")
        for process in self._scan.processes:
            try:
                asleep = {call.arguments[0] & _INT for _, call in calls(process.pid) if call.number in wanted}
            except PermissionError:
                self._unseen += 1
                continue
            if asleep and namespace_of(process.pid, "ipc") == ours:
                for number in asleep:
                    found.setdefault(number, {})[process.pid] = Holder(process)
        self._found = {number: tuple(holders.values()) for number, holders in found.items()}
