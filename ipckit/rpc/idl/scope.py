"""What the names of a file mean: the types and constants behind them."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from ipckit.rpc.idl._source import Problem
from ipckit.rpc.idl._types import ADDED, BASIC, LANGUAGE, Basic
from ipckit.rpc.idl.tree import (
    Constant,
    Definition,
    Enum,
    Enumerator,
    Named,
    Number,
    Program,
    Reference,
    Struct,
    Text,
    Typedef,
    Union,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipckit.rpc.idl._source import Place

TRUTH = {"TRUE": 1, "FALSE": 0}


class Scope:
    """The names of a file. What is wrong with them is added to `problems`, and counts as if it were not there.

    Attributes:
        types: enums, structs, unions and typedefs.
        constants: constants and enumerators.
        enums: for each enumerator its enum.
        problems: what is wrong, in the order in which it was found.
    """

    def __init__(self, definitions: Iterable[Definition]) -> None:
        self.types: dict[str, Enum | Struct | Union | Typedef] = {}
        self.constants: dict[str, Constant | Enumerator] = {}
        self.enums: dict[str, Enum] = {}
        self.problems: list[Problem] = []
        self._values: dict[str, int] = {}
        self._evaluating: list[str] = []
        self._defined: dict[str, Place] = {}
        self._numbers: dict[str, Number | Reference] = {}  # of programs, versions and procedures, as C's #define has
        for definition in definitions:
            self._enter(definition)

    def complain(self, place: Place, message: str) -> None:
        """Add a problem."""
        self.problems.append(Problem(place, message))

    def once(self, defined: dict[str, Place], name: str, place: Place, what: str = "") -> bool:
        """Enter a name into its scope; whether it was not there yet."""
        if first := defined.get(name):
            self.complain(place, f"{what}{name!r} is already defined in {first.file}, line {first.line}")
            return False
        defined[name] = place
        return True

    def _enter(self, definition: Definition) -> None:
        new = self.once(self._defined, definition.name, definition.place)
        if isinstance(definition, Constant) and new:
            self.constants[definition.name] = definition
        elif isinstance(definition, (Enum, Struct, Union, Typedef)) and new:
            self.types[definition.name] = definition
        elif isinstance(definition, Program):
            for version in definition.versions:
                self._numbers.setdefault(version.name, version.number)
                for procedure in version.procedures:
                    self._numbers.setdefault(procedure.name, procedure.number)
            self._numbers[definition.name] = definition.number
        if isinstance(definition, Enum):
            for member in definition.members:
                if self.once(self._defined, member.name, member.place):
                    self.constants[member.name] = member
                    self.enums[member.name] = definition

    # --- constants ----------------------------------------------------------------------------------------------

    def value(self, value: Number | Text | Reference) -> int:
        """The number that a value stands for; 0 for one that means nothing, which is a problem."""
        if isinstance(value, Number):
            return value.value
        if isinstance(value, Text):
            self.complain(value.place, "a string can't stand here: a number is needed")
            return 0
        name = value.name
        if name in self._values:
            return self._values[name]
        if name in self._evaluating:
            self.complain(value.place, f"the constant {name!r} is defined by itself")
            return 0
        self._evaluating.append(name)
        self._values[name] = self._evaluated(name, value.place)
        self._evaluating.pop()
        return self._values[name]

    def _evaluated(self, name: str, place: Place) -> int:
        found = self.constants.get(name)
        if isinstance(found, Enumerator):
            return self._enumerator(found, self.enums[name])
        if found is not None:
            return self.value(found.value)
        if name in self._numbers:
            return self.value(self._numbers[name])
        if name in TRUTH:
            return TRUTH[name]
        what = "a type, not a constant" if name in self.types else "not defined"
        self.complain(place, f"{name!r} is {what}{_hint(name, self.constants)}")
        return 0

    def _enumerator(self, member: Enumerator, enum: Enum) -> int:
        if member.value is not None:
            return self.value(member.value)
        steps = 0
        for before in reversed(enum.members[: next(i for i, one in enumerate(enum.members) if one is member)]):
            steps += 1
            if before.value is not None:
                return self.value(before.value) + steps
        return steps

    def member_value(self, member: Enumerator) -> int:
        """The value of an enumerator."""
        return self.value(Reference(member.place, member.name))

    # --- types --------------------------------------------------------------------------------------------------

    def known(self, named: Named) -> bool:
        """Whether there is such a type; if not, that is a problem."""
        definition = self.types.get(named.name)
        if definition is not None:
            kind = _kind(definition)
            if named.tag and kind not in {named.tag, "typedef"}:
                self.complain(named.place, f"{named.name!r} is of kind {kind}, not {named.tag}")
            return True
        if named.name in BASIC and not named.tag:
            return True
        if named.name in self._defined:
            self.complain(named.place, f"{named.name!r} is a constant or a program, not a type")
        else:
            hint = _hint(named.name, [*self.types, *LANGUAGE, *ADDED])
            self.complain(named.place, f"there is no type {named.name!r}{hint}")
        return False

    def base(self, named: Named) -> Basic | Enum | Struct | Union | Typedef | None:
        """What a type is behind its other names: a typedef only if it adds brackets or a star; None if unknown."""
        seen = set()
        while named.name not in seen:
            seen.add(named.name)
            definition = self.types.get(named.name)
            if definition is None:
                return BASIC.get(named.name)
            if not isinstance(definition, Typedef):
                return definition
            inner = definition.declaration
            if inner.shape != "plain" or not isinstance(inner.type, Named):
                return definition
            named = inner.type
        return None


def _kind(definition: Definition) -> str:
    return type(definition).__name__.lower()


def _hint(name: str, others: Iterable[str]) -> str:
    close = get_close_matches(name, list(others), n=1)
    return f"; is {close[0]!r} meant?" if close else ""
