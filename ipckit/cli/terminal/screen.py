"""What may be sent to a terminal, and how much of it fits."""

from __future__ import annotations

import os
import sys
import unicodedata
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from typing import TextIO

Style = Literal["", "bold", "dim", "red", "green", "yellow", "cyan"]

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_LOST = 0xDC00
"""What surrogateescape adds to a byte that is no UTF-8."""


def is_terminal(file: TextIO) -> bool:
    """Whether a person looks at it."""
    return not file.closed and file.isatty()


def has_colours(file: TextIO) -> bool:
    """Whether it is a terminal that knows colours, and nobody asked to leave them out (NO_COLOR)."""
    return is_terminal(file) and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def styled(text: str, style: Style, *, colours: bool) -> str:
    """The text in that style, or as it is without *colours*."""
    return f"\033[{_CODES[style]}m{text}\033[m" if colours and style and text else text


def printable(text: str) -> str:
    r"""The text with escapes for what would move the cursor, or is no character.

    Whoever may create an object chooses its name; it must not be able to write on somebody else's terminal.

    >>> printable("a\n\x1b[2J")
    'a\\n\\x1b[2J'
    """
    return text if text.isprintable() else "".join(map(_escaped, text))


def cells(text: str) -> int:
    """How many columns of a terminal it takes."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def cut(text: str, width: int, where: Literal["middle", "end"] = "middle") -> str:
    """The text in at most *width* columns.

    >>> cut("/var/run/service/socket", 13), cut("no process has it", 10, "end")
    ('/var/r…socket', 'no proces…')
    """
    if cells(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    tail = (width - 1) // 2 if where == "middle" else 0
    return f"{_first(text, width - 1 - tail)}…{_first(text[::-1], tail)[::-1]}"


def note(text: str) -> None:
    """Say something about the result on stderr, where it is in nobody's way."""
    print(styled(text, "dim", colours=has_colours(sys.stderr)), file=sys.stderr)


def agreed(question: str) -> bool:
    """Ask whoever sits there; the end of the input is no."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    if _LOST + 0x80 <= ord(character) <= _LOST + 0xFF:
        return f"\\x{ord(character) - _LOST:02x}"
    return character.encode("unicode_escape").decode()


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _first(text: str, width: int) -> str:
    """As many characters from its beginning as fit."""
    taken = 0
    for index, character in enumerate(text):
        taken += _cells(character)
        if taken > width:
            return text[:index]
    return text
