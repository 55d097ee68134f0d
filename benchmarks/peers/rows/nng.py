"""pynng over abstract Unix sockets, so that no file is left behind.

Its best mode: sockets of one purpose (Push0 and Pull0) with room for a thousand messages at either end; by default
there is none. It has no broadcast that does not drop messages, so there is no row of one.
"""

# mypy: disable-error-code="no-any-return, import-untyped, import-not-found"

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pynng

from ipckit.bench.row import Channel

if TYPE_CHECKING:
    from collections.abc import Callable

ROOM = 1000  # messages


class Bytes(Channel):
    """Threads of its own in each process do the transfer."""

    name = "pynng"
    about = f"pynng Push0 and Pull0 over abstract://, room for {ROOM} messages at either end"
    family = "pynng"

    def __init__(self, _size: int, /) -> None:
        self.address = f"abstract://ipckit-{uuid.uuid4().hex}"

    def sender(self, _size: int, /) -> Callable[[Any], object]:
        if "socket" not in vars(self):
            self.socket = pynng.Push0(dial=self.address, block_on_dial=False, send_buffer_size=ROOM)
        return self.socket.send

    def receiver(self, _size: int, /) -> Callable[[], Any]:
        if "socket" not in vars(self):
            self.socket = pynng.Pull0(listen=self.address, recv_buffer_size=ROOM)
        return self.socket.recv
