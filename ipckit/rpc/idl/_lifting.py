"""Bodies that stand inside of declarations become definitions of their own, and types that C headers have are added."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.rpc.idl._condition import evaluate
from ipckit.rpc.idl._declarations import members
from ipckit.rpc.idl._parser import parse
from ipckit.rpc.idl._scanner import scan
from ipckit.rpc.idl.tree import (
    Constant,
    Declaration,
    Definition,
    Enum,
    Named,
    Number,
    Program,
    Reference,
    Struct,
    Typedef,
    Union,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ipckit.rpc.idl.scope import Scope

# What files take from <rpc/rpc.h> without defining it; a file may define them otherwise.
_HEADERS = """
typedef opaque netobj<1024>;
typedef opaque des_block[8];
struct netbuf { unsigned int maxlen; opaque buf<>; };
"""
_CONSTANTS = {"MAXNETNAMELEN": "255"}


def declarations(definition: Definition) -> Iterator[Declaration]:
    """Every declaration that a definition makes, in the order of the file."""
    if isinstance(definition, (Struct, Union, Enum)):
        yield from members(definition)
    elif isinstance(definition, Typedef):
        yield definition.declaration
    elif isinstance(definition, Program):
        for version in definition.versions:
            for procedure in version.procedures:
                yield procedure.result
                yield from procedure.arguments


def lifted(definitions: list[Definition]) -> list[Definition]:
    """The definitions without bodies in declarations; such a body stands before what used it."""
    flat: list[Definition] = []
    for definition in definitions:
        if _says_nothing(definition):
            continue
        for declaration in declarations(definition):
            body = declaration.type
            if isinstance(body, (Enum, Struct, Union)):
                body.passed = definition.passed
                declaration.type = Named(body.place, body.name)
                flat.extend(lifted([body]))
        flat.append(definition)
    return flat


def _says_nothing(definition: Definition) -> bool:
    """``typedef struct x x;``, which C needs."""
    if not isinstance(definition, Typedef) or definition.declaration.shape != "plain":
        return False
    named = definition.declaration.type
    return isinstance(named, Named) and bool(named.tag) and named.name == definition.name


def with_headers(definitions: list[Definition], defines: Mapping[str, str]) -> list[Definition]:
    """The definitions, and before them what they use and do not have, if C's headers or their own lines for C do.

    Args:
        defines: what the lines for C define.
    """
    defined = {definition.name for definition in definitions}
    for definition in definitions:
        if isinstance(definition, Enum):
            defined |= {member.name for member in definition.members}
    used = {
        declaration.type.name
        for definition in definitions
        for declaration in declarations(definition)
        if isinstance(declaration.type, Named)
    }
    missing = used - defined
    added: list[Definition] = [one for one in parse(scan(_HEADERS, "<rpc/rpc.h>")) if one.name in missing]
    for reference in _references(definitions):
        text = {**_CONSTANTS, **defines}.get(reference.name)
        if text is None or reference.name in defined:
            continue
        defined.add(reference.name)
        try:
            value = evaluate(text, defines)
        except ValueError:  # then the name is not defined, which is said elsewhere
            continue
        added.append(Constant(reference.place, reference.name, Number(reference.place, str(value), value)))
    return added + definitions


def _references(definitions: list[Definition]) -> Iterator[Reference]:
    """Every name that stands for a number."""
    for definition in definitions:
        values: list[object] = [declaration.bound for declaration in declarations(definition)]
        if isinstance(definition, Union):
            values += [value for case in definition.cases for value in case.values]
        elif isinstance(definition, Enum):
            values += [member.value for member in definition.members]
        elif isinstance(definition, Constant):
            values.append(definition.value)
        elif isinstance(definition, Program):
            values += [definition.number, *(version.number for version in definition.versions)]
            values += [one.number for version in definition.versions for one in version.procedures]
        yield from (value for value in values if isinstance(value, Reference))


def boxed(definitions: list[Definition], scope: Scope) -> list[Definition]:
    """The definitions, with a struct around each optional type that is made optional once more.

    None could not tell "nothing" from "something that is nothing"; a struct of one member takes no bytes of its own.
    """
    flat: list[Definition] = []
    boxes: dict[str, Struct] = {}
    for definition in definitions:
        for declaration in declarations(definition):
            named = declaration.type
            if declaration.shape != "optional" or not isinstance(named, Named):
                continue
            base = scope.base(named)
            if isinstance(base, Typedef) and base.declaration.shape == "optional":
                if named.name not in boxes:
                    box = boxes[named.name] = Struct(named.place, _unused(f"{named.name}_box", scope), [])
                    box.fields.append(Declaration(named.place, "value", named))
                    scope.types[box.name] = box
                    flat.append(box)
                declaration.type = Named(named.place, boxes[named.name].name)
        flat.append(definition)
    return flat


def _unused(name: str, scope: Scope) -> str:
    while name in scope.types or name in scope.constants:
        name += "_"
    return name
