"""In a child: a pytest whose decorators do nothing, because to import the real one takes longer than most tests.

A child imports the test file only for the function that it runs. Whatever else that function asks of pytest
(``pytest.raises``) is the real thing, loaded at that moment.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Inert:
    """Stands for a mark, a fixture decorator or a param: leaves what it decorates alone."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and callable(args[0]) and not isinstance(args[0], _Inert):
            return args[0]
        return self

    def __getattr__(self, name: str) -> _Inert:
        if name.startswith("__"):
            raise AttributeError(name)
        return self


class _LightPytest(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in {"fixture", "mark", "param"}:
            return _Inert()
        if sys.modules.get("pytest") is self:
            del sys.modules["pytest"]
        return getattr(import_module("pytest"), name)


def install() -> None:
    """Make ``import pytest`` light in this process."""
    sys.modules.setdefault("pytest", _LightPytest("pytest"))
