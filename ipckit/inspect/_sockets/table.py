"""All Unix sockets of our network namespace, those that wait for others first: sock_diag(7), proc_net(5)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, NamedTuple

from ipckit.inspect._processes.procfs import namespace_of
from ipckit.inspect._sockets.net_unix import listed
from ipckit.inspect._sockets.sock_diag import ESTABLISHED, FILE, LISTEN, NAME, PEER, PENDING, QUEUES, USER, described

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.inspect._processes.scan import Scan
    from ipckit.inspect._sockets.sock_diag import Described

_ALL = 0xFFFFFFFF
_ORDER = (1 << LISTEN, _ALL & ~(1 << LISTEN | 1 << ESTABLISHED), 1 << ESTABLISHED)
_EVERYTHING = NAME | FILE | PEER | PENDING | QUEUES | USER
_NO_DIAG = (
    "the kernel does not answer questions about Unix sockets here (sock_diag: {}): who is connected with whom, who "
    "made them and how much waits is not known"
)
_NO_LIST = "Unix sockets can't be listed: {}"
_STOPPED = "the kernel stopped telling of Unix sockets ({}): some are missing"
_ELSEWHERE = "Unix sockets of other network namespaces are not listed: {} there"


class Bound(NamedTuple):
    """The name of a socket, as in `Described`."""

    name: bytes
    file: tuple[int, int] | None


class SocketTable:
    """The sockets, and what one must know of the others to tell what one of them is.

    Attributes:
        waiting: the listener, by the inode of a client that it has not accepted yet.
        names: by inode; those of accepted connections are their listeners'.
    """

    __slots__ = ("_accepted", "_diag", "_scan", "names", "waiting")

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self._diag = True
        self._accepted: set[int] = set()
        self.waiting: dict[int, int] = {}
        self.names: dict[int, Bound] = {}
        if others := elsewhere(scan):
            scan.notes.append(_ELSEWHERE.format("1 process is" if others == 1 else f"{others} processes are"))
        try:
            self._index()
        except OSError as error:
            scan.notes.append(_NO_DIAG.format(error.strerror or error))
            self._diag = False
            try:
                self._index()
            except OSError as other:
                scan.notes.append(_NO_LIST.format(other.strerror))

    def sockets(self) -> Iterator[Described]:
        """Those that a process can have, listeners first, connections last."""
        try:
            for states in _ORDER:
                for found in self._told(_EVERYTHING, states):
                    if found.inode:
                        yield found
        except OSError as error:
            self._scan.notes.append(_STOPPED.format(error.strerror or error))

    def has_its_own_name(self, inode: int) -> bool:
        """Whether a socket has a name, and not its listener's, as accepted connections have."""
        return inode in self.names and inode not in self._accepted

    def _index(self) -> None:
        self.waiting.clear()
        self.names.clear()
        once: dict[Bound, Bound] = {}
        listening: set[tuple[int, bytes]] = set()
        connections: dict[int, tuple[int, int | None]] = {}
        for found in self._told(NAME | FILE | PEER | PENDING, _ALL):
            self.waiting.update(dict.fromkeys(found.pending, found.inode))
            if not found.name or not found.inode:
                continue
            bound = Bound(found.name, found.file)
            self.names[found.inode] = once.setdefault(bound, bound)
            if found.state == LISTEN:
                listening.add((found.type, found.name))
            elif found.state == ESTABLISHED and found.type != socket.SOCK_DGRAM:
                connections[found.inode] = (found.type, found.peer)
        # One side of a connection was accepted, by a listener that had a name, and the other one was not.
        of_listeners = {
            inode for inode, (type, _) in connections.items() if (type, self.names[inode].name) in listening
        }
        clients = {inode for inode, (_, peer) in connections.items() if peer in of_listeners or inode in self.waiting}
        self._accepted = of_listeners | (connections.keys() - clients)

    def _told(self, show: int, states: int) -> Iterator[Described]:
        if self._diag:
            yield from described(show, states)
            return
        for found in listed():
            if states >> found.state & 1:
                yield found


def elsewhere(scan: Scan) -> int:
    """How many of the processes are in other network namespaces, as far as they may be asked."""
    ours = namespace_of("self", "net")
    return sum(namespace_of(process.pid, "net") not in {None, ours} for process in scan.processes)
