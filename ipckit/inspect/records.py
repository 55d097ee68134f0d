"""What is known of an IPC object: a frozen record, the processes that hold it, and a verdict with its reason."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

State = Literal["in use", "idle", "stale", "unused", "foreign", "unknown"]
"""What can be said of an object.

========  ========================================================================================================
state     meaning
========  ========================================================================================================
in use    a process has it open, maps it, is attached or waits
idle      nobody has it, but whoever made it or used it last still runs
stale     ipckit's own, and its maker and all who held it are provably gone: `clean` may remove it
unused    another's: nobody is seen to have it; whether somebody will want it again, no kernel can tell
foreign   it belongs to another namespace: it is shown, and judged there, not here
unknown   some processes could not be looked into, or the object could not be read
========  ========================================================================================================
"""


class Process(NamedTuple):
    """A process, as it was when it was looked at.

    Attributes:
        pid: its number in this pid namespace.
        command: what proc_pid_comm(5) tells, at most 15 bytes.
        uid: its effective user.
    """

    pid: int
    command: str
    uid: int


class Holder(NamedTuple):
    """How a process holds an object.

    Attributes:
        process: which one.
        descriptors: its descriptors of the object.
        mapped: whether it maps the object.
        access: "r", "w" or "rw", of the descriptors and mappings together; "" where that means nothing.
    """

    process: Process
    descriptors: tuple[int, ...] = ()
    mapped: bool = False
    access: str = ""


def users(holders: Iterable[Holder]) -> tuple[Holder, ...]:
    """Those who may write to it. What ipckit shares is of no use without; whoever reads alone only looks, as we do."""
    return tuple(holder for holder in holders if "w" in holder.access)


class Verdict(NamedTuple):
    """What can be said of an object, and why."""

    state: State
    reason: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is known of one object. A field is None where the kernel, or its permissions, do not tell.

    Attributes:
        address: what every command takes, such as "mq:/jobs".
        uid, gid: its owner.
        mode: permission bits.
        size: bytes that it takes, or has room for.
        since: when it was made, or where the kernel does not tell that, last changed; seconds since the epoch.
        holders: the processes that have it now, as far as they can be seen.
        unseen: how many processes could not be looked into: each of them may hold it too.
        verdict: what can be said of it.
    """

    kind: ClassVar[str]
    """The first part of the addresses."""

    address: str
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    size: int | None = None
    since: float | None = None
    holders: tuple[Holder, ...] = ()
    unseen: int = 0
    verdict: Verdict

    @property
    def name(self) -> str:
        """The address without its kind."""
        return self.address.partition(":")[2]

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other addresses of the object."""
        return ()

    @property
    def use(self) -> str:
        """How much it is used, in a few words, such as "3 of 10 messages"; "" where there is nothing to say."""
        return ""

    @property
    def age(self) -> float | None:
        """Seconds from `since` to now."""
        return None if self.since is None else max(0.0, time.time() - self.since)

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that have it now."""
        return tuple(holder.process.pid for holder in self.holders)
