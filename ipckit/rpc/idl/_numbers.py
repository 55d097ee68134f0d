"""Integers of the language: decimal, 0x hexadecimal, 0 octal."""

from __future__ import annotations

import re

_FORM = re.compile(r"(-?)(?:0[xX]([0-9A-Fa-f]+)|(0[0-7]*)|([1-9][0-9]*))")


def fitting(value: int) -> int:
    """*value*, as large as numbers of C are at most.

    Raises:
        ValueError: it is larger.
    """
    if value.bit_length() > 64:
        raise ValueError("a number of more than 64 bits")
    return value


def number(text: str) -> int:
    """The value of a constant.

    Raises:
        ValueError: it is no constant of the language, or a larger one than C has.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        kind = "octal (it begins with 0)" if re.fullmatch(r"-?0[0-9]+", text) else "a number"
        raise ValueError(f"{text!r} is not {kind}")
    sign, hexadecimal, octal, decimal = match.groups()
    # 21 digits are too many already, and Python reads no more than some thousand.
    value = int(hexadecimal, 16) if hexadecimal else int(octal, 8) if octal else int(decimal[:21])
    return fitting(-value if sign else value)
