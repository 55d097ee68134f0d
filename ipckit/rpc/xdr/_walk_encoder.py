"""The encoder that walks a value type by type: slow, and able to say what is wrong where."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from ipckit.rpc.xdr._encoder import items, octets
from ipckit.rpc.xdr._nodes import (
    Boolean,
    Enumeration,
    Node,
    Number,
    Octets,
    Optional,
    Record,
    Sequence,
    Struct,
    Text,
    Union,
)
from ipckit.rpc.xdr._place import Place, shown
from ipckit.rpc.xdr._source import ZEROS, Broken

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

__all__ = ["NUMBERS", "walk_encoding"]

# What RFC 4506 calls the letters of the module struct.
NUMBERS = {
    "i": "int (32 bits)",
    "I": "unsigned int (32 bits)",
    "q": "hyper (64 bits)",
    "Q": "unsigned hyper (64 bits)",
    "f": "float",
    "d": "double",
}


def walk_encoding(root: Node, value: object, recursive: Mapping[Record, bool], max_depth: int, max_size: int) -> bytes:
    """Encode *value*.

    Raises:
        XdrError: it does not fit its type.
    """
    walker = _Walker(recursive, max_depth, max_size)
    walker.encode(root, value)
    walker.check_size()
    return bytes(walker.out)


class _Walker:
    def __init__(self, recursive: Mapping[Record, bool], max_depth: int, max_size: int) -> None:
        self.out = bytearray()
        self.place = Place(max_depth)
        self.recursive = recursive
        self.max_size = max_size

    def fail(self, what: str) -> NoReturn:
        raise self.place.error(what, len(self.out))

    def check_size(self) -> None:
        if len(self.out) > self.max_size:
            self.fail(f"the encoding has more than {self.max_size} bytes (max_size)")

    def encode(self, node: Node, value: Any) -> None:
        if isinstance(node, Number):
            self.number(node.code, value)
        elif isinstance(node, Octets):
            self.octets(node, value)
        elif isinstance(node, Sequence):
            self.sequence(node, value)
        elif isinstance(node, Optional):
            self.number("I", value is not None)
            if value is not None:
                self.encode(node.item, value)
        elif isinstance(node, Record):
            self.check_size()
            counts = self.recursive.get(node, False)
            self.place.deeper(counts, len(self.out))
            if isinstance(node, Struct):
                self.structure(node, value)
            elif isinstance(node, Union):
                self.union(node, value)
            self.place.deeper(-counts, len(self.out))
        else:
            self.choice(node, value)

    def number(self, code: str, value: Any) -> None:
        try:
            self.out += struct.pack(f">{code}", value)
        except (struct.error, TypeError, ValueError, OverflowError):
            self.fail(f"{shown(value)} is no {NUMBERS[code]}")

    def choice(self, node: Node, value: Any) -> None:
        """None, bool, a member of an enum."""
        if isinstance(node, Boolean):
            if value is not True and value is not False:
                self.fail(f"{shown(value)} is no bool")
            self.number(node.code, value)
        elif isinstance(node, Enumeration):
            if value.__class__ is not node.cls:
                self.fail(f"{shown(value)} is no member of {node.cls.__name__}")
            self.number(node.code, value)
        elif isinstance(node, Number):
            self.number(node.code, value)
        elif value is not None:
            self.fail(f"void is None, not {shown(value)}")

    def octets(self, node: Octets, value: Any) -> None:
        try:
            content = str.encode(value) if isinstance(node, Text) else octets(value)
        except UnicodeEncodeError as error:
            self.fail(f"no UTF-8: {error}")
        except (TypeError, Broken):
            self.fail(f"{shown(value)} is no {'str' if isinstance(node, Text) else 'bytes'}")
        self.length(node, len(content), "bytes")
        self.out += content
        self.out += ZEROS[len(content) & 3]

    def length(self, node: Octets | Sequence, length: int, what: str) -> None:
        if node.fixed:
            if length != node.length:
                self.fail(f"{length} {what}, where the type has {node.length}")
            return
        if length > node.length:
            self.fail(f"{length} {what}, where the type has {node.length} at most")
        self.number("I", length)

    def sequence(self, node: Sequence, value: Any) -> None:
        try:
            elements = items(value)
        except Broken:
            self.fail(f"{shown(value)} is no list")
        self.length(node, len(elements), "elements")
        for index, element in enumerate(elements):
            self.place.enter(f"[{index}]")
            self.encode(node.item, element)
            self.place.leave()

    def field(self, record: Record, value: Any, name: str) -> Any:
        try:
            return getattr(value, name)
        except AttributeError:
            self.fail(f"{shown(value)} is no {record.cls.__name__}: it has no attribute {name!r}")

    def structure(self, node: Struct, value: Any) -> None:
        """A struct, and all that follow it in its chain."""
        links = 0
        mark, limit = None, 8
        while True:
            for name, part in node.fields[:-1] if node.linked else node.fields:
                content = self.field(node, value, name)
                self.place.enter(f".{name}")
                self.encode(part, content)
                self.place.leave()
            if not node.linked:
                return
            link = node.fields[-1][0]
            value = self.field(node, value, link)
            self.number("I", value is not None)
            if value is None:
                self.place.leave(links)
                return
            self.place.enter(f".{link}")
            self.check_size()
            if value is mark:
                self.fail("the chain comes back to an earlier link, so it has no end")
            links += 1
            if links == limit:
                mark, limit = value, 2 * limit

    def union(self, node: Union, value: Any) -> None:
        names = node.names
        kind = self.field(node, value, names[0])
        self.place.enter(f".{names[0]}")
        self.choice(node.discriminant, kind)
        arm = node.arm(kind)
        if arm is None:
            self.fail(f"{node.cls.__name__} has no arm for {shown(kind)}")
        self.place.leave()
        content = self.field(node, value, names[1])
        self.place.enter(f".{names[1]}")
        self.encode(arm, content)
        self.place.leave()
