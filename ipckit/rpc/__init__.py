"""ONC RPC: remote procedure calls of RFC 5531, values in XDR (RFC 4506), services found by rpcbind (RFC 1833)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit._lazy import lazily

if TYPE_CHECKING:
    from ipckit.rpc import xdr as xdr

_HOMES = {"xdr": "ipckit.rpc.xdr"}

__all__ = ["xdr"]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazily(__name__, _HOMES)
