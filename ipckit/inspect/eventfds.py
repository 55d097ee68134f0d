"""Eventfds: who has which, and its count. eventfd(2), proc_pid_fdinfo(5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ipckit.inspect._processes.procfs import read_path
from ipckit.inspect._verdicts import judge
from ipckit.inspect.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect._processes.scan import Scan
    from ipckit.inspect.records import Holder


@dataclass(frozen=True, kw_only=True)
class EventFd(Record):
    """An eventfd. Kernels before Linux 5.2 do not tell which is which, and none is found there.

    Attributes:
        id: its number: the eventfd-id of /proc/PID/fdinfo.
        count: its counter.
        semaphore: whether a read takes 1, and not all (EFD_SEMAPHORE); None before Linux 6.5, which does not tell.
    """

    kind: ClassVar[str] = "eventfd"

    id: int
    count: int
    semaphore: bool | None

    @property
    def use(self) -> str:
        """Its counter."""
        return f"count {self.count}"


def collect(scan: Scan, kind: str) -> Iterator[Record]:  # noqa: ARG001  # this module has one kind
    """The eventfds that processes have."""
    for thing, _, holders in scan.things("eventfd"):
        fields = _ask(thing.inode, holders)
        if fields is None:
            continue
        flag = fields.get("eventfd-semaphore")
        yield EventFd(
            address=f"eventfd:[{thing.inode}]",
            id=thing.inode,
            count=int(fields["eventfd-count"], 16),
            semaphore=None if flag is None else flag == "1",
            holders=holders,
            unseen=scan.unseen,
            verdict=judge(holders, scan.unseen),
        )


def _ask(number: int, holders: tuple[Holder, ...]) -> dict[str, str] | None:
    """What a descriptor of it tells; None if nobody has it any more."""
    for holder in holders:
        for fd in holder.descriptors:
            try:
                text = read_path(f"/proc/{holder.process.pid}/fdinfo/{fd}").decode("ascii", "replace")
            except OSError:  # closed, ended, or no longer to be looked into
                continue
            fields = {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
            if fields.get("eventfd-id") == str(number):
                return fields
    return None
