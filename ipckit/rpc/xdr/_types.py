"""How the types of RFC 4506 are spelled in annotations: names for the plain ones, markers for lengths and cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeAlias, TypeVar

__all__ = [
    "LENGTH_MAX",
    "Bool",
    "Case",
    "Default",
    "Double",
    "Fixed",
    "Float",
    "Format",
    "Hyper",
    "Int",
    "Max",
    "Opaque",
    "Quadruple",
    "String",
    "UHyper",
    "UInt",
    "union",
]

_Class = TypeVar("_Class", bound=type)

# A length is an unsigned int on the wire.
LENGTH_MAX = 2**32 - 1


def _check_length(length: int) -> None:
    if not 0 <= length <= LENGTH_MAX:
        raise ValueError(f"a length is between 0 and {LENGTH_MAX}, not {length}")


@dataclass(frozen=True)
class Max:
    """The greatest length of a variable-length ``str`` or ``bytes`` (in bytes) or ``list`` (in elements).

    ``Annotated[str, Max(255)]`` is ``string x<255>``.
    """

    length: int

    def __post_init__(self) -> None:
        _check_length(self.length)


@dataclass(frozen=True)
class Fixed:
    """The length of a fixed-length ``bytes`` (in bytes) or ``list`` (in elements).

    ``Annotated[bytes, Fixed(5)]`` is ``opaque x[5]``.
    """

    length: int

    def __post_init__(self) -> None:
        _check_length(self.length)


@dataclass(frozen=True, init=False)
class Case:
    """The values of the discriminant for which this is the arm of a union."""

    values: tuple[int, ...]

    def __init__(self, *values: int) -> None:
        if not values:
            raise ValueError("Case takes at least one value of the discriminant")
        object.__setattr__(self, "values", values)


@dataclass(frozen=True)
class Default:
    """The arm of a union for every value of the discriminant that no Case names."""


@dataclass(frozen=True)
class Format:
    """A number of fixed size, by its letter in the module struct."""

    code: str


Int: TypeAlias = Annotated[int, Format("i")]
UInt: TypeAlias = Annotated[int, Format("I")]
Hyper: TypeAlias = Annotated[int, Format("q")]
UHyper: TypeAlias = Annotated[int, Format("Q")]
Float: TypeAlias = Annotated[float, Format("f")]
Double: TypeAlias = Annotated[float, Format("d")]
Quadruple: TypeAlias = Annotated[bytes, Fixed(16)]
Bool: TypeAlias = bool
String: TypeAlias = str
Opaque: TypeAlias = bytes


def union(cls: _Class) -> _Class:
    r"""Mark a dataclass of two fields as a discriminated union: the discriminant, then the value.

    The discriminant is an ``enum.IntEnum``, ``bool``, `Int` or `UInt`. The value is the ``|`` of its arms, each
    ``Annotated`` with its `Case` or `Default`; a void arm is ``Annotated[None, ...]``.

    >>> from dataclasses import dataclass
    >>> from typing import Annotated
    >>> from ipckit.rpc import xdr
    >>> @xdr.union
    ... @dataclass(slots=True)
    ... class Result:
    ...     status: xdr.Int
    ...     value: Annotated[str, xdr.Case(0)] | Annotated[None, xdr.Default()]
    >>> xdr.codec(Result).encode(Result(0, "ok")).hex(" ", 4)
    '00000000 00000002 6f6b0000'
    >>> xdr.codec(Result).decode(b"\0\0\0\7")
    Result(status=7, value=None)
    """
    cls.__xdr_union__ = True  # type: ignore[attr-defined]
    return cls
