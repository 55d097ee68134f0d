"""Types and values of a file as annotations and expressions of Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.rpc.idl._layout import Brackets
from ipckit.rpc.idl._types import BASIC
from ipckit.rpc.idl.tree import Declaration, Enum, Enumerator, Named, Number, Reference, Text

if TYPE_CHECKING:
    from ipckit.rpc.idl._layout import Piece
    from ipckit.rpc.idl._names import Names
    from ipckit.rpc.idl.scope import Scope


class Speller:
    """Spells what stands in a file; `ready` grows with the definitions that were written."""

    def __init__(self, scope: Scope, names: Names) -> None:
        self._scope = scope
        self._names = names
        self.ready: set[str] = set()

    # --- values -------------------------------------------------------------------------------------------------

    def value(self, value: Number | Text | Reference, *, later: bool = False) -> str:
        """An expression; a constant by its name where it is defined, or will be when it is evaluated *later*."""
        if isinstance(value, Number):
            return literal(value)
        if isinstance(value, Text):
            return text(value.value)
        name = value.name
        if name in self._names.constants and (later or name in self.ready):
            return self._names.constants[name]
        return str(self._scope.value(value))

    def enumerator(self, enum: Enum, member: Enumerator, written: set[str]) -> str:
        """The value of a member, in the body of its class."""
        value = member.value
        if value is None:
            return str(self._scope.member_value(member))
        if isinstance(value, Reference) and value.name in written:
            return self._names.members[enum.name].names[value.name]
        return self.value(value)

    def case(self, value: Number | Reference, discriminant: Named) -> str:
        """A value of a discriminant."""
        number = self._scope.value(value)
        base = self._scope.base(discriminant)
        if isinstance(base, Enum):
            if isinstance(value, Reference) and self._scope.enums.get(value.name) is base:
                return self._names.constants[value.name]
            member = next(one for one in base.members if self._scope.member_value(one) == number)
            return self._names.constants[member.name]
        if base is BASIC["bool"]:
            return str(bool(number))
        return self.value(value, later=True)

    # --- types --------------------------------------------------------------------------------------------------

    def annotation(self, declaration: Declaration, *more: Piece, later: bool = True) -> Piece:
        """The type with all that the codec needs, and more markers."""
        inner, markers = self._parts(declaration, later=later)
        if not markers and not more:
            return inner
        return Brackets("Annotated[", (inner, *markers, *more), "]")

    def plain(self, declaration: Declaration) -> str:
        """The type as it stands in a signature, where limits only take room."""
        if declaration.type is None:
            return "None"
        assert isinstance(declaration.type, Named)  # bodies were lifted
        basic = None if declaration.type.name in self._scope.types else BASIC.get(declaration.type.name)
        inner = basic.plain if basic else self._names.types[declaration.type.name]
        return _shaped(declaration, inner)

    def _parts(self, declaration: Declaration, *, later: bool) -> tuple[str, list[Piece]]:
        if declaration.type is None:
            return "None", []
        assert isinstance(declaration.type, Named)  # bodies were lifted
        basic = None if declaration.type.name in self._scope.types else BASIC.get(declaration.type.name)
        inner = basic.spelling if basic else self._names.types[declaration.type.name]
        markers: list[Piece] = []
        if declaration.bound is not None:
            marker = "Fixed" if declaration.shape == "fixed" else "Max"
            markers.append(Brackets(f"xdr.{marker}(", (self.value(declaration.bound, later=later),), ")"))
        return _shaped(declaration, inner), markers


def _shaped(declaration: Declaration, inner: str) -> str:
    if declaration.shape == "optional":
        return f"{inner} | None"
    if declaration.shape in {"fixed", "variable"} and inner not in {"bytes", "str"}:
        return f"list[{inner}]"
    return inner


def literal(value: Number) -> str:
    """An integer as Python writes it, in the base that the file has."""
    sign, digits = ("-", value.text[1:]) if value.text.startswith("-") else ("", value.text)
    if digits[:2] in {"0x", "0X"}:
        return f"{sign}0x{digits[2:].upper()}"
    if len(digits) > 1 and digits.startswith("0"):
        return f"{sign}0o{digits[1:]}"
    return sign + digits


def text(value: str) -> str:
    """A string as Python writes it, in double quotes where that needs no more backslashes."""
    quoted = repr(value)
    return f'"{quoted[1:-1]}"' if quoted[0] == "'" and '"' not in value else quoted
