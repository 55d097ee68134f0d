"""ONC RPC: remote procedure calls of RFC 5531, values in XDR (RFC 4506), services found by rpcbind (RFC 1833)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit._lazy import lazily

if TYPE_CHECKING:
    from ipckit.rpc import xdr as xdr
    from ipckit.rpc._server.calls import NO_REPLY as NO_REPLY
    from ipckit.rpc._server.calls import Call as Call
    from ipckit.rpc.async_client import AsyncClient as AsyncClient
    from ipckit.rpc.auth import AuthNone as AuthNone
    from ipckit.rpc.auth import AuthStat as AuthStat
    from ipckit.rpc.auth import AuthSys as AuthSys
    from ipckit.rpc.auth import Credential as Credential
    from ipckit.rpc.auth import Flavor as Flavor
    from ipckit.rpc.auth import OpaqueAuth as OpaqueAuth
    from ipckit.rpc.auth import authentication_error as authentication_error
    from ipckit.rpc.broadcasting import Answer as Answer
    from ipckit.rpc.broadcasting import broadcast as broadcast
    from ipckit.rpc.client import Client as Client
    from ipckit.rpc.procedure import Procedure as Procedure
    from ipckit.rpc.server import Server as Server
    from ipckit.rpc.service import Returns as Returns
    from ipckit.rpc.service import Service as Service
    from ipckit.rpc.stub import AsyncStub as AsyncStub
    from ipckit.rpc.stub import Stub as Stub
    from ipckit.rpc.transient import TRANSIENT as TRANSIENT
    from ipckit.rpc.transient import transient_program as transient_program

_HOMES = {
    "Answer": "ipckit.rpc.broadcasting",
    "AsyncClient": "ipckit.rpc.async_client",
    "AsyncStub": "ipckit.rpc.stub",
    "AuthNone": "ipckit.rpc.auth",
    "AuthStat": "ipckit.rpc.auth",
    "AuthSys": "ipckit.rpc.auth",
    "Call": "ipckit.rpc._server.calls",
    "Client": "ipckit.rpc.client",
    "Credential": "ipckit.rpc.auth",
    "Flavor": "ipckit.rpc.auth",
    "NO_REPLY": "ipckit.rpc._server.calls",
    "OpaqueAuth": "ipckit.rpc.auth",
    "Procedure": "ipckit.rpc.procedure",
    "Returns": "ipckit.rpc.service",
    "Server": "ipckit.rpc.server",
    "Service": "ipckit.rpc.service",
    "Stub": "ipckit.rpc.stub",
    "TRANSIENT": "ipckit.rpc.transient",
    "authentication_error": "ipckit.rpc.auth",
    "broadcast": "ipckit.rpc.broadcasting",
    "transient_program": "ipckit.rpc.transient",
    "xdr": "ipckit.rpc.xdr",
}

__all__ = [
    "NO_REPLY",
    "TRANSIENT",
    "Answer",
    "AsyncClient",
    "AsyncStub",
    "AuthNone",
    "AuthStat",
    "AuthSys",
    "Call",
    "Client",
    "Credential",
    "Flavor",
    "OpaqueAuth",
    "Procedure",
    "Returns",
    "Server",
    "Service",
    "Stub",
    "authentication_error",
    "broadcast",
    "transient_program",
    "xdr",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazily(__name__, _HOMES)
