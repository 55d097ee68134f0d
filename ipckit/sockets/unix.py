"""Unix domain sockets: unix(7), socketpair(2).

`Stream` carries bytes or framed messages over a connection, `SeqPacket` messages over a connection, `Datagram` single
messages. All of them carry file descriptors and credentials, and a connection knows who is on its other side.
"""

from __future__ import annotations

from ipckit.sockets._address import Address
from ipckit.sockets._ancillary import MOST_FDS, WithCredentials
from ipckit.sockets._datagram import Datagram, Received
from ipckit.sockets._listener import Listener
from ipckit.sockets._seqpacket import SeqPacket
from ipckit.sockets._stream import Stream
from ipckit.sockets._unix import Credentials

__all__ = [
    "MOST_FDS",
    "Address",
    "Credentials",
    "Datagram",
    "Listener",
    "Received",
    "SeqPacket",
    "Stream",
    "WithCredentials",
]
