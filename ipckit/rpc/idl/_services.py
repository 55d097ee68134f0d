"""Programs as Python: for each version the abstract class of the server, and the clients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipckit.rpc.idl._layout import Brackets, Code, docstring, laid, listed
from ipckit.rpc.idl._names import small

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.rpc.idl._names import Names
    from ipckit.rpc.idl._spelling import Speller
    from ipckit.rpc.idl.scope import Scope
    from ipckit.rpc.idl.tree import Procedure, Program, Version


@dataclass(frozen=True, slots=True)
class _Method:
    """What the three classes say of one procedure."""

    procedure: Procedure
    number: int
    name: str
    parameters: tuple[str, ...]
    arguments: tuple[str, ...]
    result: str

    @property
    def about(self) -> list[str]:
        behind = [self.procedure.behind] if self.procedure.behind else []
        return list(self.procedure.comment) or behind


class Services:
    """Writes programs, one at a time."""

    def __init__(self, scope: Scope, speller: Speller, names: Names) -> None:
        self._scope = scope
        self._speller = speller
        self._names = names

    def classes(self, program: Program) -> Iterator[list[str]]:
        """The lines of each class of a program."""
        for version in program.versions:
            name = self._names.service(program.name, self._scope.value(version.number))
            methods = self._methods(version)
            yield self._service(program, version, name, methods)
            yield self._client(program, version, name, methods, word="")
            yield self._client(program, version, name, methods, word="async ")

    def _methods(self, version: Version) -> list[_Method]:
        names = self._names.methods()
        made = []
        for one in version.procedures:
            fields = self._names.fields("self", "timeout", "call", "result")
            arguments = tuple(fields.add(argument.name) for argument in one.arguments)
            types = [self._speller.plain(argument) for argument in one.arguments]
            parameters = tuple(f"{name}: {kind}" for name, kind in zip(arguments, types, strict=True))
            name = names.add(one.name, small(one.name))
            number = self._scope.value(one.number)
            made.append(_Method(one, number, name, parameters, arguments, self._speller.plain(one.result)))
        return made

    def _service(self, program: Program, version: Version, name: str, methods: list[_Method]) -> list[str]:
        number = self._scope.value(version.number)
        about = version.comment or program.comment
        first = f"Version {number} of {program.name}: the server's side."
        lines = [*_head(name, "rpc.Service"), *docstring([first, *([""] if about else []), *about], 4), ""]
        lines += [
            f"    PROGRAM = {self._speller.value(program.number)}",
            f"    VERSION = {self._speller.value(version.number)}",
            f'    NAME = "{program.name}"',
        ]
        lines += laid(("PROCEDURES = ", listed(tuple(map(self._procedure, methods)), spread=True)), 4)
        for method in methods:
            null = method.number == 0 and not method.arguments and method.result == "None"
            said = method.about
            if null and not said:
                said = ["Do nothing, and so show that the server is there."]
            code = ("def ", method.name, _brackets("self", *method.parameters), f" -> rpc.Returns[{method.result}]:")
            # A server has procedure 0 without writing it.
            lines += ["", *([] if null else ["    @abstractmethod"]), *laid(code, 4, "" if said else " ...")]
            lines += docstring(said, 8) if said else []
        return lines

    def _procedure(self, method: _Method) -> Code:
        types = tuple(self._speller.annotation(one) for one in method.procedure.arguments)
        result = self._speller.annotation(method.procedure.result)
        return Brackets("rpc.Procedure(", (str(method.number), f'"{method.name}"', listed(types), result), ")")

    def _client(
        self, program: Program, version: Version, service: str, methods: list[_Method], *, word: str
    ) -> list[str]:
        kind = "Async" if word else ""
        number = self._scope.value(version.number)
        side = "the client's side, with coroutines" if word else "the client's side"
        lines = [
            *_head(f"{service}{kind}Client", f"rpc.{kind}Stub"),
            *docstring([f"Version {number} of {program.name}: {side}."], 4),
            "",
            f"    SERVICE = {service}",
        ]
        for method in methods:
            parameters = ("self", *method.parameters, "*", "timeout: float | None = None")
            lines += ["", *laid((f"{word}def ", method.name, _brackets(*parameters), f" -> {method.result}:"), 4)]
            lines += docstring(method.about, 8) if method.about else []
            call = Brackets("self._call(", (f'"{method.name}"', listed(method.arguments), "timeout"), ")")
            wait = "await " if word else ""
            if method.result == "None":
                lines += laid((wait, call), 8)
            else:
                lines += [*laid((f"result: {method.result} = {wait}", call), 8), "        return result"]
        return lines


def _head(name: str, base: str) -> list[str]:
    return laid((f"class {name}", _brackets(base), ":"))


def _brackets(*items: str) -> Brackets:
    return Brackets("(", items, ")")
