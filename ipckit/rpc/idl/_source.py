"""Where something stands in a file, what is wrong with it, and how a user is told."""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a source file: line and column count from 1, *text* is the whole line."""

    file: str
    line: int
    column: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def pointed(self, message: str) -> str:
        """The message as compilers print it: the place, the line, and a caret below the column."""
        caret = re.sub(r"[^\t]", " ", self.text[: self.column - 1]) + "^"
        return f"{self}: {message}\n    {self.text}\n    {caret}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One sentence about one place."""

    place: Place
    message: str

    def __str__(self) -> str:
        return self.place.pointed(self.message)


class IdlError(ValueError):
    """A file in the RPC language is not right; the text shows each line with a caret below the column.

    Attributes:
        problems: what is wrong, in the order of the file; at most one of them is about the grammar.
    """

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


def wrong(place: Place, message: str) -> IdlError:
    """The error about one place."""
    return IdlError(Problem(place, message))


@dataclass(slots=True)
class Token:
    """A word of the language, with the comments that belong to it.

    Attributes:
        kind: ``name``, ``number``, ``string``, ``character``, ``mark``, ``end``; the scanner also yields ``directive``
            and ``verbatim`` (lines that begin with # and %) and ``stray`` (what is no word of the language).
        above: the lines of the comment that ends directly above the token, without the comment marks.
        behind: the comment that begins behind the token, on its line.
        passed: it comes from a file that only a ``%#include`` names.
    """

    kind: str
    text: str
    place: Place
    above: tuple[str, ...] = ()
    behind: str = ""
    passed: bool = field(default=False, kw_only=True)

    def __str__(self) -> str:
        return "the end of the file" if self.kind == "end" else repr(self.text)

    @property
    def end(self) -> Place:
        """The place directly behind the token."""
        return Place(self.place.file, self.place.line, self.place.column + len(self.text), self.place.text)
