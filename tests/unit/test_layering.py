"""The storeys of the house: a module imports only from those below, from its own package, and never in a circle."""

from __future__ import annotations

import ast
import subprocess
import sys
import sysconfig
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import ipckit

ROOT = Path(ipckit.__file__).parent

# The public modules and packages of each storey. A top-level module that begins with an underscore is a leaf: it lies
# below all of them and above what it imports itself.
STOREYS = (
    {"errors"},
    {"features", "interrupt"},
    {
        "duplex", "eventfd", "fifo", "filelock", "mapping", "memfd", "pipe", "posix", "process", "pty", "remote",
        "signals", "sockets", "sysv", "timerfd",
    },
    {"ring", "sync"},
    {"bridge", "channel", "compat", "lpc", "rpc", "server"},
    {"aio", "bench", "inspect", "testing", "waiting"},
    {"cli"},
    {"__main__"},
)  # fmt: skip

# Neighbours in a storey do not know each other, but for these.
NEIGHBOURS = {
    ("duplex", "sockets"): "the ends of a full-duplex pipe are connected Unix sockets",
    ("fifo", "pipe"): "the ends of a FIFO are the ends of a pipe",
    ("memfd", "mapping"): "a memfd maps itself",
    ("rpc", "server"): "an RPC server lives, accepts and stops as every server does",
}

LIGHT = ("posix_ipc", "sysv_ipc", "psutil", "cffi", "_cffi_backend", "multiprocessing", "socket", "subprocess", "rich")


class Import(NamedTuple):
    """One import of one of our modules by another."""

    importer: str
    imported: str
    typing_only: bool


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py")) if "__pycache__" not in path.parts}
EXTENSIONS = {f"ipckit.{path.name.split('.')[0]}" for path in ROOT.glob("*.so")}


def is_typing_only(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports_of(module: str) -> list[Import]:
    found: list[Import] = []

    def visit(node: ast.AST, *, typing_only: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(module, alias.name, typing_only) for alias in node.names if is_ours(alias.name))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} line {node.lineno}: imports are absolute"
            for alias in node.names if is_ours(node.module or "") else ():
                full = f"{node.module}.{alias.name}"
                found.append(
                    Import(module, full if full in MODULES or full in EXTENSIONS else node.module, typing_only)
                )  # type: ignore[arg-type]
        if isinstance(node, ast.If) and is_typing_only(node):
            for child in node.body:
                visit(child, typing_only=True)
            for child in node.orelse:
                visit(child, typing_only=typing_only)
        else:
            for child in ast.iter_child_nodes(node):
                visit(child, typing_only=typing_only)

    visit(ast.parse(MODULES[module].read_text()), typing_only=False)
    return found


def is_ours(name: str) -> bool:
    return name == "ipckit" or name.startswith("ipckit.")


@cache
def imports() -> tuple[Import, ...]:
    """All of the house; not read when this file is imported, which every process of a test run does."""
    return tuple(edge for module in MODULES for edge in imports_of(module))


def top(module: str) -> str:
    """The part of the name that has a storey; "" is the package itself."""
    return module.split(".")[1] if "." in module else ""


def is_leaf(name: str) -> bool:
    return name.startswith("_") and name != "__main__"


def storey(name: str) -> int:
    if is_leaf(name):
        return -1
    return next(number for number, names in enumerate(STOREYS) if name in names)


def test_every_module_has_a_storey() -> None:
    names = {top(module) for module in MODULES} - {""}
    unknown = {name for name in names if not is_leaf(name)} - set().union(*STOREYS)
    assert unknown == set(), "put it into its storey in this test, and into docs"
    assert len(names) > 10
    assert len(imports()) > 100


def test_storeys_import_only_downwards() -> None:
    wrong = []
    for edge in imports():
        above, below = top(edge.importer), top(edge.imported)
        if above in {"", below} or edge.typing_only:
            continue
        if below == "":  # the everyday names are for users; only the tools ask it for its version
            allowed = storey(above) >= storey("bench")
        elif is_leaf(above):
            allowed = is_leaf(below) or storey(below) < storey("pipe")
        else:
            allowed = storey(below) < storey(above) or (above, below) in NEIGHBOURS
        if not allowed:
            wrong.append(f"{edge.importer} imports {edge.imported}")
    assert wrong == []


def test_what_is_imported_for_types_alone_is_no_higher_either() -> None:
    wrong = [
        f"{edge.importer} imports {edge.imported}"
        for edge in imports()
        if edge.typing_only and top(edge.importer) and storey(top(edge.imported)) > max(0, storey(top(edge.importer)))
    ]
    assert wrong == []


def test_private_modules_are_used_only_within_their_package() -> None:
    """``ipckit._x`` is for the whole house, ``ipckit.posix._x`` and what is in it for posix alone."""
    wrong = []
    for edge in imports():
        names = edge.imported.split(".")
        packages = [".".join(names[:at]) for at in range(2, len(names)) if names[at].startswith("_")]
        if not all(f"{edge.importer}.".startswith(f"{package}.") for package in packages):
            wrong.append(f"{edge.importer} imports {edge.imported}")
    assert wrong == []


def test_exceptions_are_still_needed() -> None:
    assert {(top(edge.importer), top(edge.imported)) for edge in imports()} >= set(NEIGHBOURS)


def test_no_module_imports_itself_in_a_circle() -> None:
    """Imports inside functions count: what needs a trick to import is badly cut."""
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for edge in imports():
        # A package's __init__ gathers names of its own modules, which never ask it for anything.
        if not edge.typing_only and edge.imported in MODULES and edge.imported != edge.importer:
            graph[edge.importer].add(edge.imported)
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def loaded_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT.parent)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(run.stdout.split())


def test_import_of_the_package_is_light() -> None:
    loaded = loaded_after("import ipckit")
    assert "ipckit" in loaded
    assert sorted(loaded & set(LIGHT)) == []
    assert sorted(name for name in loaded if name.startswith("ipckit.")) == ["ipckit._lazy"]


@pytest.mark.parametrize("statement", ["import ipckit.ring", "import ipckit.errors", "from ipckit import SpscRing"])
def test_rings_never_load_the_packages_that_turn_the_gil_on(statement: str) -> None:
    assert sorted(loaded_after(statement) & {"posix_ipc", "sysv_ipc", "psutil", "multiprocessing"}) == []


def test_tools_are_loaded_by_nobody_below() -> None:
    loaded = loaded_after("from ipckit import *; from ipckit.sockets import unix")
    assert {"ipckit.pipe", "ipckit.sockets.unix"} <= loaded
    tools = set().union(*STOREYS[-3:])
    assert sorted(name for name in loaded if is_ours(name) and top(name) in tools) == []


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python has a GIL")
def test_rings_leave_the_gil_off() -> None:
    code = "import sys, ipckit.ring; sys.exit(sys._is_gil_enabled())"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
