"""The kinds of objects, and which module collects each."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.inspect._processes.scan import Scan
    from ipckit.inspect.records import Record


class Kind(NamedTuple):
    """A kind of objects.

    Attributes:
        name: the first part of the addresses.
        title: what people call it.
        module: which module of this package has `collect(scan)`.
        transient: whether it goes with the last process that has it, and so can never be left behind.
    """

    name: str
    title: str
    module: str
    transient: bool

    def collect(self, scan: Scan) -> Iterator[Record]:
        """The records of all objects of this kind, as *scan* saw their holders."""
        found: Iterator[Record] = import_module(f"ipckit.inspect.{self.module}").collect(scan, self.name)
        return found

    def left(self, name: str, scan: Scan) -> Record | None:
        """What an object that was not found has left behind at its name; None if there is nothing, or can't be."""
        absent: Callable[[str, Scan], Record | None] | None
        absent = getattr(import_module(f"ipckit.inspect.{self.module}"), "absent", None)
        return None if absent is None else absent(name, scan)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("ring", "rings of ipckit", "segments", transient=False),
        Kind("sync", "synchronisation objects of ipckit", "segments", transient=False),
        Kind("file", "files that ipckit keeps beside its objects", "leftovers", transient=False),
        Kind("mq", "POSIX message queues", "posix_queues", transient=False),
        Kind("sem", "POSIX semaphores", "posix_semaphores", transient=False),
        Kind("shm", "POSIX shared memory", "posix_memory", transient=False),
        Kind("sysv-mq", "System V message queues", "sysv_queues", transient=False),
        Kind("sysv-sem", "System V semaphore sets", "sysv_semaphores", transient=False),
        Kind("sysv-shm", "System V shared memory", "sysv_memory", transient=False),
        Kind("fifo", "FIFOs that are open", "fifos", transient=False),
        Kind("unix", "Unix sockets", "unix_sockets", transient=True),
        Kind("pipe", "pipes", "pipes", transient=True),
        Kind("memfd", "memory files without a name", "memfds", transient=True),
        Kind("eventfd", "eventfds", "eventfds", transient=True),
        Kind("pty", "pseudo-terminals", "terminals", transient=True),
        Kind("lock", "file locks", "file_locks", transient=True),
        Kind("futex", "waiters on futexes", "futex_waiters", transient=True),
    )
}
"""By name, in the order of a listing."""
