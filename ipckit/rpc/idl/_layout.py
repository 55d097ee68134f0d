"""Lines of Python as `ruff format` leaves them: what does not fit is broken at its outermost brackets."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 120
INDENT = 4


@dataclass(frozen=True, slots=True)
class Brackets:
    """Items between brackets.

    Attributes:
        spread: each item is on a line of its own even where they would fit.
        lone: the comma behind the only item of a tuple, which stays on one line.
    """

    opening: str
    items: tuple[Code, ...]
    closing: str
    spread: bool = False
    lone: str = ""

    def __str__(self) -> str:
        return self.opening + ", ".join(map(flat, self.items)) + self.lone + self.closing


def listed(items: tuple[Code, ...], *, spread: bool = False) -> Brackets:
    """A tuple."""
    return Brackets("(", items, ")", spread=spread and len(items) > 1, lone="," if len(items) == 1 else "")


Piece: TypeAlias = "str | Brackets"
Code: TypeAlias = "Piece | tuple[Piece, ...]"


def flat(code: Code) -> str:
    """The code on one line."""
    return "".join(map(str, code)) if isinstance(code, tuple) else str(code)


def width(text: str) -> int:
    """How many columns a text takes."""
    return len(text) + (0 if text.isascii() else sum(unicodedata.east_asian_width(one) in {"F", "W"} for one in text))


def laid(code: Code, indent: int = 0, tail: str = "") -> list[str]:
    """The code on as few lines as its width allows.

    Args:
        indent: spaces before each line.
        tail: what stands behind the code on its last line, and counts.
    """
    parts = code if isinstance(code, tuple) else (code,)
    pad = " " * indent
    at = next((n for n, part in enumerate(parts) if isinstance(part, Brackets) and part.items), None)
    text = flat(code) + tail
    spread = any(isinstance(part, Brackets) and part.spread for part in parts)
    if at is None or (not spread and indent + width(text) <= WIDTH):
        return [pad + text]
    brackets = parts[at]
    assert isinstance(brackets, Brackets)  # by the search above
    lines = [pad + flat(parts[:at]) + brackets.opening]
    within = ", ".join(map(flat, brackets.items))
    if not (brackets.spread or brackets.lone) and indent + INDENT + len(within) <= WIDTH:
        lines.append(" " * (indent + INDENT) + within)
    else:
        for item in brackets.items:
            lines += laid(item, indent + INDENT, ",")
    return lines + laid((brackets.closing, *parts[at + 1 :]), indent, tail)


def commented(lines: Sequence[str], comment: str) -> list[str]:
    """The lines with a comment behind the last one, or above the first where it is too long."""
    if not comment:
        return list(lines)
    indent = len(lines[0]) - len(lines[0].lstrip())
    if len(lines) == 1 and len(lines[0]) + width(comment) + 4 <= WIDTH:
        return [f"{lines[0]}  # {comment}"]
    return [f"{' ' * indent}# {comment}", *lines]


def remark(comment: Sequence[str], indent: int = 0) -> list[str]:
    """A comment on lines of its own."""
    return [f"{' ' * indent}# {line}".rstrip() for line in comment]


def docstring(lines: Sequence[str], indent: int) -> list[str]:
    """A docstring of these lines."""
    safe = [re.sub(r'"""', r"\"\"\"", line.replace("\\", "\\\\")).replace("\t", "    ").rstrip() for line in lines]
    pad = " " * indent
    if len(safe) == 1:
        end = " " if safe[0].endswith('"') else ""
        return [f'{pad}"""{safe[0]}{end}"""']
    return [f'{pad}"""{safe[0]}', *(f"{pad}{line}".rstrip() for line in safe[1:]), f'{pad}"""']
