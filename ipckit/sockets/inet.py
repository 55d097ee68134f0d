"""Internet sockets: tcp(7), udp(7), over ip(7) and ipv6(7).

`Stream` carries bytes or framed messages over a TCP connection, `Datagram` single messages by UDP. An address is
``(host, port)``.
"""

from __future__ import annotations

from ipckit.sockets._inet_datagram import Datagram, Received
from ipckit.sockets._inet_stream import KeepAlive, Listener, Stream
from ipckit.sockets._resolution import Address

__all__ = ["Address", "Datagram", "KeepAlive", "Listener", "Received", "Stream"]
