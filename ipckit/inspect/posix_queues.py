"""POSIX message queues: mq_overview(7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ipckit.errors import AccessError, IPCError, SyscallError
from ipckit.inspect._processes.procfs import namespace_of
from ipckit.inspect._queue_folder import queue_folder
from ipckit.inspect._verdicts import judge
from ipckit.inspect.records import Record, Verdict
from ipckit.posix import MessageQueue, message_queues

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect._processes.scan import Scan
    from ipckit.inspect.records import Holder
    from ipckit.posix import QueueStatus

_UNLISTED = (
    "message queues that no process has open cannot be listed: the mqueue file system is mounted nowhere; "
    "as root: mkdir -p /dev/mqueue && mount -t mqueue none /dev/mqueue"
)
_GONE = " (deleted)"


@dataclass(frozen=True, kw_only=True)
class PosixQueue(Record):
    """A message queue. What it holds is None where it may not be read, and where queues can't be listed.

    Attributes:
        size: bytes that its messages can have together.
        since: when a message last came or went, or the queue was made.
        messages: in it now.
        max_messages: as many as it takes.
        max_message_size: bytes in one message at most.
        queued_bytes: bytes in all its messages.
        notify: how a process is registered to be told of a message: "signal", "thread" (that is every other way),
            "none" (SIGEV_NONE); None where nobody is.
        notify_signal: the signal.
        notify_pid: the process.
    """

    kind: ClassVar[str] = "mq"

    messages: int | None = None
    max_messages: int | None = None
    max_message_size: int | None = None
    queued_bytes: int | None = None
    notify: str | None = None
    notify_signal: int | None = None
    notify_pid: int | None = None

    @property
    def use(self) -> str:
        """How full it is."""
        return "" if self.messages is None else f"{self.messages} of {self.max_messages} messages"


def collect(scan: Scan, kind: str) -> Iterator[Record]:  # noqa: ARG001  # this module has one kind
    """The message queues of this IPC namespace."""
    with queue_folder() as folder:
        try:
            found = None if folder is None else message_queues(folder)
        except SyscallError as error:
            scan.notes.append(f"message queues that no process has open cannot be listed: {error}")
            yield from _open_ones(scan)
            return
    if found is None:
        scan.notes.append(_UNLISTED)
        yield from _open_ones(scan)
        return
    for status in found:
        yield _record(status, scan)


def absent(name: str, scan: Scan) -> Record | None:
    """A queue that could not be listed, and that nobody is seen to have open: by its name it is found all the same."""
    try:
        with MessageQueue.open(name, send=False) as queue:
            return _record(queue.stat(), scan)
    except AccessError:  # it is there, and tells nothing
        return PosixQueue(address=f"mq:{name}", unseen=scan.unseen, verdict=judge((), scan.unseen))
    except (IPCError, ValueError):
        return None


def _record(status: QueueStatus, scan: Scan) -> PosixQueue:
    holders = scan.holders(status.device, status.inode)
    takes = None
    if status.max_messages is not None and status.max_message_size is not None:
        takes = status.max_messages * status.max_message_size
    return PosixQueue(
        address=f"mq:{status.name}",
        uid=status.uid,
        gid=status.gid,
        mode=status.mode,
        size=takes,
        since=status.used_time,
        holders=holders,
        unseen=scan.unseen,
        verdict=_verdict(status, holders, scan.unseen),
        messages=status.messages,
        max_messages=status.max_messages,
        max_message_size=status.max_message_size,
        queued_bytes=status.qsize,
        notify=status.notify,
        notify_signal=status.signo or None,
        notify_pid=status.notify_pid or None,
    )


def _verdict(status: QueueStatus, holders: tuple[Holder, ...], unseen: int) -> Verdict:
    also = ""
    if status.messages:
        also = "a message waits" if status.messages == 1 else f"{status.messages} messages wait"
    if status.notify_pid and not holders:  # who is registered has it open
        reason = f"process {status.notify_pid}, which could not be looked into, is registered to be told of a message"
        return Verdict("in use", f"{reason}; {also}" if also else reason)
    return judge(holders, unseen, also=also)


def _open_ones(scan: Scan) -> Iterator[PosixQueue]:
    """The queues that processes have open: they have a name, and nothing else is told of them."""
    ours = namespace_of("self", "ipc")
    for _, path, holders in scan.things("file"):
        name = path.removesuffix(_GONE)
        if name.rfind("/") == 0 and name == path:  # a file of shared memory is deeper down
            foreign = all(namespace_of(holder.process.pid, "ipc") not in (ours, None) for holder in holders)
            verdict = judge(holders, scan.unseen)
            yield PosixQueue(
                address=f"mq:{name}",
                holders=holders,
                unseen=scan.unseen,
                verdict=Verdict("foreign", f"{verdict.reason}, in another IPC namespace") if foreign else verdict,
            )
