"""Whether a socket is bound to a file, as connect(2) tells without disturbing anybody: unix(7)."""

from __future__ import annotations

import errno
import os
import socket


def probe(path: bytes) -> int:
    """The errno that connecting a datagram socket to the file at *path* gives; 0 if it was connected."""
    try:
        file = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError) as error:
        return error.errno or errno.EIO
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            return sock.connect_ex(f"/proc/self/fd/{file}")  # for the path may be too long for an address
    finally:
        os.close(file)
