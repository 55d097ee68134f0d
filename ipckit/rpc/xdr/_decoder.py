"""The half of the compiler that writes decoders."""

from __future__ import annotations

import struct
from array import array
from typing import TYPE_CHECKING, Any

from ipckit.rpc.xdr._building import builder
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
from ipckit.rpc.xdr._source import SWAP, UNROLLED, ZEROS, Source, called
from ipckit.rpc.xdr._types import LENGTH_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["compile_decoder"]


def compile_decoder(root: Node, max_depth: int) -> Callable[[bytes, int, int], tuple[Any, int]]:
    """A function from bytes, offset and end to a value and the offset after it.

    It raises anything for what cannot be decoded, and then has taken no more memory than the bytes that were there
    could fill.
    """
    writer = _Writer(called(root), max_depth)
    for record in writer.functions:
        writer.write_function(record)
    return writer.write_main(root)


class _Writer(Source):
    def __init__(self, functions: dict[Record, bool], max_depth: int) -> None:
        super().__init__()
        self.functions = functions
        self.max_depth = max_depth
        self.names |= {"array": array, "ZEROS": ZEROS, "BOOLS": (False, True)}
        # Numbers that are unpacked together, the locals that take them, and what is done with those afterwards.
        self.codes: list[str] = []
        self.targets: list[str] = []
        self.later: list[str] = []

    def name_of(self, record: Record) -> str:
        return self.constant("decode", record, lambda: None)

    def write_main(self, root: Node) -> Callable[[bytes, int, int], tuple[Any, int]]:
        with self.block("def decode(b, o, end):"):
            self.add("d = 0")
            self.decode(root, "v")
            self.flush()
            self.fail_if("o > end")
            self.add("return v, o")
        function: Callable[[bytes, int, int], tuple[Any, int]] = self.function("decode")
        return function

    def write_function(self, record: Record) -> None:
        with self.block(f"def {self.name_of(record)}(b, o, end, d):"):
            if self.functions[record]:
                self.fail_if(f"d > {self.max_depth}")
            if isinstance(record, Struct) and record.linked:
                self.write_chain(record)
            else:
                self.write_record(record, "v")
                self.flush()
            self.add("return v, o")

    def write_chain(self, record: Struct) -> None:
        """A loop over the links; they are built from the last one, so that each is given the one behind it."""
        self.add("links = []")
        fields = [self.fresh("f") for _ in record.fields[:-1]]
        with self.block("while True:"):
            for (_, node), field in zip(record.fields, fields, strict=False):
                self.decode(node, field)
            self.take("I", "more")
            self.flush()
            self.add(f"links.append(({''.join(f'{field}, ' for field in fields)}))")
            with self.block("if more != 1:"):
                self.fail_if("more")
                self.add("break")
        self.add("v = None")
        with self.block(f"for {''.join(f'{field}, ' for field in fields) or '_'} in reversed(links):"):
            for line in builder(
                self, record.cls, "v", [*zip([name for name, _ in record.fields], [*fields, "v"], strict=True)]
            ):
                self.add(line)

    def fail_if(self, condition: str) -> None:
        with self.block(f"if {condition}:"):
            self.add("raise Broken")

    def take(self, code: str, target: str) -> None:
        self.codes.append(code)
        self.targets.append(target)

    def flush(self) -> None:
        """Add what unpacks the numbers so far, after which `o` is behind them."""
        codes, targets, later = "".join(self.codes), self.targets, self.later
        self.codes, self.targets, self.later = [], [], []
        if codes:
            unpack = self.constant("unpack", codes, lambda: struct.Struct(f">{codes}").unpack_from)
            self.add(f"{', '.join(targets)}{',' if len(targets) == 1 else ''} = {unpack}(b, o)")
            self.add(f"o += {struct.calcsize(f'>{codes}')}")
        for line in later:
            self.add(line)

    def decode(self, node: Node, target: str) -> None:
        """Add what leaves a value in *target*, a local, at the next flush."""
        if isinstance(node, Number):
            self.take(node.code, target)
        elif isinstance(node, Boolean):
            self.take(node.code, target)
            self.later.append(f"{target} = BOOLS[{target}]")
        elif isinstance(node, Enumeration):
            members = node.members
            self.take(node.code, target)
            self.later.append(f"{target} = {self.constant('members', node.cls, lambda: members)}[{target}]")
        elif isinstance(node, Octets):
            self.read_octets(node, target)
        elif isinstance(node, Sequence):
            self.read_sequence(node, target)
        elif isinstance(node, Record):
            if node in self.functions:
                self.flush()
                self.add(f"{target}, o = {self.name_of(node)}(b, o, end, d + {int(self.functions[node])})")
            else:
                self.write_record(node, target)
        elif isinstance(node, Optional):
            self.read_optional(node, target)
        else:
            self.later.append(f"{target} = None")

    def read_optional(self, node: Optional, target: str) -> None:
        flag = self.fresh("p")
        self.take("I", flag)
        self.flush()
        with self.block(f"if {flag} == 1:"):
            self.decode(node.item, target)
            self.flush()
        with self.block("else:"):
            self.fail_if(flag)
            self.add(f"{target} = None")

    def read_octets(self, node: Octets, target: str) -> None:
        if node.fixed:
            self.take(f"{node.length}s", target)
            if node.length & 3:
                zeros = self.fresh("z")
                self.take(f"{-node.length & 3}s", zeros)
                self.later += [f"if {zeros} != {ZEROS[node.length & 3]!r}:", "    raise Broken"]
            if isinstance(node, Text):
                self.later.append(f"{target} = {target}.decode()")
            return
        length, stop = self.fresh("n"), self.fresh("e")
        self.take("I", length)
        self.flush()
        if node.length < LENGTH_MAX:
            self.fail_if(f"{length} > {node.length}")
        self.add(f"{stop} = o + {length}")
        self.add(f"{target} = b[o:{stop}]{'.decode()' if isinstance(node, Text) else ''}")
        with self.block(f"if {length} & 3:"):
            self.add(f"o = {stop} + (-{length} & 3)")
            # Where the bytes end early, fewer zeros are there.
            self.fail_if(f"b[{stop}:o] != ZEROS[{length} & 3]")
        with self.block("else:"):
            self.add(f"o = {stop}")
            self.fail_if("o > end")

    def read_sequence(self, node: Sequence, target: str) -> None:
        item = node.item
        if node.fixed:
            if isinstance(item, Number) and 0 < node.length <= UNROLLED:
                targets = [self.fresh("x") for _ in range(node.length)]
                self.codes.append(f"{node.length}{item.code}")
                self.targets += targets
                self.later.append(f"{target} = [{', '.join(targets)}]")
                return
            length = str(node.length)
            self.flush()
        else:
            length = self.fresh("n")
            self.take("I", length)
            self.flush()
            if node.length < LENGTH_MAX:
                self.fail_if(f"{length} > {node.length}")
        if item.least:
            self.fail_if(f"{length} * {item.least:.0f} > end - o")
        if isinstance(item, Number):
            self.read_numbers(item, length, target)
        else:
            self.read_items(item, length, target)

    def read_numbers(self, item: Number, length: str, target: str) -> None:
        stop = self.fresh("e")
        self.add(f"{stop} = o + {length} * {item.least:.0f}")
        self.add(f'{target} = array("{item.code}", b[o:{stop}])')
        if SWAP:
            self.add(f"{target}.byteswap()")
        self.add(f"{target} = {target}.tolist()")
        self.add(f"o = {stop}")

    def read_items(self, item: Node, length: str, target: str) -> None:
        """A loop; over the whole array unpacked at once where every element is numbers alone."""
        element, add = self.fresh("i"), self.fresh("add")
        # Not yet the target's own name: it may be that of what stands around, in a type that holds itself.
        held = self.fresh("a")
        self.add(f"{held} = []")
        self.add(f"{add} = {held}.append")
        header = len(self.lines)
        with self.block(f"for _ in range({length}):"):
            self.decode(item, element)
            if len(self.lines) == header + 1 and self.codes:
                codes, targets, later = "".join(self.codes), self.targets, self.later
                self.codes, self.targets, self.later = [], [], []
                size = struct.calcsize(f">{codes}")
                stop = self.fresh("e")
                unpack = self.constant("iterate", codes, lambda: struct.Struct(f">{codes}").iter_unpack)
                indent = self.lines[header][: -len(self.lines[header].lstrip())]
                self.lines[header] = f"{indent}{stop} = o + {length} * {size}"
                self.lines.append(f"{indent}for {', '.join(targets)}, in {unpack}(b[o:{stop}]):")
                for line in later:
                    self.add(line)
                self.add(f"{add}({element})")
                after = f"o = {stop}"
            else:
                self.flush()
                self.add(f"{add}({element})")
                after = ""
        if after:
            self.add(after)
        self.add(f"{target} = {held}")

    def write_record(self, record: Record, target: str) -> None:
        if isinstance(record, Struct):
            fields = [(name, self.fresh("f")) for name, _ in record.fields]
            for (_, node), (_, field) in zip(record.fields, fields, strict=True):
                self.decode(node, field)
            self.later += builder(self, record.cls, target, fields)
        elif isinstance(record, Union):
            self.read_union(record, target)

    def read_union(self, record: Union, target: str) -> None:
        kind, held = self.fresh("k"), self.fresh("u")
        self.decode(record.discriminant, kind)
        self.flush()
        word = "if"
        for cases, arm in sorted(record.arms, key=lambda arm: not arm[0]):
            test = f"{kind} == {cases[0]:d}" if len(cases) == 1 else f"{kind} in {tuple(map(int, cases))}"
            with self.block(f"{word} {test}:" if cases else "else:" if word == "elif" else "if True:"):
                self.decode(arm, held)
                self.flush()
            word = "elif"
        if all(cases for cases, _ in record.arms):
            with self.block("else:"):
                self.add("raise Broken")
        self.later += builder(self, record.cls, target, [(record.names[0], kind), (record.names[1], held)])
