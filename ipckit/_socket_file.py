"""Whether a socket is bound to a file, as connect(2) tells without disturbing anybody: unix(7)."""

from __future__ import annotations

import os
import socket


def probe(path: bytes) -> int:
    """The errno that connecting a datagram socket to the file at *path* gives; 0 if it was connected."""
    directory = os.open(os.path.dirname(path), os.O_PATH | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            # Through /proc, for the absolute path may be too long for an address.
            return sock.connect_ex(f"/proc/self/fd/{directory}/".encode() + os.path.basename(path))
    finally:
        os.close(directory)
