"""Serve many peers: one handler for every message, whoever sent it and however they are waited for.

`Server` takes a listener (Unix stream or seqpacket, TCP, FIFO, message queue) and a function, and serves it with a
process for each connection, with threads, with one loop over non-blocking descriptors, or with asyncio.
"""

from __future__ import annotations

from ipckit.server._peer import Peer
from ipckit.server._server import MODES, Server

__all__ = ["MODES", "Peer", "Server"]
