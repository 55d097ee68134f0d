"""All Unix sockets of our network namespace, where sock_diag(7) is missing or refused: proc_net(5)."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

from ipckit.inspect._sockets.sock_diag import CLOSE, ESTABLISHED, LISTEN, Described

if TYPE_CHECKING:
    from collections.abc import Iterator

# number, references, protocol, flags, type, state, inode, path
_LINE = re.compile(
    rb"[0-9a-fA-F]+: [0-9A-F]{8} [0-9A-F]{8} ([0-9A-F]{8}) ([0-9A-F]{4}) ([0-9A-F]{2}) +(\d+)(?: (.*))?", re.DOTALL
)
_ACCEPTS = 0x10000  # __SO_ACCEPTCON
_CONNECTED = 3  # SS_CONNECTED
_KNOWN = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)


def listed(path: str = "/proc/net/unix") -> Iterator[Described]:
    """The sockets: their names and states, neither who is connected with whom nor how much waits.

    Raises:
        OSError: there is no such file, or it may not be read.
    """
    with open(path, "rb") as file:
        next(file, None)  # the heading
        line = b""
        for more in file:
            if line and _LINE.match(more):
                yield from _described(line)
                line = b""
            line += more  # a name may have a newline in it
        yield from _described(line)


def _described(line: bytes) -> Iterator[Described]:
    found = _LINE.fullmatch(line.removesuffix(b"\n"))
    if found is None:
        return
    flags, type, state, inode, name = found.groups(b"")
    if int(type, 16) not in _KNOWN:
        return
    if name.startswith(b"@"):
        name = name.replace(b"@", b"\0")  # every NUL of an abstract name is written so, and so is every @
    kernels = LISTEN if int(flags, 16) & _ACCEPTS else ESTABLISHED if int(state, 16) == _CONNECTED else CLOSE
    yield Described(int(inode), int(type, 16), kernels, name)
