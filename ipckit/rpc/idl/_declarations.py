"""Declarations and the types in them: the part of the grammar that nests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ipckit.rpc.idl._source import Token, wrong
from ipckit.rpc.idl._words import KEYWORDS, Words
from ipckit.rpc.idl.tree import Case, Declaration, Enum, Enumerator, Named, Struct, TypeExpression, Union, Value

if TYPE_CHECKING:
    from ipckit.rpc.idl._source import Place

_SIGNED = ("int", "hyper", "long", "short", "char")
_PLAIN = frozenset({"float", "double", "quadruple", "bool", "string", "opaque", "int", "hyper"})
_DEEPEST = 64


@dataclass(frozen=True, slots=True)
class _Shape:
    kind: str = "plain"
    bound: Value | None = None


class Declarations:
    """Reads declarations; `name_bodies` then names the bodies inside of them."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._depth = 0

    # --- types --------------------------------------------------------------------------------------------------

    def type(self) -> TypeExpression:
        """A type-specifier; a body in it has no name yet."""
        words = self._words
        token = words.peek()
        if token.kind != "name":
            raise words.unexpected("a type")
        if token.text in {"enum", "struct", "union"}:
            return self._tagged(words.next())
        if token.text == "unsigned":
            words.next()
            inner = words.take(*_SIGNED)
            return Named(token.place, f"unsigned {inner.text}" if inner else "unsigned int")
        if token.text in KEYWORDS - _PLAIN:
            raise words.unexpected("a type")
        words.next()
        if token.text == "long" and words.take("long"):
            return Named(token.place, "long long")
        if token.text in {"long", "short"}:
            words.take("int")
        return Named(token.place, token.text)

    def _tagged(self, word: Token) -> TypeExpression:
        opening = "switch" if word.text == "union" else "{"
        if self._words.at(opening):
            return self.body(word.text, word.place, "")
        if not self._words.at("{", "switch"):
            name = self._words.name(f"the name of a type, or '{opening}'")
            return Named(name.place, name.text, word.text)
        raise self._words.unexpected(f"'{opening}'")

    def body(self, kind: str, place: Place, name: str) -> Enum | Struct | Union:
        """What stands behind ``enum``, ``struct``, ``union`` and the name."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise wrong(place, f"bodies are nested more than {_DEEPEST} deep")
        if kind == "enum":
            made: Enum | Struct | Union = Enum(place, name, self._enumerators())
        elif kind == "struct":
            made = Struct(place, name, self._fields())
        else:
            made = self._union(place, name)
        self._depth -= 1
        return made

    def _enumerators(self) -> list[Enumerator]:
        words = self._words
        words.expect("{")
        members: list[Enumerator] = []
        while True:
            name = words.name("the name of an enumerator")
            value = words.value("a number or a constant") if words.take("=") else None
            last = words.last
            end = words.expect(",", "}")
            behind = end.behind if end.text == "," else last.behind if last else ""
            members.append(Enumerator(name.place, name.text, value, comment=name.above, behind=behind))
            if end.text == "}":
                return members

    def _fields(self) -> list[Declaration]:
        words = self._words
        words.expect("{")
        fields: list[Declaration] = []
        while not fields or not words.at("}"):
            place = words.peek().place
            declaration = self.declaration()
            if declaration.type is None:
                raise wrong(place, "a member of a struct can't be void")
            fields.append(self.ended(declaration))
        words.expect("}")
        return fields

    def _union(self, place: Place, name: str) -> Union:
        words = self._words
        words.expect("switch")
        words.expect("(")
        opening = words.peek().place
        discriminant = self.declaration()
        if discriminant.type is None or discriminant.shape != "plain":
            raise wrong(opening, "the discriminant of a union must be an integer, a bool or an enum")
        words.expect(")")
        words.expect("{")
        cases: list[Case] = []
        while words.at("case") or not cases:
            cases.append(self._case())
        if words.at("default"):
            cases.append(self._case())
        if not words.at("}"):
            raise words.unexpected("'}'" if not cases[-1].values else "'case', 'default' or '}'")
        words.next()
        return Union(place, name, discriminant, cases)

    def _case(self) -> Case:
        words = self._words
        first = words.peek()
        values: list[Value] = []
        if words.take("default"):
            words.expect(":")
        else:
            while words.at("case") or not values:
                words.expect("case")
                values.append(words.value("a number or a constant"))
                words.expect(":")
        arm = self.ended(self.declaration())
        return Case(first.place, arm.name, values, arm, comment=first.above)

    # --- declarations -------------------------------------------------------------------------------------------

    def declaration(self) -> Declaration:
        """A type and a name, or void."""
        words = self._words
        first = words.peek()
        if words.take("void"):
            return Declaration(first.place, "", None)
        inner = self.type()
        star = self._star(inner)
        name = words.name("a name")
        shape = _Shape("optional") if star else self._brackets(inner, needed=True)
        return Declaration(name.place, name.text, inner, shape.kind, shape.bound, comment=first.above)

    def parameter(self, default: str) -> Declaration:
        """What a procedure takes or gives: a type; its name, if there is one, stands before or behind the brackets."""
        words = self._words
        first = words.peek()
        if words.take("void"):
            return Declaration(first.place, "", None)
        inner = self.type()
        star = self._star(inner)
        shape = _Shape("optional") if star else self._brackets(inner, needed=False)
        name = first
        if default and words.peek().kind == "name":
            name = words.name("the name of an argument")
            if shape.kind == "plain":
                shape = self._brackets(inner, needed=False)
        if isinstance(inner, Named) and inner.name in {"opaque", "string"} and shape.kind == "plain":
            shape = _Shape("variable")
        return Declaration(name.place, name.text if name is not first else default, inner, shape.kind, shape.bound)

    def ended(self, declaration: Declaration) -> Declaration:
        """Read the semicolon, and keep the comment behind it."""
        declaration.behind = self._words.expect(";").behind
        return declaration

    def _star(self, inner: TypeExpression) -> bool:
        star = self._words.take("*")
        if star and isinstance(inner, Named) and inner.name in {"opaque", "string"}:
            raise wrong(star.place, f"{inner.name} can't be optional by itself; name it by a typedef, and take that")
        return star is not None

    def _brackets(self, inner: TypeExpression, *, needed: bool) -> _Shape:
        words = self._words
        kind = inner.name if isinstance(inner, Named) else ""
        if needed and kind in {"opaque", "string"} and not words.at("<", "["):
            raise words.unexpected("'<'" if kind == "string" else "'[' or '<'")
        if words.take("["):
            if kind == "string":
                raise wrong(words.last.place, "a string has no fixed length")  # type: ignore[union-attr]
            bound = words.value("the number of elements")
            words.expect("]")
            return _Shape("fixed", bound)
        if words.take("<"):
            limit = None if words.at(">") else words.value("the largest number of elements, or '>'")
            words.expect(">")
            return _Shape("variable", limit)
        return _Shape()


def name_bodies(owner: str, declaration: Declaration) -> None:
    """Name the body that stands in a declaration, and those in it, after what it stands in."""
    body = declaration.type
    if isinstance(body, (Enum, Struct, Union)):
        body.name = f"{owner}_{declaration.name}" if declaration.name else owner
        for inner in members(body):
            name_bodies(body.name, inner)


def members(body: Enum | Struct | Union) -> list[Declaration]:
    """The declarations of a body."""
    if isinstance(body, Enum):
        return []
    return body.fields if isinstance(body, Struct) else [body.discriminant, *(case.arm for case in body.cases)]
