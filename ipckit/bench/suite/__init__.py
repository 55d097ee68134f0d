"""The rows: one small module for each primitive. Whatever `Channel` or `Lock` a module here defines is a row."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipckit.bench.row import Row


def load(*further: str) -> tuple[list[type[Row]], dict[str, str]]:
    """All rows of this package, and of the modules named *further*.

    Returns:
        The rows, and for each module that can't be imported the reason.

    Raises:
        ImportError: one of *further* can't be imported.
    """
    from pkgutil import iter_modules  # not at the top: the measuring processes import this package too

    rows: list[type[Row]] = []
    missing: dict[str, str] = {}
    for module in sorted(info.name for info in iter_modules(__path__)):
        try:
            rows += rows_of(f"{__name__}.{module}")
        except ImportError as error:
            missing[module] = str(error)
    for name in further:
        rows += rows_of(name)
    return rows, missing


def rows_of(module: str) -> list[type[Row]]:
    """The rows that *module* itself defines, in the order of their definition."""
    from ipckit.bench.row import Row

    return [
        member
        for member in vars(import_module(module)).values()
        if isinstance(member, type) and issubclass(member, Row) and member.__module__ == module and member.name
    ]
