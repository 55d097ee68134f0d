"""Threads that wait on futexes, and in which object: futex(2), proc_pid_syscall(5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from ipckit.inspect._waits.futex_calls import FutexCalls
from ipckit.inspect._waits.futex_places import Places
from ipckit.inspect.records import Holder, Record, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect._processes.scan import Scan
    from ipckit.inspect._waits.futex_calls import Word
    from ipckit.inspect.records import Process

_UNKNOWN = "words that could not be seen"
_FORBIDDEN = "what {} wait for may not be seen: that takes the right to trace them (ptrace(2))"
_NO_NUMBERS = "waiters on futexes are not found: the numbers of this architecture's system calls are not known"
_NAMED = 3


class Waiting(NamedTuple):
    """A thread that waits for a word; one that waits for several has one of these for each.

    Attributes:
        tid: the thread.
        operation: "wait", "wait_bitset", "lock_pi", "lock_pi2", "wait_requeue_pi" of futex(2), or "waitv".
        object: the address of what the word lies in, such as "sync:/lock"; of what has no address, the path that is
            mapped, or a description.
        offset: of the word in it, in bytes; None where the words of futex_waitv(2) could not be seen.
    """

    tid: int
    operation: str
    object: str
    offset: int | None


@dataclass(frozen=True, kw_only=True)
class FutexWaiters(Record):
    """The threads of a process that sleep till another process wakes them.

    Only words in memory that processes share are told. Processes whose threads all wait for each other have no
    record. The kernel does not tell who would wake them.

    A waiting thread wakes for a moment now and then, and one look may miss it.

    Attributes:
        waiting: the threads, and what each waits for.
        private: how many other threads wait for what only their own process has: its locks, its threads.
    """

    kind: ClassVar[str] = "futex"

    waiting: tuple[Waiting, ...]
    private: int

    @property
    def use(self) -> str:
        """How many threads wait, and for what."""
        return f"{_threads(self.waiting)} on {_objects(self.waiting)}"


def collect(scan: Scan, kind: str) -> Iterator[Record]:  # noqa: ARG001  # this module has one kind
    """The processes that wait for others, in the order of their pids."""
    try:
        futexes = FutexCalls()
    except NotImplementedError:
        scan.notes.append(_NO_NUMBERS)
        return
    places = Places()
    forbidden = 0
    for process in scan.processes:
        try:
            record = _record(process, futexes, places)
        except PermissionError:
            forbidden += 1
            continue
        if record is not None:
            yield record
    if forbidden:
        scan.notes.append(_FORBIDDEN.format("1 process" if forbidden == 1 else f"{forbidden} processes"))


def _record(process: Process, futexes: FutexCalls, places: Places) -> FutexWaiters | None:
    waiting: list[Waiting] = []
    private = 0
    for tid, words in futexes.of(process.pid):
        shared = list(_shared(process.pid, tid, words, places))
        waiting += shared
        private += not shared
    if not waiting:
        return None
    found = tuple(waiting)
    return FutexWaiters(
        address=f"futex:{process.pid}",
        uid=process.uid,
        waiting=found,
        private=private,
        holders=(Holder(process),),
        verdict=Verdict("in use", f"process {process.pid} ({process.command}): {_threads(found)} on {_objects(found)}"),
    )


def _shared(pid: int, tid: int, words: list[Word], places: Places) -> Iterator[Waiting]:
    for word in words:
        if word.address is None:
            yield Waiting(tid, word.operation, _UNKNOWN, None)
        elif not word.private and (place := places.of(pid, word.address)):
            yield Waiting(tid, word.operation, place.object, place.offset)


def _threads(waiting: tuple[Waiting, ...]) -> str:
    count = len({thread.tid for thread in waiting})
    return "1 thread waits" if count == 1 else f"{count} threads wait"


def _objects(waiting: tuple[Waiting, ...]) -> str:
    names = list(dict.fromkeys(thread.object for thread in waiting))
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
