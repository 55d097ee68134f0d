"""The program of a port mapper of ours, in versions 2, 3 and 4: RFC 1833."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from ipckit.errors import IPCError, ProcedureUnavailableError
from ipckit.rpc._portmap import protocol as rfc
from ipckit.rpc._portmap.protocol import (
    MOST_DATAGRAM,
    PROGRAM,
    PROTOCOLS,
    Binding,
    BindingList,
    CallArguments,
    CallResult,
    CallResult2,
    Entry,
    EntryList,
    Mapping,
    MappingList,
)
from ipckit.rpc._portmap.table import is_here, owner_of
from ipckit.rpc._portmap.uaddr import EVERY, LOCAL, host_and_port, seen_by, universal
from ipckit.rpc._server.calls import NO_REPLY, Call, NoReply
from ipckit.rpc.client import Client
from ipckit.rpc.service import Service

if TYPE_CHECKING:
    from ipckit.rpc._portmap.table import PortMapper
    from ipckit.rpc.procedure import Procedure
    from ipckit.server.machinery import Peer

CALLIT_SECONDS = 5.0
_NETIDS = {number: netid for netid, number in PROTOCOLS.items()}


class Version(Service):
    """What all versions have in common."""

    PROGRAM, NAME = PROGRAM, "PMAP"

    def __init__(self, mapper: PortMapper) -> None:
        self._mapper = mapper


class Version2(Version):
    """The port mapper proper: TCP and UDP over IPv4."""

    VERSION = 2
    PROCEDURES = (rfc.PMAP_SET, rfc.PMAP_UNSET, rfc.PMAP_GETPORT, rfc.PMAP_DUMP, rfc.PMAP_CALLIT)

    def set(self, mapping: Mapping, *, call: Call) -> bool:
        """Procedure 1."""
        netid = _NETIDS.get(mapping.protocol)
        if netid is None or mapping.port > 65535 or not is_here(call.peer):
            return False
        address = universal(EVERY, mapping.port)
        return self._mapper.set(mapping.program, mapping.version, netid, address, owner_of(call.peer))

    def unset(self, mapping: Mapping, *, call: Call) -> bool:
        """Procedure 2: for both protocols."""
        if not is_here(call.peer):
            return False
        owner = owner_of(call.peer)
        removed = [self._mapper.unset(mapping.program, mapping.version, netid, owner) for netid in PROTOCOLS]
        return any(removed)

    def getport(self, mapping: Mapping) -> int:
        """Procedure 3."""
        found = self._mapper.find(mapping.program, mapping.version, _NETIDS.get(mapping.protocol, ""))
        return 0 if found is None else host_and_port(found.address)[1]

    def dump(self) -> MappingList | None:
        """Procedure 4."""
        chain = None
        for one in reversed(self._mapper.all()):
            if one.netid in PROTOCOLS:
                port = host_and_port(one.address)[1]
                chain = MappingList(Mapping(one.program, one.version, PROTOCOLS[one.netid], port), chain)
        return chain

    def callit(self, asked: CallArguments) -> CallResult2 | NoReply:
        """Procedure 5."""
        answer = forward(self._mapper, asked)
        return NO_REPLY if answer is None else CallResult2(*answer)


class Version3(Version):
    """Addresses of any kind."""

    VERSION = 3
    PROCEDURES: ClassVar[tuple[Procedure, ...]] = (rfc.SET, rfc.UNSET, rfc.GETADDR, rfc.DUMP, rfc.CALLIT, rfc.GETTIME)

    def set(self, binding: Binding, *, call: Call) -> bool:
        """Procedure 1."""
        if not is_here(call.peer) or not binding.netid or not is_address(binding):
            return False
        owner = owner_of(call.peer)
        return self._mapper.set(binding.program, binding.version, binding.netid, binding.address, owner)

    def unset(self, binding: Binding, *, call: Call) -> bool:
        """Procedure 2."""
        owner = owner_of(call.peer)
        return is_here(call.peer) and self._mapper.unset(binding.program, binding.version, binding.netid, owner)

    def getaddr(self, binding: Binding, *, call: Call) -> str:
        """Procedure 3."""
        found = self._mapper.find(binding.program, binding.version, binding.netid or netid_of(call.peer))
        return "" if found is None else address_for(found, call.peer)

    def dump(self) -> BindingList | None:
        """Procedure 4."""
        chain = None
        for one in reversed(self._mapper.all()):
            chain = BindingList(one, chain)
        return chain

    def callit(self, asked: CallArguments) -> CallResult | NoReply:
        """Procedure 5."""
        answer = forward(self._mapper, asked)
        return NO_REPLY if answer is None else CallResult(universal(EVERY, answer[0]), answer[1])

    def gettime(self) -> int:
        """Procedure 6."""
        return int(time.time())


class Version4(Version3):
    """What version 3 has, exact versions, and all addresses at once."""

    VERSION = 4
    PROCEDURES: ClassVar[tuple[Procedure, ...]] = (*Version3.PROCEDURES, rfc.GETVERSADDR, rfc.INDIRECT, rfc.GETADDRLIST)

    def getversaddr(self, binding: Binding, *, call: Call) -> str:
        """Procedure 9: of this version, and of no other."""
        found = self._mapper.find(binding.program, binding.version, binding.netid or netid_of(call.peer))
        return "" if found is None or found.version != binding.version else address_for(found, call.peer)

    def indirect(self, asked: CallArguments) -> CallResult:
        """Procedure 10: as procedure 5, but a failure is answered."""
        answer = forward(self._mapper, asked)
        if answer is None:
            raise ProcedureUnavailableError
        return CallResult(universal(EVERY, answer[0]), answer[1])

    def getaddrlist(self, binding: Binding, *, call: Call) -> EntryList | None:
        """Procedure 11."""
        chain = None
        for one in reversed(self._mapper.all()):
            if (one.program, one.version) == (binding.program, binding.version):
                chain = EntryList(entry_of(one, address_for(one, call.peer)), chain)
        return chain


VERSIONS: tuple[type[Version], ...] = (Version2, Version3, Version4)


def forward(mapper: PortMapper, call: CallArguments) -> tuple[int, bytes] | None:
    """Make a call by UDP for somebody else; the port and the encoded result, None where there is none."""
    found = mapper.find(call.program, call.version, "udp")
    if found is None or call.program == PROGRAM:  # calls to ourselves could go on for ever
        return None
    host, port = host_and_port(found.address)
    host = "127.0.0.1" if host == EVERY else host
    try:
        with Client.connect_udp(host, port, call.program, call.version, max_message_size=MOST_DATAGRAM) as client:
            return port, client.call_raw(call.procedure, call.arguments, timeout=CALLIT_SECONDS)
    except IPCError:
        return None


def netid_of(peer: Peer) -> str:
    return LOCAL if peer.credentials is not None else "tcp"


def is_address(binding: Binding) -> bool:
    if binding.netid == LOCAL:
        return bool(binding.address)
    try:
        host_and_port(binding.address)
    except ValueError:
        return False
    return True


def address_for(binding: Binding, peer: Peer) -> str:
    return binding.address if binding.netid == LOCAL else seen_by(binding.address, peer.address)


def entry_of(binding: Binding, address: str) -> Entry:
    """The kinds of transport, as netconfig(5) numbers and names them: 1 datagrams, 2 connections, 3 orderly ones."""
    if binding.netid == LOCAL:
        return Entry(address, LOCAL, 3, "loopback", "-")
    kind = binding.netid.rstrip("6")
    return Entry(
        address, binding.netid, 1 if kind == "udp" else 3, "inet6" if binding.netid.endswith("6") else "inet", kind
    )
