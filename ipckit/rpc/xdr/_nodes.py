"""The types of RFC 4506 as a tree, which the compiler and the walkers read; the annotations are behind it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from ipckit.rpc.xdr._types import LENGTH_MAX

if TYPE_CHECKING:
    from enum import IntEnum

__all__ = [
    "Boolean",
    "Enumeration",
    "Node",
    "Number",
    "Octets",
    "Optional",
    "Record",
    "Sequence",
    "Struct",
    "Text",
    "Union",
    "Void",
]

INFINITE = float("inf")


class Node:
    """One type.

    Attributes:
        code: its letter in the module struct where it has a fixed size and one Python value, else "".
        least: the fewest bytes that a value of it takes on the wire; known once the whole tree is.
    """

    code: str = ""
    least: float = 0

    def parts(self) -> list[Node]:
        """The types that a value of it holds."""
        return []

    def measure(self) -> float:
        """The fewest bytes, from those of its parts."""
        return self.least


class Void(Node):
    """No value and no bytes: None."""


class Number(Node):
    """int, unsigned int, hyper, unsigned hyper, float, double."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.least = struct.calcsize(f">{code}")


class Boolean(Node):
    """An int that is 0 or 1."""

    code = "I"
    least = 4


class Enumeration(Node):
    """An int that is a member of an IntEnum."""

    code = "i"
    least = 4

    def __init__(self, cls: type[IntEnum]) -> None:
        self.cls = cls
        self.members = {int(member): member for member in cls}


class _Lengthy(Node):
    """What has a length: fixed, or before it on the wire and at most *length*."""

    def __init__(self, length: int = LENGTH_MAX, *, fixed: bool = False) -> None:
        self.length = length
        self.fixed = fixed


class Octets(_Lengthy):
    """Opaque: bytes, filled with zeros to a multiple of four."""

    def measure(self) -> float:
        return self.length + (-self.length & 3) if self.fixed else 4


class Text(Octets):
    """A string: UTF-8, its length in bytes."""


class Sequence(_Lengthy):
    """An array: a list."""

    def __init__(self, item: Node, length: int = LENGTH_MAX, *, fixed: bool = False) -> None:
        super().__init__(length, fixed=fixed)
        self.item = item

    def parts(self) -> list[Node]:
        return [self.item]

    def measure(self) -> float:
        if not self.fixed:
            return 4
        return self.length * self.item.least if self.length else 0


class Optional(Node):
    """A pointer: a value or None."""

    least = 4

    def __init__(self, item: Node) -> None:
        self.item = item

    def parts(self) -> list[Node]:
        return [self.item]


class Record(Node):
    """What a class stands for: a struct or a union."""

    least = INFINITE

    def __init__(self, cls: type[Any]) -> None:
        self.cls = cls


class Struct(Record):
    """A dataclass: its fields in order.

    Attributes:
        linked: the last field is an optional value of this very struct, so that its values are the links of a chain.
    """

    def __init__(self, cls: type[Any]) -> None:
        super().__init__(cls)
        self.fields: list[tuple[str, Node]] = []

    @property
    def linked(self) -> bool:
        last = self.fields[-1][1] if self.fields else None
        return isinstance(last, Optional) and last.item is self

    def parts(self) -> list[Node]:
        return [node for _, node in self.fields]

    def measure(self) -> float:
        return sum(node.least for _, node in self.fields)


class Union(Record):
    """A dataclass of two fields: a discriminant, and the value of the arm that it chooses.

    Attributes:
        names: of the two fields.
        discriminant: its type.
        arms: each arm's type, with the values of the discriminant that choose it; the default's are empty.
    """

    def __init__(self, cls: type[Any]) -> None:
        super().__init__(cls)
        self.names = ("", "")
        self.discriminant: Node = Void()
        self.arms: list[tuple[tuple[int, ...], Node]] = []

    def arm(self, kind: int) -> Node | None:
        """The type that *kind* chooses; None where it chooses none."""
        default = None
        for cases, node in self.arms:
            if kind in cases:
                return node
            if not cases:
                default = node
        return default

    def parts(self) -> list[Node]:
        return [self.discriminant, *(node for _, node in self.arms)]

    def measure(self) -> float:
        return 4 + min(node.least for _, node in self.arms)
