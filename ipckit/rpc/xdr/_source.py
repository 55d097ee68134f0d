"""Python source, written line by line and compiled to a function: what the two halves of the compiler share."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ipckit.rpc.xdr._nodes import Node, Record, Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["SWAP", "UNROLLED", "ZEROS", "Broken", "Source", "called"]

# What fills the last word of as many bytes, by the length's remainder.
ZEROS = (b"", b"\0\0\0", b"\0\0", b"\0")

# XDR is big-endian; array.array has the order of the machine.
SWAP = sys.byteorder == "little"

# So many structs are written into one another; Python allows twenty blocks in blocks.
_NESTED = 4

# Fixed arrays of numbers up to this length are packed and unpacked together with what is around them.
UNROLLED = 16


class Broken(Exception):
    """A value cannot be encoded, or bytes cannot be decoded; a walker says where and why."""


class Source:
    """Lines, the names that they use, and fresh names for locals."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {"Broken": Broken}
        self._constants: dict[object, str] = {}
        self._indent = 0
        self._fresh = 0

    def add(self, line: str) -> None:
        self.lines.append("    " * self._indent + line)

    @contextmanager
    def block(self, header: str) -> Iterator[None]:
        """What is added inside stands below *header*."""
        self.add(header)
        self._indent += 1
        start = len(self.lines)
        yield
        if len(self.lines) == start:
            self.add("pass")
        self._indent -= 1

    def fresh(self, stem: str) -> str:
        self._fresh += 1
        return f"{stem}{self._fresh}"

    def constant(self, stem: str, key: object, value: Callable[[], Any]) -> str:
        """The name of a constant, made at its first use."""
        name = self._constants.get((stem, key))
        if name is None:
            name = self._constants[stem, key] = f"{stem}_{len(self._constants)}"
            self.names[name] = value()
        return name

    def function(self, name: str) -> Any:
        """Compile all lines; the function of that name."""
        code = compile("\n".join(self.lines), f"<xdr {name}>", "exec")
        exec(code, self.names)  # noqa: S102 - the lines are ours, and names in them are identifiers of dataclasses
        return self.names[name]


def called(root: Node) -> dict[Record, bool]:
    """The structs and unions that become functions of their own, and whether they can hold themselves.

    The others are written where they stand. The link of a chain does not count as holding itself: it is a loop.
    """
    uses: dict[Record, int] = {}
    holds: dict[Record, set[Record]] = {}
    deep: set[Record] = set()

    def visit(node: Node, holder: Record | None, level: int) -> None:
        if isinstance(node, Record):
            uses[node] = uses.get(node, 0) + 1
            if holder is not None:
                holds[holder].add(node)
            if node in holds:
                return
            holds[node] = set()
            holder = node
            level += 1
            if level > _NESTED:
                deep.add(node)
                level = 0
        parts = node.parts()
        for part in parts[:-1] if isinstance(node, Struct) and node.linked else parts:
            visit(part, holder, level)

    visit(root, None, 0)

    recursive = {record: _reaches_itself(record, holds) for record in holds}
    return {
        record: recursive[record]
        for record in holds
        if recursive[record] or uses[record] > 1 or record in deep or (isinstance(record, Struct) and record.linked)
    }


def _reaches_itself(record: Record, holds: Mapping[Record, Iterable[Record]]) -> bool:
    seen: set[Record] = set()
    todo = [*holds[record]]
    while todo:
        one = todo.pop()
        if one is record:
            return True
        if one not in seen:
            seen.add(one)
            todo += holds[one]
    return False
