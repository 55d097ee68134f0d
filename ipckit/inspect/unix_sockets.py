"""Unix sockets: who listens, who is connected with whom, what waits. unix(7), sock_diag(7)."""

from __future__ import annotations

import errno
import os
import socket
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from ipckit._socket_file import probe
from ipckit.inspect._sockets.names import Names
from ipckit.inspect._sockets.sock_diag import ESTABLISHED, LISTEN
from ipckit.inspect._sockets.table import Bound, SocketTable
from ipckit.inspect._verdicts import judge
from ipckit.inspect.records import Record, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect._processes.scan import Scan
    from ipckit.inspect._sockets.sock_diag import Described
    from ipckit.inspect.records import Holder

Type = Literal["stream", "dgram", "seqpacket"]
Condition = Literal["listening", "bound", "connected", "waiting", "disconnected", "unconnected", "left"]

_TYPES: dict[int, Type] = {
    socket.SOCK_STREAM: "stream",
    socket.SOCK_DGRAM: "dgram",
    socket.SOCK_SEQPACKET: "seqpacket",
}
_NOBODY = (
    "no process that was looked at has it: it is on its way through another socket, or was made since, or is held by "
    "the kernel or in another pid namespace"
)
_SHOWN = 3
_REMOVED = "its path does not lead to it here, so nobody can connect by it from here"
_ALIVE = frozenset((0, errno.EPROTOTYPE, errno.EPERM))
"""What connecting says where a socket is bound: it may be of another type, or receive from another one alone."""
_LOOKS = 3  # at the list for a socket that was left out
_UNBOUND = Bound(b"", None)


class Peer(NamedTuple):
    """The other side of a connection.

    Attributes:
        address: of its record; or of the listener that has not accepted it yet.
        bound: the name that it has, be it its listener's; None without one.
        pids: the processes that have it.
    """

    address: str
    bound: str | None
    pids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class UnixSocket(Record):
    r"""A Unix socket of this network namespace.

    An accepted connection has its listener's name too, and is no object of that name: its address is its inode.

    Attributes:
        inode: its number, as in "socket:[123]"; 0 for what is "left", and for one of another network namespace.
        type: "stream", "dgram" or "seqpacket"; None where the inode is 0.
        state: "listening"; "bound" to a name, and neither listening nor connected; "connected"; "waiting" to be
            accepted; "disconnected": the other side is closed; "unconnected"; "left": a socket file that no socket is
            bound to.
        bound: the name it has: a path as it was given to bind(2), or "@NAME" in the abstract namespace, with each
            further NUL as "\x00"; None for a socket without a name.
        reachable: whether the path leads to it, in this mount namespace; None where that was not to be asked, and of
            what has no path.
        peer: the other side; None if there is none, and where the kernel does not tell.
        to_read: bytes that wait to be read; of a datagram socket, those of the next message; None: not told.
        unread: bytes of kernel memory that what it sent takes until the other side has read it; None: not told.
        backlog: how many wait to be accepted by a listener; None: not told.
        backlog_limit: what listen(2) was given; one more than that may wait.
        clients: the addresses of those who wait to be accepted.
    """

    kind: ClassVar[str] = "unix"

    inode: int
    type: Type | None
    state: Condition
    bound: str | None
    reachable: bool | None
    peer: Peer | None
    to_read: int | None
    unread: int | None
    backlog: int | None
    backlog_limit: int | None
    clients: tuple[str, ...]

    @property
    def aliases(self) -> tuple[str, ...]:
        """Its inode, where its address is a name."""
        number = f"unix:[{self.inode}]"
        return () if self.address == number else (number,)

    @property
    def use(self) -> str:
        """Its type and state, who is at the other side, and what waits."""
        if self.state == "listening":
            waiting = "" if self.backlog is None else f", {self.backlog} of {self.backlog_limit} wait to be accepted"
            return f"{self.type}, listening{waiting}"
        if self.state == "left":
            return "socket file that nobody is bound to"
        to = "" if self.peer is None else f" {'for' if self.state == 'waiting' else 'to'} {_named(self.peer)}"
        queued = f", {self.to_read} bytes to read" if self.to_read else ""
        return f"{self.type}, {self.state}{to}{queued}"


def collect(scan: Scan, kind: str) -> Iterator[Record]:  # noqa: ARG001  # this module has one kind
    """The Unix sockets of this network namespace, those that listen first."""
    table = SocketTable(scan)
    names = Names()
    for found in table.sockets():
        yield _record(found, table, names, scan)


def absent(name: str, scan: Scan) -> Record | None:
    """A socket file that no socket seems to be bound to any more; None if there is none.

    Only called for what `collect` did not find: the kernel hands its list out in pieces and goes on by counting, so
    that one may be left out where others come and go, and those of other network namespaces are not in it. So whether
    one is bound to the file is asked by connecting to it, which none notices.

    Args:
        name: what follows "unix:".
        scan: the look at the processes.
    """
    status = Names().left(name) if name.startswith("/") else None
    if status is None:
        return None
    try:
        answer = probe(os.fsencode(name))
    except OSError as error:
        answer = error.errno or errno.EIO
    if answer == errno.ENOENT:
        return None
    if answer in _ALIVE:
        for _ in range(_LOOKS):
            for record in collect(scan, "unix"):
                if record.address == f"unix:{name}":
                    return record
    return UnixSocket(
        address=f"unix:{name}",
        uid=status.st_uid,
        gid=status.st_gid,
        mode=stat.S_IMODE(status.st_mode),
        since=status.st_ctime,
        verdict=_verdict_on_file(answer),
        inode=0,
        type=None,
        state="bound" if answer in _ALIVE else "left",
        bound=name,
        reachable=answer in _ALIVE,
        peer=None,
        to_read=None,
        unread=None,
        backlog=None,
        backlog_limit=None,
        clients=(),
    )


def _record(found: Described, table: SocketTable, names: Names, scan: Scan) -> UnixSocket:
    holders = scan.holders(0, found.inode, "socket")
    listens = found.state == LISTEN
    place = names.place(found.name, found.file, holders)
    its_own = table.has_its_own_name(found.inode)
    status = place.status if its_own else None
    return UnixSocket(
        address=place.address if its_own and place.is_address else f"unix:[{found.inode}]",
        uid=found.uid if status is None else status.st_uid,
        gid=None if status is None else status.st_gid,
        mode=None if status is None else stat.S_IMODE(status.st_mode),
        since=None if status is None else status.st_ctime,
        holders=holders,
        unseen=scan.unseen,
        verdict=_verdict(holders, scan.unseen, _REMOVED if place.reachable is False and listens else ""),
        inode=found.inode,
        type=_TYPES[found.type],
        state=_state(found, table),
        bound=place.name,
        reachable=place.reachable,
        peer=_peer(found, table, names, scan),
        to_read=None if listens else found.received,
        unread=None if listens else found.sent,
        backlog=found.received if listens else None,
        backlog_limit=found.sent if listens else None,
        clients=tuple(f"unix:[{inode}]" for inode in found.pending),
    )


def _state(found: Described, table: SocketTable) -> Condition:
    if found.state == LISTEN:
        return "listening"
    if found.inode in table.waiting:
        return "waiting"
    # A datagram socket is ESTABLISHED, too, once another one was connected to it.
    if found.peer is not None or (found.state == ESTABLISHED and found.type != socket.SOCK_DGRAM):
        return "disconnected" if found.peer == 0 else "connected"
    return "bound" if found.name else "unconnected"


def _peer(found: Described, table: SocketTable, names: Names, scan: Scan) -> Peer | None:
    inode = table.waiting.get(found.inode, found.peer)
    if not inode:
        return None
    holders = scan.holders(0, inode, "socket")
    place = names.place(*table.names.get(inode, _UNBOUND), holders)
    address = place.address if place.is_address and table.has_its_own_name(inode) else f"unix:[{inode}]"
    return Peer(address, place.name, tuple(holder.process.pid for holder in holders))


def _verdict(holders: tuple[Holder, ...], unseen: int, also: str) -> Verdict:
    if holders or unseen:
        return judge(holders, unseen, also=also)
    return Verdict("unknown", "; ".join(filter(None, (_NOBODY, also))))


def _verdict_on_file(answer: int) -> Verdict:
    if answer == errno.ECONNREFUSED:
        return Verdict("unused", "no socket is bound to the file: to connect is refused")
    if answer in _ALIVE:
        return Verdict("in use", "a socket is bound to the file, and not listed: it is of another network namespace")
    return Verdict("unknown", f"whether a socket is bound to the file can't be asked: {os.strerror(answer)}")


def _named(peer: Peer) -> str:
    named = peer.bound or peer.address.removeprefix("unix:")
    pids = ", ".join(str(pid) for pid in peer.pids[:_SHOWN])
    return f"{named} ({pids})" if pids else named
