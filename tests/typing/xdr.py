"""A user's program under ``mypy --strict``: types of XDR and their codecs. It is checked, and never run."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, Any

from typing_extensions import assert_type

from ipckit.rpc import xdr


class Kind(enum.IntEnum):
    TEXT = 1
    DATA = 2


Name = Annotated[str, xdr.Max(255)]


@xdr.union
@dataclass(slots=True)
class Body:
    kind: Kind
    value: (
        Annotated[Name, xdr.Case(Kind.TEXT)]
        | Annotated[Entry | None, xdr.Case(Kind.DATA)]
        | Annotated[None, xdr.Default()]
    )


@dataclass(slots=True)
class Entry:
    name: Name
    size: xdr.UHyper
    ratio: xdr.Float
    data: Annotated[bytes, xdr.Max(100)]
    key: Annotated[bytes, xdr.Fixed(5)]
    tags: Annotated[list[xdr.Int], xdr.Max(8)]
    hash: xdr.Quadruple
    flag: xdr.Bool
    body: Body
    next: Entry | None


entry = Entry("a", 1, 1.5, b"", b"12345", [1], bytes(16), True, Body(Kind.TEXT, "x"), None)
assert_type(entry.body.value, str | Entry | None)
assert_type(entry.tags, list[int])
Body(Kind.TEXT, 5)  # type: ignore[arg-type]
Entry(5)  # type: ignore[call-arg, arg-type]

codec = xdr.codec(Entry)
assert_type(codec, xdr.Codec[Entry])
assert_type(codec.encode(entry), bytes)
assert_type(codec.decode(b"", trailing=True), Entry)
assert_type(codec.decode_from(bytearray(), 4), tuple[Entry, int])
codec.encode_into(bytearray(), entry)
codec.encode(None)  # type: ignore[arg-type]
codec.encode_into(b"", entry)  # type: ignore[arg-type]
codec.decode("text")  # type: ignore[arg-type]

assert_type(xdr.codec(list[Entry]).decode(b""), list[Entry])
assert_type(xdr.codec(None).decode(b""), None)
assert_type(xdr.codec(int, max_size=10, max_depth=1), xdr.Codec[int])
assert_type(xdr.codec(Annotated[str, xdr.Max(3)]), xdr.Codec[Any])
xdr.codec(Entry, 5)  # type: ignore[call-overload]
xdr.Max("5")  # type: ignore[arg-type]

packer = xdr.Packer()
packer.pack_array([1, 2], packer.pack_uint)
packer.pack_list([b""], packer.pack_opaque)
assert_type(packer.get_buffer(), bytes)
unpacker = xdr.Unpacker(b"")
assert_type(unpacker.unpack_array(unpacker.unpack_string), list[bytes])
assert_type(unpacker.unpack_hyper(), int)

try:
    codec.decode(b"")
except xdr.XdrError as error:
    assert_type(error.path, str)
    assert_type(error.offset, int)
except xdr.Error as error:
    assert_type(error.msg, str)
