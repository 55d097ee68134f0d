"""What is said with a port mapper: the types and procedures of RFC 1833."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from ipckit.rpc import xdr
from ipckit.rpc.procedure import Procedure

PROGRAM = 100000
PORT = 111
VERSIONS = (2, 3, 4)
MOST_DATAGRAM = 8800  # bytes that servers commonly take by UDP

PROTOCOLS = {"tcp": 6, "udp": 17}
"""What version 2 calls them: numbers of IP protocols, over IPv4."""


class Registered(NamedTuple):
    """One program in one version, and where it is."""

    program: int
    version: int
    netid: str
    """The way to it: "tcp", "udp", "tcp6", "udp6", "local"."""
    address: str
    """As the netid wants it: a universal address, which `host_and_port` reads, or a path."""
    owner: str = ""
    """Who registered it, as the port mapper says; version 2 does not."""


@dataclass(slots=True)
class Mapping:
    """A registration, as version 2 has it."""

    program: xdr.UInt
    version: xdr.UInt
    protocol: xdr.UInt
    port: xdr.UInt


@dataclass(slots=True)
class MappingList:
    """pmaplist: what version 2 dumps."""

    mapping: Mapping
    next: MappingList | None


@dataclass(slots=True)
class CallArguments:
    """call_args and rpcb_rmtcallargs: a call for somebody else."""

    program: xdr.UInt
    version: xdr.UInt
    procedure: xdr.UInt
    arguments: bytes


@dataclass(slots=True)
class CallResult2:
    """call_result: what came of it, in version 2."""

    port: xdr.UInt
    results: bytes


@dataclass(slots=True)
class CallResult:
    """rpcb_rmtcallres: what came of it."""

    address: str
    results: bytes


@dataclass(slots=True)
class Binding:
    """rpcb: a registration."""

    program: xdr.UInt
    version: xdr.UInt
    netid: str
    address: str
    owner: str


@dataclass(slots=True)
class BindingList:
    """rp__list: what versions 3 and 4 dump."""

    binding: Binding
    next: BindingList | None


@dataclass(slots=True)
class Entry:
    """rpcb_entry: one of the addresses of a program."""

    address: str
    netid: str
    semantics: xdr.UInt
    family: str
    protocol: str


@dataclass(slots=True)
class EntryList:
    """rpcb_entry_list: all of them."""

    entry: Entry
    next: EntryList | None


@dataclass(slots=True)
class AddressCount:
    """rpcbs_addrlist: how often a program was asked for."""

    program: xdr.UInt
    version: xdr.UInt
    found: xdr.Int
    missed: xdr.Int
    netid: str
    next: AddressCount | None


@dataclass(slots=True)
class ForwardCount:
    """rpcbs_rmtcalllist: how often calls were made for others."""

    program: xdr.UInt
    version: xdr.UInt
    procedure: xdr.UInt
    succeeded: xdr.Int
    failed: xdr.Int
    indirect: xdr.Int
    netid: str
    next: ForwardCount | None


@dataclass(slots=True)
class Statistics:
    """rpcb_stat: what was asked in one version."""

    calls: Annotated[list[xdr.Int], xdr.Fixed(13)]
    sets: xdr.Int
    unsets: xdr.Int
    addresses: AddressCount | None
    forwards: ForwardCount | None


_ThreeStatistics = Annotated[list[Statistics], xdr.Fixed(3)]

PMAP_SET = Procedure(1, "set", (Mapping,), bool)
PMAP_UNSET = Procedure(2, "unset", (Mapping,), bool)
PMAP_GETPORT = Procedure(3, "getport", (Mapping,), xdr.UInt)
PMAP_DUMP = Procedure(4, "dump", (), MappingList | None)
PMAP_CALLIT = Procedure(5, "callit", (CallArguments,), CallResult2)

SET = Procedure(1, "set", (Binding,), bool)
UNSET = Procedure(2, "unset", (Binding,), bool)
GETADDR = Procedure(3, "getaddr", (Binding,), str)
DUMP = Procedure(4, "dump", (), BindingList | None)
CALLIT = Procedure(5, "callit", (CallArguments,), CallResult)
GETTIME = Procedure(6, "gettime", (), xdr.UInt)
GETVERSADDR = Procedure(9, "getversaddr", (Binding,), str)
INDIRECT = Procedure(10, "indirect", (CallArguments,), CallResult)
GETADDRLIST = Procedure(11, "getaddrlist", (Binding,), EntryList | None)
GETSTAT = Procedure(12, "getstat", (), _ThreeStatistics)
