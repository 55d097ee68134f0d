"""Codecs of XDR: ipckit.rpc.xdr beside xdrlib, where Python still has it."""

# ruff: noqa: D102  # the methods do what ipckit.bench.row says of them

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ipckit.bench.row import Coder

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipckit.bench.structs import Struct

_xdrlib: Any = None
try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        _xdrlib = import_module("xdrlib")
except ImportError:
    pass


class Compiled(Coder):
    """One codec for the whole list."""

    name = "rpc.xdr.codec"
    about = "ipckit.rpc.xdr.codec of a list of dataclasses"
    family = "xdr"

    def calls(self) -> tuple[Callable[[list[Struct]], bytes], Callable[[bytes], list[Struct]]]:
        from ipckit.bench.structs import Struct
        from ipckit.rpc import xdr

        codec = xdr.codec(list[Struct])
        return codec.encode, codec.decode


class ByHand(Coder):
    """A call for each field, as xdrlib is used."""

    name = "rpc.xdr.Packer"
    about = "ipckit.rpc.xdr.Packer and Unpacker, the drop-in for xdrlib: a call for each field"
    family = "xdr"

    def calls(self) -> tuple[Callable[[list[Struct]], bytes], Callable[[bytes], list[Struct]]]:
        from ipckit.rpc import xdr

        return by_hand(xdr)


if _xdrlib:

    class Xdrlib(Coder):
        """The module of Python 3.12 and older."""

        name = "xdrlib"
        about = "xdrlib.Packer and Unpacker of the standard library: a call for each field"
        family = "xdr"

        def calls(self) -> tuple[Callable[[list[Struct]], bytes], Callable[[bytes], list[Struct]]]:
            return by_hand(_xdrlib)


def by_hand(module: Any) -> tuple[Callable[[list[Struct]], bytes], Callable[[bytes], list[Struct]]]:
    """Encode and decode by the `Packer` and `Unpacker` of *module*."""
    from ipckit.bench.structs import Struct

    def encode(value: list[Struct]) -> bytes:
        packer = module.Packer()

        def pack(one: Struct) -> None:
            packer.pack_int(one.id)
            packer.pack_string(one.name.encode())
            packer.pack_double(one.value)
            packer.pack_bool(one.flag)
            packer.pack_uhyper(one.size)

        packer.pack_array(value, pack)
        data: bytes = packer.get_buffer()
        return data

    def decode(data: bytes) -> list[Struct]:
        unpacker = module.Unpacker(data)

        def unpack() -> Struct:
            return Struct(
                unpacker.unpack_int(),
                unpacker.unpack_string().decode(),
                unpacker.unpack_double(),
                unpacker.unpack_bool(),
                unpacker.unpack_uhyper(),
            )

        value: list[Struct] = unpacker.unpack_array(unpack)
        unpacker.done()
        return value

    return encode, decode
