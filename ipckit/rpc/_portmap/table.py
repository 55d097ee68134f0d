"""What is registered with a port mapper of ours, and who may change it."""

from __future__ import annotations

import threading
from ipaddress import ip_address
from typing import TYPE_CHECKING

from ipckit.rpc._portmap.protocol import Binding

if TYPE_CHECKING:
    from ipckit.server.machinery import Peer

_UNKNOWN = "unknown"
_SUPERUSER = "superuser"


class PortMapper:
    """What is registered. Threads may share it; `serve` has it served.

    Whoever asks from this machine, over a Unix socket or a loopback address, may register, and remove what was
    registered by its own user; root, and programs of `set` and `unset` here, may remove everything.

    >>> mapper = PortMapper()
    >>> mapper.set(0x20000099, 1, "tcp", "127.0.0.1.8.1")
    True
    >>> mapper.find(0x20000099, 1, "tcp").address
    '127.0.0.1.8.1'
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bindings: dict[tuple[int, int, str], Binding] = {}

    def set(self, program: int, version: int, netid: str, address: str, owner: str = _SUPERUSER) -> bool:
        """Register; False if it is registered with another address."""
        with self._lock:
            binding = Binding(program, version, netid, address, owner)
            return self._bindings.setdefault((program, version, netid), binding).address == address

    def unset(self, program: int, version: int, netid: str = "", owner: str = _SUPERUSER) -> bool:
        """Remove for *netid*, or for all; whether there was anything that *owner* may remove."""
        with self._lock:
            keys = tuple(
                key
                for key, binding in self._bindings.items()
                if key[:2] == (program, version) and netid in {"", key[2]} and owner in {_SUPERUSER, binding.owner}
            )
            for key in keys:
                del self._bindings[key]
            return bool(keys)

    def find(self, program: int, version: int, netid: str) -> Binding | None:
        """The registration; if there is none in this version, the one in another version."""
        with self._lock:
            exact = self._bindings.get((program, version, netid))
            others = (one for one in self._bindings.values() if (one.program, one.netid) == (program, netid))
            return exact or next(others, None)

    def all(self) -> list[Binding]:
        """Everything, in the order in which it came."""
        with self._lock:
            return list(self._bindings.values())


def is_here(peer: Peer) -> bool:
    if peer.credentials is not None:
        return True
    return isinstance(peer.address, tuple) and ip_address(str(peer.address[0]).split("%")[0]).is_loopback


def owner_of(peer: Peer) -> str:
    if peer.credentials is None:
        return _UNKNOWN
    return _SUPERUSER if peer.credentials.uid == 0 else str(peer.credentials.uid)
