"""System V message queues: sysvipc(7), msgctl(2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ipckit._native import ffi
from ipckit._native_quick import lib as quick
from ipckit.inspect._system_v import GONE, Past, SystemVRecord, User, common_fields, moment, rows
from ipckit.inspect._verdicts import told
from ipckit.inspect._waits.system_v_waits import Sleepers
from ipckit.inspect.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect._processes.scan import Scan


@dataclass(frozen=True, kw_only=True)
class SystemVQueue(SystemVRecord):
    """A queue. Times are seconds since 1970, None for never; a pid is None for none, or of another pid namespace.

    Attributes:
        size: bytes of data that it takes at most; None where its status may not be read.
        since: when it was made, or its owner, mode or size was set.
        messages: in it now.
        queued_bytes: bytes of data in it now.
        holders: the processes that sleep in a call on it, as far as can be seen; nobody keeps it open.
        send_pid, receive_pid: who sent and received last.
        send_time, receive_time: when.
    """

    kind: ClassVar[str] = "sysv-mq"

    messages: int
    queued_bytes: int
    send_pid: int | None
    receive_pid: int | None
    send_time: float | None
    receive_time: float | None

    @property
    def use(self) -> str:
        """How full it is."""
        messages = "1 message" if self.messages == 1 else f"{self.messages} messages"
        room = "" if self.size is None else f" of {self.size}"
        return f"{messages}, {self.queued_bytes}{room} bytes"


def collect(scan: Scan, kind: str) -> Iterator[SystemVQueue]:
    """The queues of this IPC namespace."""
    status = ffi.new("struct ipk_sysv_msg_status *")
    past, sleepers = Past(), Sleepers(scan, "msgsnd", "msgrcv")
    for row in rows("msg", scan):
        number = row["msqid"]
        result = quick.ipk_sysv_msg_stat(number, status)
        if result in GONE:
            continue
        yield SystemVQueue(
            **common_fields(kind, "msg", row, number),
            size=status.max_bytes if result == 0 else None,
            holders=sleepers.at(number),
            unseen=sleepers.unseen,
            verdict=_verdict(row, sleepers, past),
            messages=row["qnum"],
            queued_bytes=row["cbytes"],
            send_pid=row["lspid"] or None,
            receive_pid=row["lrpid"] or None,
            send_time=moment(row["stime"]),
            receive_time=moment(row["rtime"]),
        )


def _verdict(row: dict[str, int], sleepers: Sleepers, past: Past) -> Verdict:
    content = {0: "", 1: "; a message waits"}.get(row["qnum"], f"; {row['qnum']} messages wait")
    if waiting := sleepers.at(row["msqid"]):
        return Verdict("in use", f"{told(waiting, 'waits', 'wait')}{content}")
    users = [
        User("sent to it last", row["lspid"], row["stime"]),
        User("received from it last", row["lrpid"], row["rtime"]),
    ]
    users.sort(key=lambda user: user.at, reverse=True)
    found = past.judge(users, "nobody has sent to it or received from it, and the kernel does not note who made it")
    if found.state == "unused" and sleepers.unseen:
        who = "one process" if sleepers.unseen == 1 else f"{sleepers.unseen} processes"
        found = Verdict("unknown", f"{found.reason}; whether {who} may wait for it cannot be seen")
    return found._replace(reason=f"{found.reason}{content}")
