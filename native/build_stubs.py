"""Write the type stubs of the compiled modules from the same regions of the headers: run it when a header changed.

python native/build_stubs.py          writes ipckit/_native.pyi and ipckit/_native_quick.pyi
python native/build_stubs.py --check  exits with 1 if they are not what the headers say
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from build_ffi import ROOT, blocking

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = '''"""The C core. Written by native/build_stubs.py from the headers of native/include."""

from typing import Any, Final

ffi: Any

class _Lib:
'''


def python_type(declared: Any) -> str:
    """Return int for C integers, None for void, Any for pointers: cffi checks those at run time."""
    name = declared.get_c_name()
    if name == "void":
        return "None"
    return "Any" if "*" in name else "int"


def body() -> Iterator[str]:
    """One line for each constant and function."""
    declarations: dict[str, tuple[Any, int]] = blocking._parser._declarations
    for key, (declared, _) in declarations.items():
        kind, _, name = key.partition(" ")
        if kind == "macro":
            yield f"    {name}: Final[int]\n"
        elif kind == "function":
            arguments = "".join(f", a{i}: {python_type(one)}" for i, one in enumerate(declared.args))
            yield f"    def {name}(self{arguments}, /) -> {python_type(declared.result)}: ...\n"


def main() -> int:
    """Write or check the stub."""
    path = ROOT / "ipckit" / "_native.pyi"
    text = HEAD + "".join(body()) + "\nlib: _Lib\n"
    if "--check" not in sys.argv[1:]:
        path.write_text(text)
    elif not path.exists() or path.read_text() != text:
        print(f"{path.relative_to(ROOT)} is stale: run python native/build_stubs.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
