"""The types that need no definition: those of RFC 4506, and those that rpcgen and C's headers add."""

from __future__ import annotations

from typing import NamedTuple


class Basic(NamedTuple):
    """A type without a definition.

    Attributes:
        spelling: the annotation in a module that was written.
        plain: what a type checker sees.
        low, high: the range of a discriminant of this type; no range if it can't be one.
    """

    spelling: str
    plain: str
    low: int = 0
    high: int = -1


_INT = Basic("xdr.Int", "int", -(1 << 31), (1 << 31) - 1)
_UINT = Basic("xdr.UInt", "int", 0, (1 << 32) - 1)
_HYPER = Basic("xdr.Hyper", "int")
_UHYPER = Basic("xdr.UHyper", "int")
_BOOL = Basic("bool", "bool", 0, 1)

# RFC 4506: these can't be defined by a file.
LANGUAGE = {
    "bool": _BOOL,
    "double": Basic("xdr.Double", "float"),
    "float": Basic("xdr.Float", "float"),
    "hyper": _HYPER,
    "int": _INT,
    "opaque": Basic("bytes", "bytes"),
    "quadruple": Basic("xdr.Quadruple", "bytes"),
    "string": Basic("str", "str"),
    "unsigned hyper": _UHYPER,
    "unsigned int": _UINT,
}

# xdr_char, xdr_short and xdr_long of C take four bytes each; these names may be defined by a file, and often are.
ADDED = {
    "bool_t": _BOOL,
    "char": _INT,
    "short": _INT,
    "long": _INT,
    "long long": _HYPER,
    "longlong_t": _HYPER,
    "quad_t": _HYPER,
    "u_char": _UINT,
    "u_short": _UINT,
    "u_int": _UINT,
    "u_long": _UINT,
    "u_quad_t": _UHYPER,
    "u_longlong_t": _UHYPER,
    "unsigned char": _UINT,
    "unsigned short": _UINT,
    "unsigned long": _UINT,
    "unsigned long long": _UHYPER,
    **{f"int{bits}_t": _INT for bits in (8, 16, 32)},
    **{f"{unsigned}int{bits}_t": _UINT for unsigned in ("u", "u_") for bits in (8, 16, 32)},
    "int64_t": _HYPER,
    "uint64_t": _UHYPER,
    "u_int64_t": _UHYPER,
    "rpcprog_t": _UINT,
    "rpcvers_t": _UINT,
    "rpcproc_t": _UINT,
    "rpcprot_t": _UINT,
    "rpcport_t": _UINT,
}

BASIC = {**ADDED, **LANGUAGE}
