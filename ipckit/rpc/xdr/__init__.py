"""XDR, the external data representation of RFC 4506: types as annotations, codecs compiled once per type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit._lazy import lazily

if TYPE_CHECKING:
    from ipckit.errors import XdrError as XdrError
    from ipckit.rpc.xdr._codec import Codec as Codec
    from ipckit.rpc.xdr._codec import codec as codec
    from ipckit.rpc.xdr._legacy_errors import ConversionError as ConversionError
    from ipckit.rpc.xdr._legacy_errors import Error as Error
    from ipckit.rpc.xdr._types import Bool as Bool
    from ipckit.rpc.xdr._types import Case as Case
    from ipckit.rpc.xdr._types import Default as Default
    from ipckit.rpc.xdr._types import Double as Double
    from ipckit.rpc.xdr._types import Fixed as Fixed
    from ipckit.rpc.xdr._types import Float as Float
    from ipckit.rpc.xdr._types import Hyper as Hyper
    from ipckit.rpc.xdr._types import Int as Int
    from ipckit.rpc.xdr._types import Max as Max
    from ipckit.rpc.xdr._types import Opaque as Opaque
    from ipckit.rpc.xdr._types import Quadruple as Quadruple
    from ipckit.rpc.xdr._types import String as String
    from ipckit.rpc.xdr._types import UHyper as UHyper
    from ipckit.rpc.xdr._types import UInt as UInt
    from ipckit.rpc.xdr._types import union as union
    from ipckit.rpc.xdr.packer import Packer as Packer
    from ipckit.rpc.xdr.unpacker import Unpacker as Unpacker

_TYPES = (
    "Bool",
    "Case",
    "Default",
    "Double",
    "Fixed",
    "Float",
    "Hyper",
    "Int",
    "Max",
    "Opaque",
    "Quadruple",
    "String",
    "UHyper",
    "UInt",
    "union",
)

_HOMES = {
    **dict.fromkeys(_TYPES, "ipckit.rpc.xdr._types"),
    "Codec": "ipckit.rpc.xdr._codec",
    "ConversionError": "ipckit.rpc.xdr._legacy_errors",
    "Error": "ipckit.rpc.xdr._legacy_errors",
    "Packer": "ipckit.rpc.xdr.packer",
    "Unpacker": "ipckit.rpc.xdr.unpacker",
    "XdrError": "ipckit.errors",
    "codec": "ipckit.rpc.xdr._codec",
}

__all__ = [
    "Bool",
    "Case",
    "Codec",
    "ConversionError",
    "Default",
    "Double",
    "Error",
    "Fixed",
    "Float",
    "Hyper",
    "Int",
    "Max",
    "Opaque",
    "Packer",
    "Quadruple",
    "String",
    "UHyper",
    "UInt",
    "Unpacker",
    "XdrError",
    "codec",
    "union",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of ours
    __getattr__, __dir__ = lazily(__name__, _HOMES)
