"""What is known of a segment of ipckit: a ring, or an object of synchronisation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from ipckit.inspect.records import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipckit.ring import BroadcastStat, LatestStat, MpmcStat, SpscStat


class Creator(NamedTuple):
    """The process that made a segment.

    Attributes:
        pid: in its own pid namespace.
        command: what proc_pid_comm(5) tells; None if it is gone or could not be looked into.
        started: when it began, in seconds since the epoch.
        pid_namespace: inode of that namespace.
        alive: None: it is of another pid namespace, where we cannot look.
    """

    pid: int
    command: str | None
    started: float
    pid_namespace: int
    alive: bool | None


class Participant(NamedTuple):
    """A process that takes part in a segment, as it said itself.

    Attributes:
        role: "producer", "consumer", "producer, consumer"; "owner" of a lock, also a writer, or who runs a Once;
            "reader", "holder" of permits, "waiter" for a condition, "party" that waits at a barrier.
        pid: in its own pid namespace; None if it has not yet said.
        command: what proc_pid_comm(5) tells; None if it is gone or could not be looked into.
        started: when the process began, in seconds since the epoch.
        pid_namespace: inode of that namespace.
        alive: whether the kernel still knows it; None if that cannot be told from here.
        held: how often it has a recursive lock, how often it reads, how many permits it has. An owner with 0 waits
            for readers to leave.
        thread: which thread of its is the owner.
        behind: bytes that a reader of a broadcast ring has still to receive.
        cut_off: whether such a reader was overtaken, and receives nothing more until it subscribes again.
    """

    role: str
    pid: int | None = None
    command: str | None = None
    started: float | None = None
    pid_namespace: int | None = None
    alive: bool | None = None
    held: int | None = None
    thread: int | None = None
    behind: int | None = None
    cut_off: bool = False


@dataclass(frozen=True, kw_only=True)
class Segment(Record):
    """A segment of ipckit: /dev/shm/ipckit.NAME, or a memory file without a name that somebody has open.

    Attributes:
        size: bytes of the file.
        type: the class of the object; None if it could not be read, or this version knows none such.
        layout: the version of the segment's layout.
        id: 32 hexadecimal digits, which no other segment has.
        creator: who made it; None where that is not recorded.
        participants: who has a role in it, also the dead whom nobody has missed yet.
        choices: what its creator chose, by the names of the arguments of `create`.
        problem: why it could not be read, or not all of it; "" if it could.
    """

    type: str | None = None
    layout: int | None = None
    id: str | None = None
    creator: Creator | None = None
    participants: tuple[Participant, ...] = ()
    choices: Mapping[str, int | str | bool] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Ring(Segment):
    """A ring.

    Attributes:
        capacity: bytes.
        depth: messages that wait to be received; in a broadcast ring, by the reader that is the furthest behind.
        producers_end, consumers_end: what the other side will find when it waits: "open"; "closed" or "died", when the
            last one has gone so; "nobody yet". A dead one that nobody has missed yet has "died" here.
        statistics: what `stat` of the ring returns.
    """

    kind: ClassVar[str] = "ring"

    capacity: int | None = None
    depth: int | None = None
    producers_end: str | None = None
    consumers_end: str | None = None
    statistics: SpscStat | MpmcStat | BroadcastStat | LatestStat | None = None

    @property
    def aliases(self) -> tuple[str, ...]:
        """One that could not be read may be an object of synchronisation as well."""
        return (f"sync:{self.name}",) if self.layout is None else ()

    @property
    def use(self) -> str:
        """How full it is."""
        if self.statistics is None:
            return ""
        used = f"{self.statistics.used} of {self.capacity} bytes"
        if self.type == "Latest":
            return (
                f"value {self.statistics.sent}, {self.statistics.used} bytes"
                if self.statistics.sent
                else "no value yet"
            )
        return f"{self.depth} message{'' if self.depth == 1 else 's'}, {used}"


@dataclass(frozen=True, kw_only=True)
class Sync(Segment):
    """An object of synchronisation in a segment of its own.

    Attributes:
        value: permits left; what a latch has left to count; the number in an atomic or a futex; 1 or 0: whether an
            event is set, or a Once is done; of an EventPair 1 for low plus 2 for high.
        limit: permits there are at most; None where nothing bounds them.
        waiting: parties at a barrier, waiters for a condition, handles that wait to read.
        contended: whether somebody may be asleep on it; a waiter that was killed leaves it so.
        owner_died: whether an owner died, and nobody has said since that what it protects is right.
        lost: whether nobody can acquire it any more: who was told of a death released it without `mark_consistent`.
        broken: whether a barrier is broken.
    """

    kind: ClassVar[str] = "sync"

    value: int | None = None
    limit: int | None = None
    waiting: int | None = None
    contended: bool | None = None
    owner_died: bool | None = None
    lost: bool | None = None
    broken: bool | None = None

    @property
    def use(self) -> str:
        """Who has it, or what it counts."""
        return "" if self.type is None else ", ".join(self._words())

    def _words(self) -> list[str]:
        words = []
        if self.type in {"Mutex", "RWLock"}:
            words.append(_held_by(self.participants))
        elif self.type == "Condition":
            words.append(f"{self.waiting} wait" if self.waiting else "nobody waits")
        elif self.type in {"Semaphore", "TrackedSemaphore"}:
            words.append(
                f"{self.value} of {self.limit} permits left" if self.limit is not None else f"value {self.value}"
            )
        elif self.type == "Event":
            words.append("set" if self.value else "clear")
        elif self.type == "EventPair":
            words.append(f"low {_set(self.value, 1)}, high {_set(self.value, 2)}")
        elif self.type == "Barrier":
            words.append(f"{self.waiting} of {self.choices.get('parties')} parties wait")
        elif self.type == "Latch":
            words.append(f"{self.value} left to count" if self.value else "open")
        elif self.type == "Once":
            words.append("done" if self.value else "running" if self.participants else "not done")
        else:
            words.append(f"value {self.value}")
        words += [word for word in ("owner_died", "lost", "broken") if getattr(self, word)]
        return [word.replace("_", " ") for word in words]


def _set(value: int | None, bit: int) -> str:
    return "set" if (value or 0) & bit else "clear"


def _held_by(participants: tuple[Participant, ...]) -> str:
    owners = [who for who in participants if who.role == "owner"]
    readers = [who for who in participants if who.role == "reader"]
    if owners:
        dead = ", which is dead" if owners[0].alive is False else ""
        return f"held by process {owners[0].pid or 'unknown'}{dead}"
    return f"{len(readers)} read" if readers else "free"
