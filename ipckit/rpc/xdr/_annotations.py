"""From annotations to the tree of types."""

from __future__ import annotations

import dataclasses
import os
import sys
import types
import typing
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, Any

from ipckit.rpc.xdr._nodes import (
    INFINITE,
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
from ipckit.rpc.xdr._types import LENGTH_MAX, Case, Default, Fixed, Format, Max

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["parse"]

_PACKAGE = os.path.dirname(__file__)
_HINT = "see docs/reference/rpc-xdr.md for what XDR has"
_SIMPLE: dict[object, Callable[[], Node]] = {
    None: Void,
    type(None): Void,
    bool: Boolean,
    int: lambda: Number("i"),
    float: lambda: Number("d"),
}
_INT = range(-(2**31), 2**31)


def parse(annotation: object) -> Node:
    """The type that *annotation* spells.

    Raises:
        TypeError: it spells none; the message says where.
    """
    reader = _Reader()
    node = reader.read(annotation, "", None)
    reader.measure()
    reader.check(node)
    return node


class _Reader:
    def __init__(self) -> None:
        self.records: dict[type[Any], Record] = {}
        self.others: list[Node] = []

    def read(self, annotation: object, where: str, owner: type[Any] | None) -> Node:
        marks: list[Any] = []
        annotation = _resolved(annotation, owner)
        if typing.get_origin(annotation) is Annotated:
            annotation, *marks = typing.get_args(annotation)
            annotation = _resolved(annotation, owner)
        marks = [mark for mark in marks if isinstance(mark, (Max, Fixed, Format))]
        if len(marks) > 1:
            raise TypeError(f"{where or annotation!r}: one of Max and Fixed, not {' and '.join(map(repr, marks))}")
        node = self._plain(annotation, marks[0] if marks else None, where, owner)
        if not isinstance(node, Record):
            self.others.append(node)
        return node

    def _plain(self, kind: Any, mark: Any, where: str, owner: type[Any] | None) -> Node:
        origin = typing.get_origin(kind)
        if (origin or kind) in (list, bytes, str):
            return self._lengthy(origin or kind, typing.get_args(kind), mark, where, owner)
        if isinstance(mark, Format) and kind in (int, float):
            return Number(mark.code)
        if mark is not None:
            raise TypeError(f"{where or kind!r}: {mark!r} is for str, bytes and list, not for {kind!r}")
        if origin in (typing.Union, types.UnionType):
            return self._optional(typing.get_args(kind), where, owner)
        if kind in _SIMPLE:
            return _SIMPLE[kind]()
        if isinstance(kind, type) and issubclass(kind, IntEnum):
            return _enumeration(kind)
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            return self._record(kind)
        raise TypeError(f"{where or 'the type'}: {kind!r} is no XDR type; {_HINT}")

    def _lengthy(self, kind: Any, args: Any, mark: Any, where: str, owner: type[Any] | None) -> Node:
        if isinstance(mark, Format):
            raise TypeError(f"{where or kind!r}: {mark!r} is for numbers")
        fixed = isinstance(mark, Fixed)
        length = mark.length if mark else LENGTH_MAX
        if kind is not list:
            return (Text if kind is str else Octets)(length, fixed=fixed)
        if not args:
            raise TypeError(f"{where or 'list'}: say of what, as in list[xdr.Int]")
        return Sequence(self.read(args[0], f"{where}[]", owner), length, fixed=fixed)

    def _optional(self, args: tuple[Any, ...], where: str, owner: type[Any] | None) -> Node:
        rest = [arg for arg in args if arg is not type(None)]
        if len(rest) != 1 or len(rest) == len(args):
            raise TypeError(
                f"{where or 'the type'}: only `T | None` (optional data) stands for itself; alternatives take a "
                "class decorated with xdr.union"
            )
        item = self.read(rest[0], where, owner)
        if isinstance(item, (Optional, Void)):
            raise TypeError(f"{where or 'the type'}: None would mean two things; wrap the inner type in a dataclass")
        return Optional(item)

    def _record(self, cls: type[Any]) -> Record:
        found = self.records.get(cls)
        if found is not None:
            return found
        hints = _hints(cls)
        for field in dataclasses.fields(cls):
            if not field.init:
                raise TypeError(f"{cls.__qualname__}.{field.name}: a field with init=False cannot be set when decoding")
        if "__xdr_union__" in vars(cls):
            return self._union(cls, hints)
        node = self.records[cls] = Struct(cls)
        for field in dataclasses.fields(cls):
            where = f"{cls.__qualname__}.{field.name}"
            node.fields.append((field.name, self.read(hints[field.name], where, cls)))
        return node

    def _union(self, cls: type[Any], hints: dict[str, Any]) -> Record:
        node = self.records[cls] = Union(cls)
        names = [field.name for field in dataclasses.fields(cls)]
        if len(names) != 2:
            raise TypeError(f"{cls.__qualname__}: a union has two fields, discriminant and value, not {len(names)}")
        node.names = (names[0], names[1])
        where = f"{cls.__qualname__}.{names[0]}"
        node.discriminant = discriminant = self.read(hints[names[0]], where, cls)
        if discriminant.code not in ("i", "I"):
            raise TypeError(f"{where}: a discriminant is an IntEnum, bool, Int or UInt")
        seen: set[int] = set()
        where = f"{cls.__qualname__}.{names[1]}"
        value = hints[names[1]]
        alternatives = (
            typing.get_args(value) if typing.get_origin(value) in (typing.Union, types.UnionType) else (value,)
        )
        for arm in alternatives:
            cases = _cases(arm, where)
            for case in cases:
                _check_case(case, discriminant, seen, where)
            if not cases and any(not old for old, _ in node.arms):
                raise TypeError(f"{where}: there is one Default at most")
            node.arms.append((cases, self.read(arm, where, cls)))
        return node

    def measure(self) -> None:
        """Compute each type's fewest bytes: sizes only fall until none changes."""
        nodes = [*self.others, *self.records.values()]
        changed = True
        while changed:
            changed = False
            for node in nodes:
                least = node.measure()
                if least != node.least:
                    node.least = least
                    changed = True

    def check(self, root: Node) -> None:
        for cls, record in self.records.items():
            if record.least == INFINITE:
                raise TypeError(
                    f"{cls.__qualname__} holds itself, so no value of it ends; make it optional (| None) or a list"
                )
        for node in (root, *self.others):
            if isinstance(node, Sequence) and not node.item.least:
                # A length of a few bytes would stand for any number of them.
                raise TypeError("the elements of an array take at least one byte each; here they take none")


def _resolved(annotation: object, owner: type[Any] | None) -> object:
    """*annotation*, where it is still a string or a ForwardRef what it names in the module of *owner*."""
    for _ in range(16):
        if isinstance(annotation, typing.ForwardRef):
            annotation = annotation.__forward_arg__
        if not isinstance(annotation, str):
            return annotation
        module = sys.modules.get(owner.__module__) if owner else None
        names = {} if owner is None else {owner.__name__: owner}
        annotation = eval(annotation, dict(vars(module)) if module else {}, names)  # noqa: S307
    raise TypeError(f"{annotation!r} names only itself")


def _hints(cls: type[Any]) -> dict[str, Any]:
    """The annotations of *cls*, with those of its bases; it may name itself even where it is no global."""
    own = {cls.__name__: cls}
    try:
        return typing.get_type_hints(cls, localns=own, include_extras=True)
    except NameError:
        pass
    try:  # a class inside a function, a doctest or a notebook: names that its user sees
        return typing.get_type_hints(cls, localns={**_names_of_caller(), **own}, include_extras=True)
    except NameError as error:
        raise TypeError(f"{cls.__qualname__}: {error}; its annotations name what its module has at run time") from None


def _names_of_caller() -> Mapping[str, Any]:
    """What is in scope where this package was called."""
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return {**frame.f_globals, **frame.f_locals}


def _enumeration(cls: type[IntEnum]) -> Enumeration:
    node = Enumeration(cls)
    if not node.members:
        raise TypeError(f"{cls.__qualname__} has no members")
    for value, member in node.members.items():
        if value not in _INT:
            raise TypeError(f"{member!r} is no int of 32 bits")
    return node


def _cases(arm: object, where: str) -> tuple[int, ...]:
    marks = [
        mark for mark in getattr(arm, "__metadata__", ()) if isinstance(mark, Case) or mark in (Default, Default())
    ]
    if len(marks) != 1:
        raise TypeError(f"{where}: each arm is Annotated with one Case or Default, {arm!r} is not")
    return tuple(marks[0].values) if isinstance(marks[0], Case) else ()


def _check_case(case: int, discriminant: Node, seen: set[int], where: str) -> None:
    if int(case) in seen:
        raise TypeError(f"{where}: two arms for the case {case!r}")
    seen.add(int(case))
    if isinstance(discriminant, Enumeration):
        good = int(case) in discriminant.members
    elif isinstance(discriminant, Boolean):
        good = int(case) in (0, 1)
    else:
        good = int(case) in (_INT if discriminant.code == "i" else range(LENGTH_MAX + 1))
    if not good:
        raise TypeError(f"{where}: the discriminant is never {case!r}")
