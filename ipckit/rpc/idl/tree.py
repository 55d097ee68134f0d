"""The syntax tree of a file in the RPC language: RFC 4506 section 6.3, RFC 5531 section 12.2."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from ipckit.rpc.idl._source import Place, Problem


@dataclass(slots=True)
class Number:
    """An integer as it is written in the file."""

    place: Place
    text: str
    value: int


@dataclass(slots=True)
class Text:
    """The value of a constant that is a string."""

    place: Place
    value: str


@dataclass(slots=True)
class Reference:
    """A constant or an enumerator that stands for its value."""

    place: Place
    name: str


Value: TypeAlias = "Number | Reference"


@dataclass(slots=True)
class Named:
    """A type that is named: one of the language or a defined one; *tag* is the word ``struct``, ``union``, ``enum``."""

    place: Place
    name: str
    tag: str = ""


@dataclass(slots=True)
class Definition:
    """What all definitions have; *comment* is what stands above, *behind* what stands behind on the same line."""

    place: Place
    name: str
    comment: tuple[str, ...] = field(default=(), kw_only=True)
    behind: str = field(default="", kw_only=True)
    passed: bool = field(default=False, kw_only=True)  # only a %#include names its file


@dataclass(slots=True)
class Constant(Definition):
    """``const NAME = value;``."""

    value: Number | Text | Reference


@dataclass(slots=True)
class Enumerator(Definition):
    """A name of an enum; without a value it is one more than that before it, as in C."""

    value: Value | None


@dataclass(slots=True)
class Enum(Definition):
    """``enum NAME { ... };``."""

    members: list[Enumerator]


@dataclass(slots=True)
class Declaration(Definition):
    """A name with its type.

    Attributes:
        type: the element's type; None is void.
        shape: ``plain``, ``fixed`` ([n]), ``variable`` (<n>), ``optional`` (*).
        bound: the number in the brackets, None for <>.
    """

    type: TypeExpression | None
    shape: str = "plain"
    bound: Value | None = None


@dataclass(slots=True)
class Struct(Definition):
    """``struct NAME { ... };``."""

    fields: list[Declaration]


@dataclass(slots=True)
class Case(Definition):
    """An arm of a union; *values* is empty for the default."""

    values: list[Value]
    arm: Declaration


@dataclass(slots=True)
class Union(Definition):
    """``union NAME switch (discriminant) { ... };``; the default arm is among the cases."""

    discriminant: Declaration
    cases: list[Case]


@dataclass(slots=True)
class Typedef(Definition):
    """``typedef declaration;``."""

    declaration: Declaration


@dataclass(slots=True)
class Procedure(Definition):
    """``result NAME(arguments) = number;``."""

    result: Declaration
    arguments: list[Declaration]
    number: Value


@dataclass(slots=True)
class Version(Definition):
    """``version NAME { procedures } = number;``."""

    procedures: list[Procedure]
    number: Value


@dataclass(slots=True)
class Program(Definition):
    """``program NAME { versions } = number;``."""

    versions: list[Version]
    number: Value


TypeExpression: TypeAlias = "Named | Enum | Struct | Union"


@dataclass(slots=True)
class Specification:
    """A whole file with what it includes; *notes* says what was skipped."""

    definitions: list[Definition]
    notes: list[Problem]
