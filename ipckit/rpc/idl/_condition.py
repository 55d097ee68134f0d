"""Integer expressions of C, as they stand behind ``#if`` and ``#define``; with the operators that headers use."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ipckit.rpc.idl._numbers import fitting, number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PART = re.compile(r"\s*(?:([A-Za-z_]\w*|\d\w*)|(&&|\|\||[=!<>]=|[-+*<>!()]))")
_LEVELS: tuple[dict[str, Callable[[int, int], int]], ...] = (
    {"||": lambda a, b: int(bool(a or b))},
    {"&&": lambda a, b: int(bool(a and b))},
    {"==": lambda a, b: int(a == b), "!=": lambda a, b: int(a != b)},
    {
        "<": lambda a, b: int(a < b),
        ">": lambda a, b: int(a > b),
        "<=": lambda a, b: int(a <= b),
        ">=": lambda a, b: int(a >= b),
    },
    {"+": lambda a, b: a + b, "-": lambda a, b: a - b},
    {"*": lambda a, b: a * b},
)
_DEEPEST = 100


class _Expression:
    def __init__(self, text: str, macros: Mapping[str, str]) -> None:
        self._parts = self._split(text)
        self._macros = macros
        self._at = 0
        self._depth = 0

    @staticmethod
    def _split(text: str) -> list[str]:
        parts, at = [], 0
        while text[at:].strip():
            match = _PART.match(text, at)
            if match is None:
                raise ValueError(f"{text[at:].strip()!r} is not understood here")
            parts.append(match[1] or match[2])
            at = match.end()
        return parts

    def value(self) -> int:
        value = self._binary(0)
        if self._at != len(self._parts):
            raise ValueError(f"an operator is missing before {self._parts[self._at]!r}")
        return value

    def _next(self) -> str:
        if self._at == len(self._parts):
            raise ValueError("the expression ends too early")
        self._at += 1
        return self._parts[self._at - 1]

    def _take(self, *parts: str) -> str:
        if self._at < len(self._parts) and self._parts[self._at] in parts:
            return self._next()
        return ""

    def _binary(self, level: int) -> int:
        if level == len(_LEVELS):
            return self._unary()
        value = self._binary(level + 1)
        while operator := self._take(*_LEVELS[level]):
            value = fitting(_LEVELS[level][operator](value, self._binary(level + 1)))
        return value

    def _unary(self) -> int:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("the expression is nested too deeply, or a macro means itself")
        try:
            return self._operand(self._next())
        finally:
            self._depth -= 1

    def _operand(self, part: str) -> int:
        if part == "!":
            return int(not self._unary())
        if part == "-":
            return -self._unary()
        if part == "(":
            value = self._binary(0)
            if not self._take(")"):
                raise ValueError("a ')' is missing")
            return value
        if part == "defined":
            bracket = self._take("(")
            name = self._next()
            if bracket and not self._take(")"):
                raise ValueError("a ')' is missing behind defined(")
            return int(name in self._macros)
        if part[0].isdigit():
            return number(part.rstrip("uUlL"))
        if not (part[0].isalpha() or part[0] == "_"):
            raise ValueError(f"{part!r} stands where a value is needed")
        return self._macro(part)

    def _macro(self, name: str) -> int:
        meaning = re.sub(r"/\*.*?\*/|//[^\n]*", " ", self._macros.get(name, "")).strip()
        inner = _Expression(meaning or "0", self._macros)
        inner._depth = self._depth
        return inner.value()


def evaluate(text: str, macros: Mapping[str, str]) -> int:
    """The value of an integer expression of C; a name that is not defined counts as 0, as behind ``#if``.

    Raises:
        ValueError: the expression is not understood; the message says where.
    """
    return _Expression(re.sub(r"/\*.*?\*/|//[^\n]*|\\\n", " ", text, flags=re.DOTALL), macros).value()
