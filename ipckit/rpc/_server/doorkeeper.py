"""Whom a server believes: the credential and verifier of a call, before it is made."""

from __future__ import annotations

import errno
import socket
import struct
from typing import TYPE_CHECKING, Any

from ipckit.rpc.auth import NONE, AuthStat, AuthSys, Flavor, OpaqueAuth, authentication_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.rpc._server.calls import Call
    from ipckit.server.machinery import Peer

    Authenticate = Callable[[Call, OpaqueAuth, OpaqueAuth], OpaqueAuth | None]

_ROOT = 0
_SO_PEERGROUPS = 59  # Linux 4.13; Python has no name for it
_MOST_BYTES = 1024  # that Python's getsockopt returns
_MOST_GROUPS = 65536  # NGROUPS_MAX of limits.h
GROUPS = "ipckit.rpc.groups"
"""Where in a peer's state its supplementary groups are, once they were asked for."""


class Doorkeeper:
    """Decides whether a call may be made, and as whom.

    Args:
        authenticate: the user's hook, or None.
        check_peer: whether AUTH_SYS on a Unix socket has to be what the kernel says of the peer.
    """

    def __init__(self, authenticate: Authenticate | None, *, check_peer: bool) -> None:
        self._authenticate = authenticate
        self._check_peer = check_peer

    @property
    def indifferent(self) -> bool:
        """Whether a call without credential and verifier may always be made."""
        return self._authenticate is None

    def admit(self, call: Call, credential: OpaqueAuth, verifier: OpaqueAuth) -> OpaqueAuth:
        """Set the credential of *call*; return the verifier of the reply.

        Raises:
            AuthenticationError: the call is refused.
        """
        if credential.flavor == Flavor.NONE:
            if call.procedure == 0:  # for whoever asks whether the program is there: RFC 5531, section 12.1
                return NONE
        elif credential.flavor == Flavor.SYS:
            call.credential = claimed = AuthSys.decode(credential.body)
            if self._check_peer and call.peer.credentials is not None:
                _compare(claimed, call.peer)
        else:
            call.credential = credential
            if self._authenticate is None:
                flavor = credential.flavor
                raise authentication_error(AuthStat.REJECTEDCRED, f"flavor {flavor} is not one that this server takes")
        if self._authenticate is None:
            return NONE
        return self._authenticate(call, credential, verifier) or NONE


def _compare(claimed: AuthSys, peer: Peer) -> None:
    """Refuse what the kernel says is not so. Root may speak for others."""
    known: Any = peer.credentials
    if known.uid == _ROOT:
        return
    if claimed.uid != known.uid:
        raise authentication_error(AuthStat.BADCRED, f"uid {claimed.uid} is claimed by a process of uid {known.uid}")
    groups = {known.gid, *peer.state.get(GROUPS, ())}
    if foreign := {claimed.gid, *claimed.gids} - groups:
        raise authentication_error(AuthStat.BADCRED, f"groups {sorted(foreign)} are claimed by who is not in them")


def peer_groups(sock: socket.socket) -> tuple[int, ...]:
    """The supplementary groups of the process at the other end of a Unix socket, when it connected."""
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MOST_BYTES)
    except OSError as error:
        return _many_groups(sock) if error.errno == errno.ERANGE else ()
    return struct.unpack(f"{len(raw) // 4}I", raw)


def _many_groups(sock: socket.socket) -> tuple[int, ...]:
    """As `peer_groups`, where there are more than Python takes from getsockopt(2)."""
    import ctypes

    groups = (ctypes.c_uint32 * _MOST_GROUPS)()
    size = ctypes.c_uint32(ctypes.sizeof(groups))
    libc = ctypes.CDLL(None)
    if libc.getsockopt(sock.fileno(), socket.SOL_SOCKET, _SO_PEERGROUPS, groups, ctypes.byref(size)):
        return ()
    return tuple(groups[: size.value // 4])
