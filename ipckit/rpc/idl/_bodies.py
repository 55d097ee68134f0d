"""Constants, enums, structs, unions and typedefs as Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.rpc.idl._layout import WIDTH, Brackets, commented, docstring, flat, laid, remark
from ipckit.rpc.idl.tree import Constant, Declaration, Definition, Enum, Named, Struct, Typedef, Union

if TYPE_CHECKING:
    from ipckit.rpc.idl._names import Names
    from ipckit.rpc.idl._spelling import Speller


class Bodies:
    """Writes definitions of types and constants, one at a time."""

    def __init__(self, speller: Speller, names: Names) -> None:
        self._speller = speller
        self._names = names

    def lines(self, definition: Definition) -> list[str]:
        """The lines of one definition, without blank lines around them."""
        if isinstance(definition, Constant):
            value = self._speller.value(definition.value)
            code = [f"{self._names.constants[definition.name]} = {value}"]
            return remark(definition.comment) + commented(code, definition.behind)
        if isinstance(definition, Typedef):
            annotation = self._speller.annotation(definition.declaration, later=False)
            code = laid((f"{self._names.types[definition.name]} = ", annotation))
            return remark(definition.comment) + commented(code, definition.behind)
        if isinstance(definition, Enum):
            return self._enum(definition)
        if isinstance(definition, Struct):
            return self._struct(definition)
        assert isinstance(definition, Union)  # programs are written elsewhere
        return self._union(definition)

    def _enum(self, enum: Enum) -> list[str]:
        lines = [f"class {self._names.types[enum.name]}(IntEnum):", *_about(enum, "enum"), ""]
        written: set[str] = set()
        for member in enum.members:
            value = self._speller.enumerator(enum, member, written)
            code = f"    {self._names.members[enum.name].names[member.name]} = {value}"
            lines += remark(member.comment, 4) + commented([code], member.behind)
            written.add(member.name)
        return lines

    def _struct(self, struct: Struct) -> list[str]:
        lines = ["@dataclass(slots=True)", f"class {self._names.types[struct.name]}:", *_about(struct, "struct"), ""]
        fields = self._names.fields()
        for one in struct.fields:
            lines += self._field(one, fields.add(one.name))
        return lines

    def _field(self, declaration: Declaration, name: str) -> list[str]:
        code = laid((f"{name}: ", self._speller.annotation(declaration)), 4)
        return remark(declaration.comment, 4) + commented(code, declaration.behind)

    def _union(self, union: Union) -> list[str]:
        name = self._names.types[union.name]
        lines = ["@xdr.union", "@dataclass(slots=True)", f"class {name}:", *_about(union, "union"), ""]
        discriminant = union.discriminant
        assert isinstance(discriminant.type, Named)  # bodies were lifted
        lines += self._field(discriminant, self._names.fields("value").add(discriminant.name))
        arms = []
        for case in union.cases:
            values = tuple(self._speller.case(value, discriminant.type) for value in case.values)
            marker = Brackets("xdr.Case(", values, ")") if values else Brackets("xdr.Default(", (), ")")
            arms.append((self._speller.annotation(case.arm, marker), case.arm.name))
        if len(arms) == 1:
            return lines + commented(laid(("value: ", arms[0][0]), 4), arms[0][1])
        line = " | ".join(flat(arm) for arm, _ in arms)
        silent = not any(about for _, about in arms)
        if silent and len(line) + len("    value: ") <= WIDTH:
            return [*lines, f"    value: {line}"]
        lines.append("    value: (")
        if silent and len(line) + 8 <= WIDTH:
            return [*lines, f"        {line}", "    )"]
        for number, (arm, about) in enumerate(arms):
            lines += laid(("| " if number else "", arm), 8, f"  # {about}" if about else "")
        return [*lines, "    )"]


def _about(definition: Definition, kind: str) -> list[str]:
    """The docstring of a class: what the file says, or at least what it is called there."""
    comment = list(definition.comment) or [f"The {kind} `{definition.name}`."]
    return docstring(comment, 4)
