"""Where in a value a walker is, and the error that says so."""

from __future__ import annotations

from reprlib import Repr
from typing import TYPE_CHECKING

from ipckit.errors import XdrError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Place", "shown"]

# So many links of a chain are spelled out in a path; more are counted.
_SPELLED = 3

_repr = Repr()
_repr.maxother = _repr.maxstring = _repr.maxlong = 60


def shown(value: object) -> str:
    """*value* in a message: its repr, short however large it is."""
    return _repr.repr(value)


class Place:
    """A path like ``entries[3].name``, and how deep in a type that holds itself it is."""

    def __init__(self, max_depth: int) -> None:
        self._parts: list[str] = []
        self._max_depth = max_depth
        self._depth = 0

    def enter(self, part: str) -> None:
        """Go to *part* of the value: a field (``.name``) or an element (``[3]``)."""
        self._parts.append(part)

    def leave(self, parts: int = 1) -> None:
        """Go back."""
        del self._parts[len(self._parts) - parts :]

    def deeper(self, levels: int, offset: int) -> None:
        """Count a value inside one of the same type; -1 where it is left.

        Raises:
            XdrError: there are too many.
        """
        self._depth += levels
        if self._depth > self._max_depth:
            raise self.error(f"nested in itself more than {self._max_depth} times (max_depth)", offset)

    def error(self, what: str, offset: int) -> XdrError:
        """Build the error: *what* is wrong here."""
        path = "".join(self._shortened()).removeprefix(".")
        error = XdrError(f"{path or 'value'}: {what} (at byte {offset})")
        error.path = path
        error.offset = offset
        return error

    def _shortened(self) -> Iterator[str]:
        """The parts; a field that follows itself many times over once, with how often."""
        parts = self._parts
        start = 0
        while start < len(parts):
            stop = start
            while stop < len(parts) and parts[stop] == parts[start]:
                stop += 1
            if stop - start > _SPELLED:
                yield f"{parts[start]}*{stop - start}"
            else:
                yield from parts[start:stop]
            start = stop
