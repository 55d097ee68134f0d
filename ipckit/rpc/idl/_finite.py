"""Types that no value could have, because each would hold another of its own kind, without end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.rpc.idl._lifting import declarations
from ipckit.rpc.idl.tree import Declaration, Enum, Named, Struct, Typedef, Union

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipckit.rpc.idl.scope import Scope


def check_finite(scope: Scope) -> None:
    """Add a problem for each type that is endless, and for each typedef that leads back to itself."""
    endless = set(_endless(scope))
    for name, definition in scope.types.items():
        if name in endless and not isinstance(definition, Typedef) and _holds_itself(scope, name, endless):
            kind = "union" if isinstance(definition, Union) else "struct"
            message = f"the {kind} {name!r} holds itself, and would never end; make one of its members optional: '*'"
            scope.complain(definition.place, message)
    for name, definition in scope.types.items():
        if isinstance(definition, Typedef) and _leads_back(scope, name):
            message = f"the typedef {name!r} is made of itself; put a struct between"
            scope.complain(definition.place, message)


def _endless(scope: Scope) -> list[str]:
    """The structs and unions without a finite value: what is left when all that has one was taken away."""
    rest = dict(scope.types)
    while True:
        ends = [name for name, definition in rest.items() if _ends(scope, definition, rest)]
        if not ends:
            return list(rest)
        for name in ends:
            del rest[name]


def _ends(scope: Scope, definition: Enum | Struct | Union | Typedef, rest: Mapping[str, object]) -> bool:
    """Whether a value can be written down with the types that are not in *rest*."""

    def needs_none(declaration: Declaration) -> bool:
        if declaration.shape in {"variable", "optional"} or not isinstance(declaration.type, Named):
            return True
        empty = declaration.bound is not None and scope.value(declaration.bound) == 0
        return empty or declaration.type.name not in rest

    if isinstance(definition, Union):
        return any(needs_none(case.arm) for case in definition.cases)
    return all(needs_none(declaration) for declaration in declarations(definition))


def _holds_itself(scope: Scope, name: str, endless: set[str]) -> bool:
    """Whether an endless type is the reason, and not only made of one that is."""
    reached: set[str] = set()
    ahead = [name]
    while ahead:
        for declaration in declarations(scope.types[ahead.pop()]):
            inner = declaration.type
            if not isinstance(inner, Named) or declaration.shape in {"variable", "optional"}:
                continue
            if inner.name in endless and inner.name not in reached:
                reached.add(inner.name)
                ahead.append(inner.name)
    return name in reached


def _leads_back(scope: Scope, name: str) -> bool:
    seen = set()
    at = name
    while at not in seen:
        seen.add(at)
        definition = scope.types.get(at)
        if not isinstance(definition, Typedef) or not isinstance(definition.declaration.type, Named):
            return False
        at = definition.declaration.type.name
    return at == name
