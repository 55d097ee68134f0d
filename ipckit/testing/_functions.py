"""How a fresh interpreter finds the function that it is to run: by module, file and qualified name."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


class FunctionName(NamedTuple):
    """Where a function is: pickled, it means the same in another process."""

    module: str
    file: str | None
    qualname: str

    def find(self) -> Callable[..., Any]:
        """Import what is needed, and return the function."""
        found: Any = self._load()
        for part in self.qualname.split("."):
            found = getattr(found, part)
        function: Callable[..., Any] = found
        return function

    def _load(self) -> ModuleType:
        from importlib import import_module

        name = "__mp_main__" if self.module == "__main__" else self.module
        if self.file is None:
            return import_module(name)
        if name == self.module and _finds(name, self.file):
            return import_module(name)
        module = _load_file(name, self.file)
        if self.module == "__main__":  # so that what the arguments pickled as __main__.X is found
            sys.modules["__main__"] = module
        return module


def name_of(function: object) -> FunctionName:
    """Where *function* is.

    Raises:
        TypeError: it can't be found from another process: a lambda, a nested function, a method, a partial.
    """
    module_name = getattr(function, "__module__", None)
    qualname = getattr(function, "__qualname__", None)
    if not callable(function) or not module_name or not qualname:
        raise TypeError(f"spawn needs a function defined with def at the top level of a module, not {function!r}")
    module = sys.modules.get(module_name)
    found: object = module
    for part in qualname.split("."):
        found = getattr(found, part, None)
    if module is None or found is not function:
        code = getattr(function, "__code__", None)
        where = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
        raise TypeError(
            f"spawn can't run {module_name}.{qualname}{where}: a fresh interpreter would not find it under that name. "
            "Define it with def at the top level of a module, undecorated, and pass what it needs as arguments"
        )
    file = getattr(module, "__file__", None)
    # "python -c" and the interactive prompt have no file that a child could run again.
    if module_name == "__main__" and not file:
        raise TypeError(f"spawn can't run {qualname}: it was typed at the prompt or given to -c; put it into a file")
    return FunctionName(module_name, _absolute(file) if file else None, qualname)


def _finds(name: str, file: str) -> bool:
    """Whether an import of *name* here would load *file*, rather than a stranger of the same name, or nothing."""
    from importlib.util import find_spec

    try:
        spec = find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return False
    return spec is not None and spec.origin is not None and _absolute(spec.origin) == file


def _absolute(file: str) -> str:
    return os.path.abspath(file)


def _load_file(name: str, file: str) -> ModuleType:
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"can't load {file!r}: no Python source file", name=name, path=file)
    module = module_from_spec(spec)
    sys.modules[name] = module  # before it runs: pickles and dataclasses look there
    spec.loader.exec_module(module)
    return module
