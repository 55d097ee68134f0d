"""All Unix sockets of our network namespace, as the kernel describes them: sock_diag(7)."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTEN, ESTABLISHED, CLOSE = 10, 1, 7  # net/tcp_states.h, of which Unix sockets use some

NAME, FILE, PEER, PENDING, QUEUES, USER = 1, 2, 4, 8, 16, 64  # UDIAG_SHOW_*

_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NLMSG_ERROR, _NLMSG_DONE, _NLMSG_OVERRUN = 2, 3, 4
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, pid
_REQUEST = struct.Struct("=BBHIIIII")  # struct unix_diag_req: family, protocol, pad, states, inode, show, cookie
_MESSAGE = struct.Struct("=BBBxIII")  # struct unix_diag_msg: family, type, state, inode, cookie
_ATTRIBUTE = struct.Struct("=HH")  # struct rtattr: length, type
_ATTR_NAME, _ATTR_FILE, _ATTR_PEER, _ATTR_PENDING, _ATTR_QUEUES, _, _ATTR_SHUTDOWN, _ATTR_USER = range(8)
_BOTH = 3  # RCV_SHUTDOWN | SEND_SHUTDOWN
_ALL_STATES = 0xFFFFFFFF
_NO_COOKIE = 0xFFFFFFFF
_ROOM = 1 << 16  # bytes: the kernel fills at most 32 KiB at once
_SECONDS = 5.0


class Described(NamedTuple):
    """A Unix socket; None where the kernel did not tell, or was not asked.

    Attributes:
        inode: its number; 0 if no process can have a descriptor of it: it is not yet accepted, or closed.
        type: SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.
        state: LISTEN, ESTABLISHED, CLOSE; others on their way.
        name: as it was bound: a path, or an abstract name with its leading NUL; b"" if it has none.
        file: device and the lower 32 bits of the inode of the path's file.
        peer: the inode of the other side; 0 if that is not yet accepted, or closed.
        pending: the inodes of those who wait to be accepted by this listener.
        received: bytes to be read; of a datagram socket, of the next one; of a listener, how many wait to be accepted.
        sent: bytes of memory that what was sent takes until it is read; of a listener, how many may wait.
        uid: who made it.
        shut: whether nothing can be sent or received any more.
    """

    inode: int
    type: int
    state: int
    name: bytes = b""
    file: tuple[int, int] | None = None
    peer: int | None = None
    pending: tuple[int, ...] = ()
    received: int | None = None
    sent: int | None = None
    uid: int | None = None
    shut: bool = False


def described(show: int, states: int = _ALL_STATES) -> Iterator[Described]:
    """The sockets, while the kernel goes through them.

    Args:
        show: what to ask for, of NAME, FILE, PEER, PENDING, QUEUES and USER.
        states: bits 1 << state.

    Raises:
        OSError: the kernel has no such interface, or refuses it; it does not answer (TimeoutError).
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as link:
        link.settimeout(_SECONDS)
        body = _REQUEST.pack(socket.AF_UNIX, 0, 0, states, 0, show, _NO_COOKIE, _NO_COOKIE)
        header = _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0)
        link.sendto(header + body, (0, 0))
        yield from _answers(link)


def _answers(link: socket.socket) -> Iterator[Described]:
    while True:
        packet, sender = link.recvfrom(_ROOM)
        if sender[0] != 0:  # another process, and not the kernel
            continue
        for type, payload in _messages(packet):
            if type == _NLMSG_DONE:
                return
            if type == _NLMSG_ERROR:
                number = -struct.unpack_from("=i", payload)[0]
                raise OSError(number, os.strerror(number))
            if type == _NLMSG_OVERRUN:
                raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
            if type == _SOCK_DIAG_BY_FAMILY:
                yield _described(payload)


def _messages(packet: bytes) -> Iterator[tuple[int, bytes]]:
    """Types and contents of the messages in a packet."""
    at = 0
    while at + _HEADER.size <= len(packet):
        length, type, _, _, _ = _HEADER.unpack_from(packet, at)
        if length < _HEADER.size:
            return
        yield type, packet[at + _HEADER.size : at + length]
        at += _aligned(length)


def _described(payload: bytes) -> Described:
    _, type, state, inode, _, _ = _MESSAGE.unpack_from(payload)
    found = Described(inode, type, state)._asdict()
    at = _MESSAGE.size
    while at + _ATTRIBUTE.size <= len(payload):
        length, attribute = _ATTRIBUTE.unpack_from(payload, at)
        if length < _ATTRIBUTE.size:
            break
        value = payload[at + _ATTRIBUTE.size : at + length]
        at += _aligned(length)
        if attribute == _ATTR_NAME:
            found["name"] = value if value[:1] == b"\0" else value.partition(b"\0")[0]
        elif attribute == _ATTR_FILE:
            number, device = struct.unpack_from("=II", value)
            found["file"] = (os.makedev(device >> 20, device & 0xFFFFF), number)  # as the kernel keeps it inside
        elif attribute == _ATTR_PEER:
            found["peer"] = struct.unpack_from("=I", value)[0]
        elif attribute == _ATTR_PENDING:
            found["pending"] = struct.unpack(f"={len(value) // 4}I", value)
        elif attribute == _ATTR_QUEUES:
            found["received"], found["sent"] = struct.unpack_from("=II", value)
        elif attribute == _ATTR_SHUTDOWN:
            found["shut"] = value[0] == _BOTH
        elif attribute == _ATTR_USER:
            found["uid"] = struct.unpack_from("=I", value)[0]
    return Described(**found)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
