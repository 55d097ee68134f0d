"""The half of the compiler that writes encoders."""

from __future__ import annotations

import struct
from array import array
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
from ipckit.rpc.xdr._source import SWAP, UNROLLED, ZEROS, Broken, Source, called
from ipckit.rpc.xdr._types import LENGTH_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["compile_encoder", "items", "octets"]

# Up to this length a string is packed with its neighbours in one call, by a Struct for each length.
_SHORT = 256


def compile_encoder(root: Node, max_depth: int, max_parts: int) -> Callable[[Any], list[bytes]]:
    """A function from a value to the parts of its encoding; it raises anything for what cannot be encoded."""
    writer = _Writer(called(root), max_depth, max_parts)
    for record in writer.functions:
        writer.write_function(record)
    return writer.write_main(root)


def octets(value: object) -> bytes:
    """*value* as bytes, where it is a buffer of bytes."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise Broken


def items(value: object) -> list[Any] | tuple[Any, ...]:
    """*value*, where it is a list or a tuple: a str or bytes would pass as a sequence of something else."""
    if isinstance(value, (list, tuple)):
        return value
    raise Broken


class _Packs(dict[int, Any]):
    """For each length of a string the Struct that packs it, its zeros and what is around it."""

    def __init__(self, before: str, after: str) -> None:
        self._before = before
        self._after = after

    def __missing__(self, length: int) -> Any:
        pack = self[length] = struct.Struct(f">{self._before}{length}s{-length & 3}x{self._after}").pack
        return pack


def _values(run: list[tuple[str, str]]) -> list[str]:
    """The expressions of *run*; zeros that fill a word have none."""
    return [value for _, value in run if value]


class _Writer(Source):
    def __init__(self, functions: dict[Record, bool], max_depth: int, max_parts: int) -> None:
        super().__init__()
        self.functions = functions
        self.max_depth = max_depth
        self.max_parts = max_parts
        self.names |= {"octets": octets, "items": items, "array": array, "utf8": str.encode, "pack": struct.pack}
        self.names["ZEROS"] = ZEROS
        # Numbers that go out together: codes and expressions before the one string among them, and after it.
        self.before: list[tuple[str, str]] = []
        self.after: list[tuple[str, str]] = []
        self.string = ""

    def name_of(self, record: Record) -> str:
        return self.constant("encode", record, lambda: None)

    def write_main(self, root: Node) -> Callable[[Any], list[bytes]]:
        with self.block("def encode(v):"):
            self.add("out = []")
            self.add("w = out.append")
            self.add("d = 0")
            self.encode(root, "v")
            self.flush()
            self.add("return out")
        function: Callable[[Any], list[bytes]] = self.function("encode")
        return function

    def write_function(self, record: Record) -> None:
        with self.block(f"def {self.name_of(record)}(v, out, w, d):"):
            if self.functions[record]:
                # Values in a circle end here too, whichever is reached first.
                self.fail_if(f"d > {self.max_depth} or len(out) > {self.max_parts}")
            if isinstance(record, Struct) and record.linked:
                self.write_chain(record)
            else:
                self.write_record(record, "v")
                self.flush()

    def write_chain(self, record: Struct) -> None:
        """A loop over the links, which notices a circle (Brent's way: a mark that moves to powers of two)."""
        self.add("mark = None")
        self.add("count = 0")
        self.add("limit = 8")
        with self.block("while True:"):
            for name, node in record.fields[:-1]:
                self.encode(node, f"v.{name}")
            self.add(f"link = v.{record.fields[-1][0]}")
            self.put("I", "link is not None")
            self.flush()
            with self.block("if link is None:"):
                self.add("return")
            self.add("v = link")
            self.fail_if("v is mark")
            self.add("count += 1")
            with self.block("if count == limit:"):
                self.add("mark = v")
                self.add("limit += limit")

    def fail_if(self, condition: str) -> None:
        with self.block(f"if {condition}:"):
            self.add("raise Broken")

    def put(self, code: str, expression: str) -> None:
        (self.after if self.string else self.before).append((code, expression))

    def put_string(self, length: str, value: str) -> None:
        if self.string:
            self.flush()
        self.put("I", length)
        self.string = value
        self.length = length

    def flush(self) -> None:
        before, after, string = self.before, self.after, self.string
        self.before, self.after, self.string = [], [], ""
        if not string:
            if before:
                self.add(f"w({self.packed(before)})")
            return
        codes = ("".join(code for code, _ in before), "".join(code for code, _ in after))
        packs = self.constant("packs", codes, lambda: _Packs(*codes))
        with self.block(f"if {self.length} < {_SHORT}:"):
            self.add(f"w({packs}[{self.length}]({', '.join(_values([*before, ('', string), *after]))}))")
        with self.block("else:"):
            self.add(f"w({self.packed(before)})")
            self.add(f"w({string})")
            self.add(f"w(ZEROS[{self.length} & 3])")
            if after:
                self.add(f"w({self.packed(after)})")

    def packed(self, run: list[tuple[str, str]]) -> str:
        codes = "".join(code for code, _ in run)
        name = self.constant("pack", codes, lambda: struct.Struct(f">{codes}").pack)
        return f"{name}({', '.join(_values(run))})"

    def encode(self, node: Node, value: str) -> None:
        """Add what encodes *value*, an expression without side effects."""
        if isinstance(node, Number):
            self.put(node.code, value)
        elif isinstance(node, Octets):
            self.write_octets(node, value)
        elif isinstance(node, Sequence):
            self.write_sequence(node, value)
        elif isinstance(node, Record):
            if node in self.functions:
                self.flush()
                self.add(f"{self.name_of(node)}({value}, out, w, d + {int(self.functions[node])})")
            else:
                self.write_record(node, self.local("v", value))
        elif isinstance(node, Optional):
            held = self.local("p", value)
            self.put("I", f"{held} is not None")
            self.flush()
            with self.block(f"if {held} is not None:"):
                self.encode(node.item, held)
                self.flush()
        else:
            self.write_choice(node, value)

    def local(self, stem: str, value: str) -> str:
        """A local that holds *value*, which is read once."""
        if value.isidentifier():
            return value
        name = self.fresh(stem)
        self.add(f"{name} = {value}")
        return name

    def write_choice(self, node: Node, value: str) -> str:
        """What is no number of Python's: None, bool, a member of an enum."""
        held = self.local("x", value)
        if isinstance(node, Void):
            self.fail_if(f"{held} is not None")
        elif isinstance(node, Boolean):
            self.fail_if(f"{held} is not True and {held} is not False")
            self.put(node.code, held)
        elif isinstance(node, Enumeration):
            cls = node.cls
            self.fail_if(f"{held}.__class__ is not {self.constant('enum', cls, lambda: cls)}")
            self.put(node.code, held)
        else:
            self.put(node.code, held)
        return held

    def write_octets(self, node: Octets, value: str) -> None:
        held = self.fresh("s")
        if isinstance(node, Text):
            self.add(f"{held} = utf8({value})")
        else:
            self.add(f"{held} = {value}")
            with self.block(f"if {held}.__class__ is not bytes:"):
                self.add(f"{held} = octets({held})")
        if node.fixed:
            self.fail_if(f"len({held}) != {node.length}")
            self.put(f"{node.length}s", held)
            if node.length & 3:
                self.put(f"{-node.length & 3}x", "")
            return
        length = self.fresh("n")
        self.add(f"{length} = len({held})")
        if node.length < LENGTH_MAX:
            self.fail_if(f"{length} > {node.length}")
        self.put_string(length, held)

    def write_sequence(self, node: Sequence, value: str) -> None:
        held = self.fresh("a")
        self.add(f"{held} = {value}")
        with self.block(f"if {held}.__class__ is not list:"):
            self.add(f"items({held})")
        length = self.fresh("n")
        self.add(f"{length} = len({held})")
        item = node.item
        if node.fixed:
            self.fail_if(f"{length} != {node.length}")
            if isinstance(item, Number) and node.length <= UNROLLED:
                if node.length:
                    self.put(f"{node.length}{item.code}", f"*{held}")
                return
        else:
            if node.length < LENGTH_MAX:
                self.fail_if(f"{length} > {node.length}")
            self.put("I", length)
        self.flush()
        if isinstance(item, Number):
            self.write_numbers(item, held, length)
            return
        element = self.fresh("e")
        with self.block(f"for {element} in {held}:"):
            self.encode(item, element)
            self.flush()

    def write_numbers(self, item: Number, held: str, length: str) -> None:
        if item.code == "f":  # array.array takes what is too large for a float as infinite
            self.add(f'w(pack(f">{{{length}}}f", *{held}))')
            return
        self.add(f'{held} = array("{item.code}", {held})')
        if SWAP:
            self.add(f"{held}.byteswap()")
        self.add(f"w({held})")

    def write_record(self, record: Record, value: str) -> None:
        if isinstance(record, Struct):
            for name, node in record.fields:
                self.encode(node, f"{value}.{name}")
        elif isinstance(record, Union):
            self.write_union(record, value)

    def write_union(self, record: Union, value: str) -> None:
        kind = self.write_choice(record.discriminant, f"{value}.{record.names[0]}")
        held = self.local("u", f"{value}.{record.names[1]}")
        self.flush()
        word = "if"
        for cases, arm in sorted(record.arms, key=lambda arm: not arm[0]):
            test = f"{kind} == {cases[0]:d}" if len(cases) == 1 else f"{kind} in {tuple(map(int, cases))}"
            with self.block(f"{word} {test}:" if cases else "else:" if word == "elif" else "if True:"):
                self.encode(arm, held)
                self.flush()
            word = "elif"
        if all(cases for cases, _ in record.arms):
            with self.block("else:"):
                self.add("raise Broken")
