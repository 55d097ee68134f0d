"""Files in the RPC language as modules that are imported, for tests."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ipckit.rpc.idl import compile_source

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
HOSTILE_NAMES = HERE / "hostile_names.x"
_numbers = count()


@contextmanager
def imported(source: str) -> Iterator[Any]:
    """The module of this source; it can be found by its name, as types that name one another need."""
    module = ModuleType(f"written_{next(_numbers)}")
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, f"{module.__name__}.py", "exec"), vars(module))
        yield module
    finally:
        del sys.modules[module.__name__]


def written(text: str, **how: Any) -> str:
    """The module of a file, without its head."""
    source = compile_source(text, "service.x", **how).source
    return source.partition("from __future__ import annotations\n")[2]


def body(text: str, **how: Any) -> str:
    """The definitions in the module of a file, without its imports."""
    lines = written(text, **how).split("\n")
    while lines and (not lines[0] or lines[0].startswith(("from ", "import "))):
        del lines[0]
    return "\n".join(lines)
