"""Characters to words: one file of the RPC language, RFC 4506 section 6.3, with C's comments and directive lines."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ipckit.rpc.idl._source import Place, Token

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORD = re.compile(
    r"""
    (?P<blank>      [ \t\r\f\v]+ | \n | \\\n )
  | (?P<comment>    /\* .*? \*/ | //[^\n]* )
  | (?P<name>       [A-Za-z_][A-Za-z_0-9]* )
  | (?P<number>     -?[0-9][A-Za-z_0-9]* )
  | (?P<string>     "[^"\n]*" )
  | (?P<character>  '[^'\n]' )
  | (?P<mark>       [{}()\[\]<>;:,=*] )
  | (?P<stray>      /\* | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_BLANKS = re.compile(r"[ \t\f\v]*")
_DIRECTIVE = re.compile(r"#(?:\\\n|/\*.*?\*/|[^\n])*", re.DOTALL)
_LINE = re.compile(r"(?:\\\n|[^\n])*")


class _Scanner:
    def __init__(self, text: str, file: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._file = file
        self._lines = self._text.split("\n")
        self._line = 1
        self._line_starts = 0  # the offset of the first character of the line
        self._last: Token | None = None
        self._comment: list[str] = []  # the lines of the comments above
        self._comment_ends = -1  # the number of its last line

    def words(self) -> Iterator[Token]:
        text, at, fresh = self._text, 0, True
        while at < len(text):
            if fresh:  # at the beginning of a line, where # and % have their meaning
                fresh = False
                if text[at] == "%":
                    yield self._token("verbatim", at, stop := self._end_of(_LINE, at))
                    self._pass(at, stop)
                    at = stop
                    continue
                begin = self._end_of(_BLANKS, at)
                if text.startswith("#", begin):
                    yield self._token("directive", begin, stop := self._end_of(_DIRECTIVE, begin))
                    self._pass(begin, stop)
                    at = stop
                    continue
            match = _WORD.match(text, at)
            assert match is not None  # any character is at least stray
            kind = match.lastgroup or ""
            if kind == "comment":
                self._note(match[0], at)
            elif kind != "blank":
                self._last = self._token(kind, at, match.end())
                self._comment = []
                yield self._last
            self._pass(at, match.end())
            fresh = match[0] == "\n"
            at = match.end()
        yield self._token("end", at, at)

    def _end_of(self, pattern: re.Pattern[str], at: int) -> int:
        match = pattern.match(self._text, at)
        return at if match is None else match.end()

    def _token(self, kind: str, start: int, stop: int) -> Token:
        above = tuple(self._comment) if self._comment and self._comment_ends + 1 >= self._line else ()
        return Token(kind, self._text[start:stop], self._place(start), above)

    def _place(self, at: int) -> Place:
        return Place(self._file, self._line, at - self._line_starts + 1, self._lines[self._line - 1].rstrip())

    def _pass(self, start: int, stop: int) -> None:
        """Count the lines of what was read."""
        if newlines := self._text.count("\n", start, stop):
            self._line += newlines
            self._line_starts = self._text.rindex("\n", start, stop) + 1

    def _note(self, comment: str, at: int) -> None:
        """Keep a comment for the word on its left, or for the one below."""
        lines = _comment_lines(comment)
        if self._last is not None and self._last.place.line == self._line:
            if not self._last.behind:
                self._last.behind = " ".join(line for line in lines if line)
            return
        if self._comment and self._comment_ends + 1 < self._line:
            self._comment = []
        if self._text.startswith("/*", at) or self._comment:
            self._comment.extend(lines)
        else:
            self._comment = lines
        self._comment_ends = self._line + comment.count("\n")


def _comment_lines(comment: str) -> list[str]:
    """What a comment says, without its marks, the stars at its left edge, and empty lines around it."""
    comment = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", " ", comment)
    if comment.startswith("//"):
        return [comment[2:].strip()]
    lines = [re.sub(r"^\s*\*+ ?", "", line).rstrip() for line in comment[2:-2].strip("*! \t").split("\n")]
    # What stands on the line of the opening mark is not indented as the rest is.
    first, rest = lines[0].strip(), lines[1:]
    indent = min((len(line) - len(line.lstrip()) for line in rest if line), default=0)
    return "\n".join([first, *(line[indent:] for line in rest)]).strip("\n").split("\n")


def scan(text: str, file: str) -> Iterator[Token]:
    """The words of a file, its directives and its lines beginning with %; the last one is the end.

    Nothing is wrong here: what a false ``#if`` skips may hold anything.
    """
    return _Scanner(text, file).words()
