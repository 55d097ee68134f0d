"""Unix sockets: streams, sequenced packets and datagrams, at a path or an abstract name."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from ipckit.cli.transfer.endpoints.sockets import Messages, first_to_connect, listening, of_connection
from ipckit.errors import SyscallError
from ipckit.sockets.unix import Datagram, SeqPacket, Stream

if TYPE_CHECKING:
    from ipckit.cli.transfer.endpoints import Endpoint, How

_TYPES: dict[str, Any] = {"stream": Stream, "seqpacket": SeqPacket, "dgram": Datagram}


def sender(_kind: str, name: str, how: How) -> Endpoint:
    """A connection to whoever listens or is bound there; or of the first who connects."""
    address = _address(name)
    if how.listen:
        return first_to_connect(_connecting(how).listen(address, mode=how.mode), how)
    return of_connection(_connected(address, how, tuple(_TYPES)), how)


def receiver(_kind: str, name: str, how: How) -> Endpoint:
    """A connection to whoever listens there; all who connect; or what is sent there, for datagrams."""
    address = _address(name)
    if _type(how) == "dgram":
        return Messages(Datagram.bind(address, mode=how.mode))
    if how.listen:
        return listening(_connecting(how).listen(address, mode=how.mode), how)
    return of_connection(_connected(address, how, ("stream", "seqpacket")), how)


def _address(name: str) -> str:
    if name.startswith("["):
        raise ValueError("a socket without a name can be shown, not connected to")
    return f"\0{name[1:]}" if name.startswith("@") else name


def _type(how: How) -> str | None:
    if how.type is not None and how.type not in _TYPES:
        raise ValueError(f"--type of a Unix socket must be one of {', '.join(_TYPES)}, not {how.type!r}")
    return how.type


def _connecting(how: How) -> Any:
    name = _type(how) or "stream"
    if name == "dgram":
        raise ValueError("--listen is for streams and seqpackets: to datagram sockets nobody connects")
    return _TYPES[name]


def _connected(address: str, how: How, types: tuple[str, ...]) -> Any:
    """A socket of the type that is asked for or, without, of that which is found there."""
    asked = _type(how)
    # Abstract names of different types are different names: nobody is there, says the kernel.
    other = (errno.EPROTOTYPE, errno.ECONNREFUSED) if address.startswith("\0") else (errno.EPROTOTYPE,)
    refused: SyscallError | None = None
    for name in (asked,) if asked else types:
        try:
            return Datagram.connect(address) if name == "dgram" else _TYPES[name].connect(address, timeout=how.timeout)
        except SyscallError as error:
            refused = refused or error
            if error.errno not in other:
                raise
    assert refused is not None
    raise refused
