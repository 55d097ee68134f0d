"""Words to definitions: the grammar of RFC 4506 section 6.3 and RFC 5531 section 12.2, and what rpcgen adds to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.rpc.idl._declarations import Declarations, members, name_bodies
from ipckit.rpc.idl._source import Token, wrong
from ipckit.rpc.idl._words import Words
from ipckit.rpc.idl.tree import (
    Constant,
    Definition,
    Enum,
    Number,
    Procedure,
    Program,
    Reference,
    Struct,
    Text,
    Typedef,
    Union,
    Value,
    Version,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Parser:
    def __init__(self, tokens: Iterator[Token]) -> None:
        self._words = Words(tokens)
        self._declarations = Declarations(self._words)

    def definitions(self) -> Iterator[Definition]:
        while self._words.peek().kind != "end":
            first = self._words.peek()
            definition = self._definition()
            definition.comment = first.above
            definition.behind = self._words.expect(";").behind
            definition.passed = first.passed
            yield definition

    def _definition(self) -> Definition:
        words = self._words
        word = words.take("const", "typedef", "enum", "struct", "union", "program")
        if word is None:
            raise words.unexpected("'const', 'typedef', 'enum', 'struct', 'union' or 'program'")
        if word.text == "const":
            return self._constant()
        if word.text == "typedef":
            return self._typedef()
        if word.text == "program":
            return self._program()
        name = words.name(f"the name of the {word.text}")
        body = self._declarations.body(word.text, name.place, name.text)
        for declaration in members(body):
            name_bodies(name.text, declaration)
        return body

    def _constant(self) -> Constant:
        words = self._words
        name = words.name("the name of the constant")
        words.expect("=")
        token = words.peek()
        value: Number | Text | Reference
        value = Text(token.place, words.next().text[1:-1]) if token.kind == "string" else words.value("a number")
        return Constant(name.place, name.text, value)

    def _typedef(self) -> Definition:
        first = self._words.peek()
        declaration = self._declarations.declaration()
        if declaration.type is None:
            raise wrong(first.place, "void can't be given a name")
        body = declaration.type
        if isinstance(body, (Enum, Struct, Union)):
            plain = declaration.shape == "plain"
            body.name = declaration.name if plain else f"{declaration.name}_element"
            for inner in members(body):
                name_bodies(body.name, inner)
            if plain:  # `typedef struct { ... } name` is `struct name { ... }`
                body.place = declaration.place
                return body
        return Typedef(declaration.place, declaration.name, declaration)

    # --- programs -----------------------------------------------------------------------------------------------

    def _program(self) -> Program:
        words = self._words
        name = words.name("the name of the program")
        words.expect("{")
        versions = [self._version()]
        while not words.at("}"):
            versions.append(self._version())
        words.next()
        return Program(name.place, name.text, versions, self._number())

    def _version(self) -> Version:
        words = self._words
        comment = words.peek().above
        words.expect("version")
        name = words.name("the name of the version")
        words.expect("{")
        procedures = [self._procedure()]
        while not words.at("}"):
            procedures.append(self._procedure())
        words.next()
        number = self._number()
        words.expect(";")
        return Version(name.place, name.text, procedures, number, comment=comment)

    def _procedure(self) -> Procedure:
        words = self._words
        comment = words.peek().above
        result = self._declarations.parameter("")
        name = words.name("the name of a procedure")
        words.expect("(")
        arguments = [] if words.at(")") else [self._declarations.parameter("arg1")]
        if arguments and arguments[0].type is None:
            arguments = []
        while words.at(",") and arguments:
            words.next()
            argument = self._declarations.parameter(f"arg{len(arguments) + 1}")
            if argument.type is None:
                raise wrong(argument.place, "void stands alone between the brackets")
            arguments.append(argument)
        words.expect(")")
        name_bodies(f"{name.text}_result", result)
        for argument in arguments:
            name_bodies(name.text, argument)
        number = self._number()
        behind = words.expect(";").behind
        return Procedure(name.place, name.text, result, arguments, number, comment=comment, behind=behind)

    def _number(self) -> Value:
        self._words.expect("=")
        return self._words.value("a number or a constant")


def parse(tokens: Iterator[Token]) -> list[Definition]:
    """The definitions in the order of the file, a body without a name as it stands in its declaration.

    Raises:
        IdlError: the grammar is violated.
    """
    return list(_Parser(tokens).definitions())
