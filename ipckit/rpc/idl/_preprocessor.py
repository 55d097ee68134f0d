"""What rpcgen leaves to cpp: ``#include``, ``#define`` of plain names, ``#if`` and its kin; and the lines with %."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from ipckit.rpc.idl._condition import evaluate
from ipckit.rpc.idl._scanner import scan
from ipckit.rpc.idl._source import Place, Problem, Token, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_DIRECTIVE = re.compile(r"#\s*(\w*)\s*(.*)", re.DOTALL)
_INCLUDE = re.compile(r"""(?:"([^"]+)"|<([^>]+)>)""")
_DEFINE = re.compile(r"([A-Za-z_]\w*)(\()?\s*(.*)", re.DOTALL)
_PASSED = re.compile(r"%\s*#\s*include\s*(.*)")
_PASSED_DEFINE = re.compile(r"%\s*#\s*define\s+([A-Za-z_]\w*)[ \t]+(\S.*)", re.DOTALL)
_IGNORED = frozenset({"", "pragma", "line", "ident", "warning"})


def read_source(path: str) -> str:
    """The text of a file; old ones are Latin-1."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


class _Branch:
    """An ``#if`` that is open: whether its text counts now, and whether a branch of it has counted."""

    __slots__ = ("active", "place", "taken", "within")

    def __init__(self, place: Place, *, within: bool, holds: bool) -> None:
        self.place = place
        self.within = within
        self.active = within and holds
        self.taken = holds


class Preprocessor:
    """Yields the words that are left.

    Attributes:
        notes: what was skipped.
        defines: what the lines for C define, as text.
    """

    def __init__(self, include: Sequence[str], defines: Mapping[str, str]) -> None:
        self.notes: list[Problem] = []
        self.defines: dict[str, str] = {}
        self._include = tuple(include)
        # The module takes the place of the header, and of all else that rpcgen writes.
        self._macros = {"RPC_HDR": "1", **defines}
        self._seen: set[str] = set()
        self._passed = 0  # how many %#include are open
        self._left_out: tuple[Place, int] | None = None  # where such lines began, and where the next one would stand

    def tokens(self, text: str, file: str) -> Iterator[Token]:
        """The words of a file and of those that it includes, each of them once; the last one is the end."""
        self._seen.add(os.path.realpath(file))
        branches: list[_Branch] = []
        for token in scan(text, file):
            token.passed = self._passed > 0
            active = not branches or branches[-1].active
            if token.kind == "directive":
                yield from self._directive(token, branches)
            elif token.kind == "end":
                if branches:
                    raise wrong(branches[-1].place, "this #if has no #endif")
                yield token
            elif active:
                yield from self._word(token)

    def _word(self, token: Token) -> Iterator[Token]:
        if token.kind == "stray":
            what = "a comment that does not end" if token.text == "/*" else f"{token.text!r}, which means nothing here"
            raise wrong(token.place, f"there is {what}")
        if token.kind == "verbatim":
            yield from self._verbatim(token)
        elif token.kind == "name" and token.text in self._macros:
            yield from self._expanded(token)
        else:
            yield token

    def _expanded(self, token: Token) -> Iterator[Token]:
        """What a macro stands for, in the place where it is used."""
        text, used = token.text, {token.text}
        words = [word for word in scan(self._macros[text], token.place.file) if word.kind != "end"]
        while len(words) == 1 and words[0].text in self._macros and words[0].text not in used:
            used.add(words[0].text)
            words = [w for w in scan(self._macros[words[0].text], token.place.file) if w.kind != "end"]
        for word in words:
            yield Token(word.kind, word.text, token.place, token.above, token.behind, passed=token.passed)

    def _verbatim(self, token: Token) -> Iterator[Token]:
        match = _PASSED.match(token.text)
        named = _INCLUDE.match(match[1]) if match else None
        if named is not None:
            # A header that rpcgen would make of a file in this language: its types are known to C, so to us.
            name = os.path.splitext(named[1] or named[2])[0] + ".x"
            if path := self._find(name, token.place, quoted=bool(named[1])):
                self._passed += 1
                yield from self._included(path)
                self._passed -= 1
                return
        if define := _PASSED_DEFINE.match(token.text):
            self.defines[define[1]] = define[2]
        self._note_left_out(token)

    def _note_left_out(self, token: Token) -> None:
        """One note for all such lines that follow one another."""
        place, run = token.place, self._left_out
        if run and self.notes and (place.file, place.line) == (run[0].file, run[1]):
            more = place.line + token.text.count("\n") - run[0].line
            self.notes[-1] = Problem(run[0], f"this line and the {more} after it are meant for C, and left out")
        else:
            run = (place, 0)
            self.notes.append(Problem(place, "this line is meant for C, and left out"))
        self._left_out = (run[0], place.line + token.text.count("\n") + 1)

    def _directive(self, token: Token, branches: list[_Branch]) -> Iterator[Token]:
        match = _DIRECTIVE.match(token.text)
        assert match is not None  # it begins with #
        verb, rest = match[1], re.sub(r"\\\n", " ", match[2]).strip()
        active = not branches or branches[-1].active
        if verb in {"if", "ifdef", "ifndef"}:
            branches.append(_Branch(token.place, within=active, holds=active and self._holds(verb, rest, token.place)))
        elif verb in {"elif", "else", "endif"}:
            if not branches:
                raise wrong(token.place, f"there is no #if for this #{verb}")
            self._turn(verb, rest, token.place, branches)
        elif active and verb == "include":
            yield from self._include_line(rest, token.place)
        elif active and verb == "define":
            self._define(rest, token.place)
        elif active and verb == "undef":
            self._macros.pop(rest.split()[0] if rest else "", None)
        elif active and verb == "error":
            raise wrong(token.place, f"#error {rest}".rstrip())
        elif active and verb not in _IGNORED and not verb.isdigit():
            raise wrong(token.place, f"#{verb} is not a directive")

    def _turn(self, verb: str, rest: str, place: Place, branches: list[_Branch]) -> None:
        """Go to the next branch of the innermost ``#if``."""
        branch = branches[-1]
        if verb == "endif":
            branches.pop()
        elif branch.taken:
            branch.active = False
        else:
            branch.taken = branch.within and (verb == "else" or self._holds("if", rest, place))
            branch.active = branch.taken

    def _holds(self, verb: str, rest: str, place: Place) -> bool:
        if verb == "if":
            try:
                return bool(evaluate(rest, self._macros))
            except ValueError as error:
                raise wrong(place, str(error)) from None
        match = re.match(r"[A-Za-z_]\w*", rest)
        if match is None:
            raise wrong(place, f"#{verb} needs a name")
        return (match[0] in self._macros) == (verb == "ifdef")

    def _define(self, rest: str, place: Place) -> None:
        match = _DEFINE.match(rest)
        if match is None:
            raise wrong(place, "#define needs a name")
        if match[2]:
            raise wrong(place, f"the macro {match[1]!r} has parameters; only plain names can be defined")
        self._macros[match[1]] = match[3]

    def _include_line(self, rest: str, place: Place) -> Iterator[Token]:
        match = _INCLUDE.match(rest)
        if match is None:
            raise wrong(place, '#include needs "FILE" or <FILE>')
        name = match[1] or match[2]
        path = self._find(name, place, quoted=bool(match[1]))
        if not path:
            raise wrong(place, f"there is no file {name!r} here; -I DIR says where to look for it")
        yield from self._included(path)

    def _find(self, name: str, place: Place, *, quoted: bool) -> str:
        beside = (os.path.dirname(place.file),) if quoted else ()
        for folder in (*beside, *self._include):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                return path
        return ""

    def _included(self, path: str) -> Iterator[Token]:
        """The words of a file that was not included before; a second time would define everything twice."""
        if os.path.realpath(path) not in self._seen:
            yield from (token for token in self.tokens(read_source(path), path) if token.kind != "end")
