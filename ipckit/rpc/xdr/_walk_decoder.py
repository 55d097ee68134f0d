"""The decoder that walks bytes type by type: slow, and able to say what is wrong where."""

from __future__ import annotations

import dataclasses
import struct
from typing import TYPE_CHECKING, Any

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
    Void,
)
from ipckit.rpc.xdr._place import Place, shown
from ipckit.rpc.xdr._source import ZEROS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn

__all__ = ["walk_decoding"]


def walk_decoding(
    root: Node, data: bytes, offset: int, recursive: Mapping[Record, bool], max_depth: int
) -> tuple[Any, int]:
    """Decode the value that begins at *offset*.

    Raises:
        XdrError: the bytes there are none of the type.
    """
    walker = _Walker(data, offset, recursive, max_depth)
    return walker.decode(root), walker.offset


class _Walker:
    def __init__(self, data: bytes, offset: int, recursive: Mapping[Record, bool], max_depth: int) -> None:
        self.data = data
        self.offset = offset
        self.place = Place(max_depth)
        self.recursive = recursive

    def fail(self, what: str) -> NoReturn:
        raise self.place.error(what, self.offset)

    def take(self, size: int) -> bytes:
        left = len(self.data) - self.offset
        if size > left:
            self.fail(f"{size} bytes are to follow, {left} are left")
        content = self.data[self.offset : self.offset + size]
        self.offset += size
        return content

    def decode(self, node: Node) -> Any:
        return _READERS[type(node)](self, node)

    def void(self, _: Node) -> None:
        return None

    def number(self, node: Node) -> Any:
        return struct.unpack(f">{node.code}", self.take(struct.calcsize(f">{node.code}")))[0]

    def word(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def boolean(self, _: Node) -> bool:
        return self.flag("bool")

    def optional(self, node: Optional) -> Any:
        return self.decode(node.item) if self.flag("optional data") else None

    def record(self, node: Record) -> Any:
        counts = self.recursive.get(node, False)
        self.place.deeper(counts, self.offset)
        value = self.structure(node) if isinstance(node, Struct) else self.union(node)
        self.place.deeper(-counts, self.offset)
        return value

    def flag(self, what: str) -> bool:
        value = self.word()
        if value > 1:
            self.offset -= 4
            self.fail(f"{what} is 0 or 1, not {value}")
        return bool(value)

    def member(self, node: Enumeration) -> Any:
        value = self.number(node)
        if value not in node.members:
            self.offset -= 4
            self.fail(f"{value} is no member of {node.cls.__name__}")
        return node.members[value]

    def length(self, node: Octets | Sequence, least: float, what: str) -> int:
        """The length, checked against what the type allows and against what is left."""
        length = node.length if node.fixed else self.word()
        if length > node.length:
            self.offset -= 4
            self.fail(f"{length} {what}, where the type has {node.length} at most")
        left = len(self.data) - self.offset
        if length * least > left:
            self.fail(f"{length} {what} are to follow, and only {left} bytes are left")
        return length

    def octets(self, node: Octets) -> Any:
        start = self.offset + (0 if node.fixed else 4)
        content = self.take(self.length(node, 1, "bytes"))
        zeros = ZEROS[len(content) & 3]
        if self.take(len(zeros)) != zeros:
            self.offset -= len(zeros)
            self.fail("the bytes that fill the last word are not zero")
        if not isinstance(node, Text):
            return content
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            self.offset = start + error.start
            self.fail(f"no UTF-8: {error.reason}")

    def sequence(self, node: Sequence) -> list[Any]:
        elements = []
        for index in range(self.length(node, node.item.least, "elements")):
            self.place.enter(f"[{index}]")
            elements.append(self.decode(node.item))
            self.place.leave()
        return elements

    def structure(self, node: Struct) -> Any:
        """A struct, and all that follow it in its chain."""
        links = []
        while True:
            fields = {}
            for name, part in node.fields[:-1] if node.linked else node.fields:
                self.place.enter(f".{name}")
                fields[name] = self.decode(part)
                self.place.leave()
            links.append(fields)
            if not node.linked:
                break
            self.place.enter(f".{node.fields[-1][0]}")
            if not self.flag("optional data"):
                self.place.leave(len(links))
                break
        value = None
        for fields in reversed(links):
            if node.linked:
                fields[node.fields[-1][0]] = value
            value = self.build(node, fields)
        return value

    def union(self, node: Record) -> Any:
        assert isinstance(node, Union)
        self.place.enter(f".{node.names[0]}")
        start = self.offset
        kind = self.decode(node.discriminant)
        arm = node.arm(kind)
        if arm is None:
            self.offset = start
            self.fail(f"{node.cls.__name__} has no arm for {shown(kind)}")
        self.place.leave()
        self.place.enter(f".{node.names[1]}")
        value = self.decode(arm)
        self.place.leave()
        return self.build(node, {node.names[0]: kind, node.names[1]: value})

    def build(self, node: Record, fields: dict[str, Any]) -> Any:
        by_name = {field.name for field in dataclasses.fields(node.cls) if field.kw_only}
        positional = [value for name, value in fields.items() if name not in by_name]
        try:
            return node.cls(*positional, **{name: fields[name] for name in by_name})
        except (TypeError, ValueError, ArithmeticError, LookupError) as error:
            self.fail(f"{node.cls.__name__} refuses it: {error}")


_READERS: dict[type[Node], Callable[[_Walker, Any], Any]] = {
    Void: _Walker.void,
    Number: _Walker.number,
    Boolean: _Walker.boolean,
    Enumeration: _Walker.member,
    Octets: _Walker.octets,
    Text: _Walker.octets,
    Sequence: _Walker.sequence,
    Optional: _Walker.optional,
    Struct: _Walker.record,
    Union: _Walker.record,
}
