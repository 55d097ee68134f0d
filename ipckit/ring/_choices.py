"""Choices that the creator of a ring makes for all who use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def check_choice(value: object, name: str, choices: Mapping[str, int]) -> int:
    """Return what *value*, one of the keys of *choices*, stands for.

    Raises:
        TypeError: it is no str.
        ValueError: it is none of them.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {value!r}")
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")
    return choices[value]
