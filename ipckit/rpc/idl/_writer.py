"""A checked file as the source of a Python module."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from ipckit.rpc.idl._bodies import Bodies
from ipckit.rpc.idl._layout import docstring
from ipckit.rpc.idl._lifting import declarations
from ipckit.rpc.idl._names import Names
from ipckit.rpc.idl._services import Services
from ipckit.rpc.idl._spelling import Speller
from ipckit.rpc.idl.tree import (
    Constant,
    Declaration,
    Definition,
    Enum,
    Named,
    Program,
    Reference,
    Struct,
    Typedef,
    Union,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.rpc.idl.scope import Scope

_Chunk: TypeAlias = "tuple[str, list[str]]"  # what kind of definition, and its lines


def write(definitions: list[Definition], scope: Scope, file: str) -> str:
    """The module; the same for the same file wherever and whenever it is written."""
    types = [one for one in definitions if not isinstance(one, Program)]
    programs = [one for one in definitions if isinstance(one, Program) and not one.passed]
    names = Names(types)
    speller = Speller(scope, names)
    bodies = Bodies(speller, names)
    chunks: list[_Chunk] = []
    for definition in _ordered(types, scope):
        kind = type(definition).__name__ if isinstance(definition, (Constant, Typedef)) else "class"
        chunks.append((kind, bodies.lines(definition)))
        speller.ready.add(definition.name)
        if isinstance(definition, Enum):
            speller.ready |= {member.name for member in definition.members}
    services = Services(scope, speller, names)
    chunks += [("class", lines) for program in programs for lines in services.classes(program)]
    return "\n".join([*_head(file, types, programs, chunks), *_spaced(chunks)]) + "\n"


def _head(file: str, types: list[Definition], programs: list[Program], chunks: list[_Chunk]) -> list[str]:
    text = "\n".join(line for _, lines in chunks for line in lines)
    imports = []
    if "@abstractmethod" in text:
        imports.append("from abc import abstractmethod")
    if any(isinstance(one, (Struct, Union)) for one in types):
        imports.append("from dataclasses import dataclass")
    if any(isinstance(one, Enum) for one in types):
        imports.append("from enum import IntEnum")
    if "Annotated[" in text:
        imports.append("from typing import Annotated")
    ours = ["from ipckit import rpc"] if programs else []
    if "xdr." in text:
        ours.append("from ipckit.rpc import xdr")
    name = "standard input" if file == "<stdin>" else os.path.basename(file)
    about = f"Made from {name} by `ipckit rpcgen`: change that file, not this one."
    blocks = ["\n".join(docstring([about], 0))]
    blocks += ["from __future__ import annotations", *("\n".join(block) for block in (imports, ours) if block)]
    return "\n\n".join(blocks).split("\n")


def _spaced(chunks: list[_Chunk]) -> Iterator[str]:
    """The chunks with as many blank lines between them as the formatter wants."""
    before = "import"
    for kind, lines in chunks:
        blank = 2 if "class" in {kind, before} else 0 if kind == before and not lines[0].startswith("#") else 1
        yield from [""] * blank
        yield from lines
        before = kind


def _ordered(types: list[Definition], scope: Scope) -> Iterator[Definition]:
    """In the order of the file, but what Python evaluates at once stands behind what it names."""
    by_name = {one.name: one for one in types}
    done: set[str] = set()
    for definition in types:
        ahead = [definition]
        while ahead:
            last = ahead[-1]
            needed = [by_name[name] for name in _needs(last, scope) if name in by_name and name not in done]
            needed = [one for one in needed if one not in ahead]  # constants may name one another in a circle of enums
            if needed:
                ahead.append(needed[0])
                continue
            ahead.pop()
            if last.name not in done:
                done.add(last.name)
                yield last


def _needs(definition: Definition, scope: Scope) -> Iterator[str]:
    """What must be defined before a definition is run; the annotations of classes wait."""
    if isinstance(definition, Constant):
        yield from _constants(definition.value, scope)
    elif isinstance(definition, Enum):
        for member in definition.members:
            yield from _constants(member.value, scope)
    elif isinstance(definition, Typedef):
        for declaration in declarations(definition):
            yield from _named(declaration)
            yield from _constants(declaration.bound, scope)


def _constants(value: object, scope: Scope) -> Iterator[str]:
    if isinstance(value, Reference):
        yield scope.enums[value.name].name if value.name in scope.enums else value.name


def _named(declaration: Declaration) -> Iterator[str]:
    if isinstance(declaration.type, Named):
        yield declaration.type.name
