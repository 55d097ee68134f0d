"""What the grammar can't say: RFC 4506 section 6.4 and RFC 5531 section 12.3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.rpc.idl._finite import check_finite
from ipckit.rpc.idl._lifting import declarations
from ipckit.rpc.idl._source import IdlError, Problem
from ipckit.rpc.idl._types import Basic
from ipckit.rpc.idl.scope import Scope
from ipckit.rpc.idl.tree import (
    Case,
    Constant,
    Declaration,
    Definition,
    Enum,
    Named,
    Program,
    Struct,
    Text,
    Union,
    Value,
    Version,
)

if TYPE_CHECKING:
    from ipckit.rpc.idl._source import Place

_MOST = (1 << 32) - 1


class _Checker:
    def __init__(self, definitions: list[Definition]) -> None:
        self.scope = Scope(definitions)
        self.notes: list[Problem] = []
        self._programs: dict[int, str] = {}

    def check(self, definition: Definition) -> None:
        for declaration in declarations(definition):
            self._declaration(declaration)
        if isinstance(definition, Constant):
            if not isinstance(definition.value, Text):
                self.scope.value(definition.value)
        elif isinstance(definition, Enum):
            self._enum(definition)
        elif isinstance(definition, Struct):
            self._names(definition.fields)
        elif isinstance(definition, Union):
            self._union(definition)
        elif isinstance(definition, Program):
            self._program(definition)

    def _declaration(self, declaration: Declaration) -> None:
        if isinstance(declaration.type, Named):
            self.scope.known(declaration.type)
        if declaration.bound is not None:
            self._unsigned(declaration.bound, "a number of elements")

    def _unsigned(self, value: Value, what: str) -> int:
        number = self.scope.value(value)
        if not 0 <= number <= _MOST:
            self.scope.complain(value.place, f"{what} must be from 0 to {_MOST}, not {number}")
        return number

    def _names(self, fields: list[Declaration]) -> None:
        seen: dict[str, Place] = {}
        for one in fields:
            if one.name:
                self.scope.once(seen, one.name, one.place)

    def _enum(self, enum: Enum) -> None:
        values: dict[int, str] = {}
        for member in enum.members:
            number = self.scope.member_value(member)
            if not -(1 << 31) <= number < 1 << 31:
                self.scope.complain(member.place, f"an enumerator must fit 32 bits with a sign; {number} does not")
            first = values.setdefault(number, member.name)
            if first != member.name:
                text = f"{member.name!r} has the value of {first!r}, and becomes another name for it"
                self.notes.append(Problem(member.place, text))

    # --- unions -------------------------------------------------------------------------------------------------

    def _union(self, union: Union) -> None:
        self._names([case.arm for case in union.cases])
        named = union.discriminant.type
        assert isinstance(named, Named)  # bodies were lifted, and the parser refuses void
        base = self.scope.base(named)
        if base is None:  # unknown, and said so already
            return
        allowed = isinstance(base, Enum) or (isinstance(base, Basic) and base.low <= base.high)
        if not allowed:
            message = f"the discriminant of a union must be an int, unsigned int, bool or enum, not {named.name!r}"
            self.scope.complain(named.place, message)
            return
        seen: dict[int, int] = {}
        for case in union.cases:
            self._case(case, base, seen)

    def _case(self, case: Case, base: object, seen: dict[int, int]) -> None:
        for value in case.values:
            before = len(self.scope.problems)
            number = self.scope.value(value)
            if len(self.scope.problems) > before:
                continue
            if isinstance(base, Enum):
                if all(self.scope.member_value(member) != number for member in base.members):
                    self.scope.complain(value.place, f"the enum {base.name!r} has no value {number}")
            elif isinstance(base, Basic) and not base.low <= number <= base.high:
                self.scope.complain(value.place, f"{number} is not a value of the discriminant")
            if first := seen.get(number):
                self.scope.complain(value.place, f"the case {number} is already in line {first}")
            seen.setdefault(number, value.place.line)

    # --- programs -----------------------------------------------------------------------------------------------

    def _program(self, program: Program) -> None:
        number = self._unsigned(program.number, "the number of a program")
        first = self._programs.setdefault(number, program.name)
        if first != program.name:
            self.scope.complain(program.number.place, f"the program {first!r} has the number {number} already")
        names: dict[str, Place] = {}
        numbers: dict[int, str] = {}
        for version in program.versions:
            self.scope.once(names, version.name, version.place, "the version ")
            number = self._unsigned(version.number, "the number of a version")
            if number in numbers:
                message = f"the version {numbers[number]!r} has the number {number} already"
                self.scope.complain(version.number.place, message)
            numbers.setdefault(number, version.name)
            self._procedures(version)

    def _procedures(self, version: Version) -> None:
        names: dict[str, Place] = {}
        numbers: dict[int, str] = {}
        for procedure in version.procedures:
            self.scope.once(names, procedure.name, procedure.place, "the procedure ")
            number = self._unsigned(procedure.number, "the number of a procedure")
            if number in numbers:
                message = f"the procedure {numbers[number]!r} has the number {number} already"
                self.scope.complain(procedure.number.place, message)
            numbers.setdefault(number, procedure.name)
            if number == 0 and (procedure.arguments or procedure.result.type is not None):
                text = "procedure 0 takes and gives nothing by convention: clients call it to see who is there"
                self.notes.append(Problem(procedure.place, text))
            self._names(procedure.arguments)


def check(definitions: list[Definition]) -> tuple[Scope, list[Problem]]:
    """The meaning of the names, and what is worth a note.

    Args:
        definitions: of a whole file, no body in a declaration.

    Raises:
        IdlError: with everything that is wrong.
    """
    checker = _Checker(definitions)
    for definition in definitions:
        checker.check(definition)
    check_finite(checker.scope)
    if checker.scope.problems:
        unique = dict.fromkeys(checker.scope.problems)
        raise IdlError(*unique)
    return checker.scope, checker.notes
