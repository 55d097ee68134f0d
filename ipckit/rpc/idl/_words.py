"""A reader over words that can look ahead, and says what it expected instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipckit.rpc.idl._numbers import number
from ipckit.rpc.idl._source import Token, wrong
from ipckit.rpc.idl.tree import Number, Reference, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipckit.rpc.idl._source import IdlError

# RFC 4506 section 6.4 (1) and RFC 5531 section 12.3 (1).
KEYWORDS = frozenset({
    "bool", "case", "const", "default", "double", "enum", "float", "hyper", "int", "opaque", "program", "quadruple",
    "string", "struct", "switch", "typedef", "union", "unsigned", "version", "void",
})  # fmt: skip


class Words:
    """The words of a file, one after the other."""

    def __init__(self, tokens: Iterator[Token]) -> None:
        self._tokens = tokens
        self._ahead: list[Token] = []
        self.last: Token | None = None

    def peek(self, distance: int = 0) -> Token:
        """A word that was not read yet; behind the end there are more ends."""
        while len(self._ahead) <= distance:
            if self._ahead and self._ahead[-1].kind == "end":
                return self._ahead[-1]
            self._ahead.append(next(self._tokens))
        return self._ahead[distance]

    def next(self) -> Token:
        """The next word."""
        token = self.peek()
        if token.kind != "end":
            self.peek(1)  # only now it is known whether a comment stands behind the word
            del self._ahead[0]
        self.last = token
        return token

    def at(self, *texts: str) -> bool:
        """Whether the next word is one of these marks or keywords."""
        token = self.peek()
        return token.kind in {"mark", "name"} and token.text in texts

    def take(self, *texts: str) -> Token | None:
        """The next word, if it is one of these."""
        return self.next() if self.at(*texts) else None

    def expect(self, *texts: str) -> Token:
        """The next word, which must be one of these."""
        if not self.at(*texts):
            raise self.unexpected(" or ".join(f"'{text}'" for text in texts))
        return self.next()

    def name(self, what: str) -> Token:
        """The next word, which must be a name of the user's."""
        token = self.peek()
        if token.kind != "name":
            raise self.unexpected(what)
        if token.text in KEYWORDS:
            raise wrong(token.place, f"{token.text!r} is a word of the language and can't be {what}")
        return self.next()

    def value(self, what: str) -> Value:
        """A number, or the name of a constant."""
        token = self.peek()
        if token.kind == "number":
            return self.number()
        if token.kind == "character":
            self.next()
            return Number(token.place, str(ord(token.text[1])), ord(token.text[1]))
        found = self.name(what)
        return Reference(found.place, found.text)

    def number(self) -> Number:
        """The next word, which is a number."""
        token = self.next()
        try:
            return Number(token.place, token.text, number(token.text))
        except ValueError as error:
            raise wrong(token.place, str(error)) from None

    def unexpected(self, expected: str) -> IdlError:
        """What is wrong with the next word."""
        token, last = self.peek(), self.last
        if last is None:
            return wrong(token.place, f"expected {expected}, not {token}")
        # What is missing at the end of a line is missing there, not where the next line begins.
        same_line = (token.place.file, token.place.line) == (last.place.file, last.place.line)
        place = token.place if same_line else last.end
        return wrong(place, f"expected {expected} after {last}, not {token}")
