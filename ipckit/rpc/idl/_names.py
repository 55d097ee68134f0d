"""Names of a file as names of Python: types in capital words, procedures in small letters, all else as it stands."""

from __future__ import annotations

import keyword
from typing import TYPE_CHECKING

from ipckit.rpc.idl.tree import Constant, Enum, Program

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipckit.rpc.idl.tree import Definition

# What the module itself says at its top and in its services, and the builtins that stand in its annotations.
_BUILTINS = frozenset({"bool", "bytes", "float", "int", "list", "str"})
_SERVICE = frozenset({"NAME", "PROCEDURES", "PROGRAM", "SERVICE", "VERSION"})
_MODULE = _BUILTINS | _SERVICE | {"Annotated", "IntEnum", "abstractmethod", "annotations", "dataclass", "rpc", "xdr"}
# Attributes that a member of an IntEnum must not hide.
_ENUM = frozenset({
    "as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator", "from_bytes", "imag", "is_integer",
    "mro", "name", "numerator", "real", "to_bytes", "value",
})  # fmt: skip
# Attributes of Service, Stub and AsyncStub, and parameters that their methods have.
_METHODS = frozenset({
    "_call", "_check", "_client", "_procedures", "client", "close", "connect_tcp", "connect_udp", "connect_unix",
    "handlers",
})  # fmt: skip


def capital_words(name: str) -> str:
    """The name of a class: ``key_value`` and ``KEY_VALUE`` are ``KeyValue``, ``READ3args`` stays as it is."""
    words = [word for word in name.split("_") if word]
    made = "".join(word.capitalize() if word.isupper() else word[0].upper() + word[1:] for word in words)
    return made if made and not made[0].isdigit() else f"_{made}"


def small(name: str) -> str:
    """The name of a method: all capitals become small letters."""
    return name.lower() if name.isupper() else name


def free(name: str, taken: Iterable[str]) -> str:
    """The name, with underscores behind it until it is neither taken nor a word of Python."""
    while name in taken or keyword.iskeyword(name):
        name += "_"
    return name


def _unmangled(name: str) -> str:
    """A name that Python leaves alone in a class, and that is none of those which an enum keeps for itself."""
    special = name.startswith("__") or (name.startswith("_") and name.endswith("_"))
    return name.lstrip("_") + "_" if special else name


class Members:
    """The names within one class: no two are the same, none hides a type or is changed by Python."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self.names: dict[str, str] = {}

    def add(self, name: str, wanted: str | None = None) -> str:
        """The name in Python of a member; *wanted* is how it should be called."""
        wanted = name if wanted is None else wanted
        made = free(_unmangled(wanted), self._taken)
        self._taken.add(made)
        self.names[name] = made
        return made


class Names:
    """The names of a module.

    Attributes:
        types: for each type of the file its class or alias.
        constants: for each constant and enumerator what stands for it.
        members: for each enum the names of its members.
    """

    def __init__(self, definitions: Iterable[Definition]) -> None:
        self.types: dict[str, str] = {}
        self.constants: dict[str, str] = {}
        self.members: dict[str, Members] = {}
        self._taken = set(_MODULE)
        definitions = list(definitions)
        for definition in definitions:  # constants keep their names, types give way
            if isinstance(definition, Constant):
                self.constants[definition.name] = self._new(_unmangled(definition.name))
        for definition in definitions:
            if not isinstance(definition, (Constant, Program)):
                self._type(definition)

    def _new(self, *names: str) -> str:
        """The first of the names that is free, or the last with underscores behind."""
        made = next((name for name in names if free(name, self._taken) == name), None) or free(names[-1], self._taken)
        self._taken.add(made)
        return made

    def _type(self, definition: Definition) -> None:
        made = self.types[definition.name] = self._new(capital_words(definition.name), definition.name)
        if isinstance(definition, Enum):
            inner = self.members[definition.name] = Members(_ENUM)
            for member in definition.members:
                self.constants[member.name] = f"{made}.{inner.add(member.name)}"

    def service(self, program: str, number: int) -> str:
        """The class of a version; its clients are called after it."""
        wanted = f"{capital_words(program)}V{number}"
        while self._taken & {wanted, f"{wanted}Client", f"{wanted}AsyncClient"}:
            wanted += "_"
        self._taken |= {wanted, f"{wanted}Client", f"{wanted}AsyncClient"}
        return wanted

    def fields(self, *taken: str) -> Members:
        """The names within a struct, a union, or a list of arguments."""
        return Members({*self._hidden(), *taken})

    def methods(self) -> Members:
        """The names within a service."""
        return Members({*self._hidden(), *_METHODS})

    def _hidden(self) -> frozenset[str]:
        return _MODULE.union(self.types.values(), self.constants.values())
