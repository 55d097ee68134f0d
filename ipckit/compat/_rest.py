"""What a drop-in does not have of its own, it has from the module that it stands in for."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import ModuleType


def rest_of(
    standard: ModuleType, name: str, ours: Collection[str] = (), home: str = ""
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of the module called *name*: PEP 562.

    Args:
        ours: names that come from the module *home*, which is imported when the first of them is used.
    """

    def get(wanted: str) -> Any:
        if wanted.startswith("_"):  # "__path__" would make a package of it
            raise AttributeError(f"module {name!r} has no attribute {wanted!r}")
        return getattr(import_module(home) if wanted in ours else standard, wanted)

    def names() -> list[str]:
        return sorted({*vars(sys.modules[name]), *(public for public in dir(standard) if not public.startswith("_"))})

    return get, names
