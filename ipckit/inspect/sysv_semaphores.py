"""System V semaphore sets: sysvipc(7), semctl(2)."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ipckit._native import ffi, lib
from ipckit._native_quick import lib as quick
from ipckit.errors import NotFoundError, syscall_error
from ipckit.inspect._system_v import GONE, Past, SystemVRecord, User, common_fields, moment, rows
from ipckit.inspect._verdicts import told
from ipckit.inspect._waits.system_v_waits import Sleepers
from ipckit.inspect.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect._processes.scan import Scan
    from ipckit.inspect.records import Holder

_SHOWN = 8  # values in a few words


@dataclass(frozen=True, kw_only=True)
class SystemVSet(SystemVRecord):
    """A semaphore set. What is told of single semaphores is None where it may not be read.

    Attributes:
        since: when it was made, or a value, its owner or its mode was set.
        holders: the processes that sleep in a call on it, as far as can be seen; nobody keeps it open.
        semaphores: how many it has.
        values: their tokens.
        waiting: how many threads wait to take from each.
        waiting_for_zero: how many threads wait until it has none.
        last_pids: who changed each last; 0 for nobody, or a process of another pid namespace.
        operation_time: of the last semop(2); seconds since 1970, None for never.
    """

    kind: ClassVar[str] = "sysv-sem"

    semaphores: int
    values: tuple[int, ...] | None
    waiting: tuple[int, ...] | None
    waiting_for_zero: tuple[int, ...] | None
    last_pids: tuple[int, ...] | None
    operation_time: float | None

    @property
    def use(self) -> str:
        """The first values, and how many wait."""
        if self.values is None:
            return f"{self.semaphores} semaphores"
        shown = " ".join(map(str, self.values[:_SHOWN]))
        more = " ..." if self.semaphores > _SHOWN else ""
        waiters = sum(self.waiting or ()) + sum(self.waiting_for_zero or ())
        return f"value{'s' if self.semaphores > 1 else ''} {shown}{more}" + (f", {waiters} waiting" if waiters else "")


def collect(scan: Scan, kind: str) -> Iterator[SystemVSet]:
    """The sets of this IPC namespace."""
    past, sleepers = Past(), Sleepers(scan, "semop", "semtimedop")
    for row in rows("sem", scan):
        number, size = row["semid"], row["nsems"]
        try:
            values = _values(number, size)
            waiting = _ask(number, size, lib.IPK_SYSV_SEM_WAITING)
            for_zero = _ask(number, size, lib.IPK_SYSV_SEM_WAITING_ZERO)
            pids = _ask(number, size, lib.IPK_SYSV_SEM_PID)
        except NotFoundError:
            continue
        # Where nobody may ask the kernel how many wait, all that can be done is to look for them.
        waiters = len(sleepers.at(number)) if waiting is None else sum(waiting) + sum(for_zero or ())
        yield SystemVSet(
            **common_fields(kind, "sem", row, number),
            holders=sleepers.at(number) if waiters else (),
            unseen=sleepers.unseen if waiters else 0,
            verdict=_waited_for(waiters, sleepers.at(number)) if waiters else _verdict(row, values, pids, past),
            semaphores=size,
            values=values,
            waiting=waiting,
            waiting_for_zero=for_zero,
            last_pids=pids,
            operation_time=moment(row["otime"]),
        )


def _values(number: int, size: int) -> tuple[int, ...] | None:
    into = ffi.new("uint16_t[]", size)
    return None if _forbidden(quick.ipk_sysv_sem_values(number, into), number) else tuple(into)


def _ask(number: int, size: int, what: int) -> tuple[int, ...] | None:
    """One thing of each semaphore; None if it may not be read."""
    found = []
    for index in range(size):
        answer = quick.ipk_sysv_sem_ask(number, index, what)
        if _forbidden(answer, number):
            return None
        found.append(answer)
    return tuple(found)


def _forbidden(result: int, number: int) -> bool:
    """Whether the answer is that there is no right to read.

    Raises:
        NotFoundError: the set is gone (ENOENT).
    """
    if result in GONE:
        raise syscall_error(errno.ENOENT, "semctl", f"id {number}")
    return result < 0


def _waited_for(threads: int, seen: tuple[Holder, ...]) -> Verdict:
    found = "a thread waits" if threads == 1 else f"{threads} threads wait"
    return Verdict("in use", f"{found}; {told(seen, 'waits', 'wait')}" if seen else found)


def _verdict(row: dict[str, int], values: tuple[int, ...] | None, pids: tuple[int, ...] | None, past: Past) -> Verdict:
    if pids is None or values is None:
        return Verdict("unknown", "it may not be read, so neither who waits nor who used it last is known")
    at = max(row["otime"], row["ctime"])
    # Nobody's pid is 0, and so is that of a process elsewhere: but what nobody has changed has the value 0, too.
    changed = {pid for pid, value in zip(pids, values, strict=True) if pid or value}
    if row["otime"] and not changed:
        changed = {0}
    users = [User("changed a value last", pid, at) for pid in sorted(changed)]
    return past.judge(users, "nobody has operated on it, and the kernel does not note who made it")
