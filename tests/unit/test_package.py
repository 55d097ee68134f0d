"""The package as its users see it: names, version, types, docstrings."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import ipckit

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(ipckit.__file__).parent
OPTIONAL = {"rich", "matplotlib", "numpy"}


def module_names() -> list[str]:
    return [
        "ipckit",
        *(m.name for m in pkgutil.walk_packages(ipckit.__path__, "ipckit.") if not m.name.endswith("_main")),
    ]


MODULE_NAMES = [name for name in module_names() if not name.rpartition(".")[2].startswith("_native")]
PUBLIC = [name for name in MODULE_NAMES if "._" not in name]


def load(name: str) -> Any:
    """The module, or None where it belongs to an extra that is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name in OPTIONAL:
            return None
        raise


MODULES = {name: module for name in MODULE_NAMES if (module := load(name))}


def test_every_module_says_what_it_is() -> None:
    assert len(MODULES) > 40
    sources = {name: module for name, module in MODULES.items() if module.__file__.endswith(".py")}
    assert [name for name, module in sources.items() if not module.__doc__] == []


def test_every_name_of_all_resolves_and_is_shown() -> None:
    for name in PUBLIC:
        if name in MODULES:
            names = getattr(MODULES[name], "__all__", [])
            assert len(set(names)) == len(names), name
            assert [public for public in names if not hasattr(MODULES[name], public)] == [], name
            assert set(names) <= set(dir(MODULES[name])), name


def test_no_function_or_class_of_a_package_has_the_name_of_a_module_of_it() -> None:
    """Or the import of that module would put it in the place of the function."""
    clashes = []
    for init in ROOT.rglob("__init__.py"):
        modules = {module.name for module in pkgutil.iter_modules([str(init.parent)])}
        defined = (
            node for node in ast.parse(init.read_text()).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        )
        clashes += [f"{init.parent.name}.{node.name}" for node in defined if node.name in modules]
    assert clashes == []


def test_everyday_names_are_there() -> None:
    assert {"EventFd", "Fifo", "Pipe", "SpscRing", "errors", "features", "posix", "sockets"} <= set(ipckit.__all__)
    assert set(ipckit.__all__) <= set(dir(ipckit))
    with pytest.raises(AttributeError, match="module 'ipckit' has no attribute 'Nothing'"):
        ipckit.Nothing  # noqa: B018


def test_names_are_the_classes_themselves() -> None:
    from ipckit.pipe import Pipe
    from ipckit.ring.spsc import SpscRing

    assert ipckit.Pipe is Pipe
    assert ipckit.SpscRing is SpscRing


def test_every_public_package_is_there_without_an_import_of_its_own() -> None:
    code = "import ipckit; [getattr(ipckit, name) for name in {!r}]"
    packages = [init.parent.name for init in ROOT.glob("*/__init__.py")]
    names = sorted({*packages, "errors", "features", "interrupt"} - {"bench", "cli", "pty"})
    assert set(names) <= set(dir(ipckit))
    subprocess.run([sys.executable, "-c", code.format(names)], cwd=ROOT.parent, check=True, timeout=50)


def test_types_are_shipped() -> None:
    assert (ROOT / "py.typed").is_file()
    for extension in ROOT.glob("*.so"):
        stub = extension.with_name(extension.name.split(".")[0] + ".pyi")
        assert stub.is_file(), f"{extension.name} has no stub"


def test_version_is_the_one_of_the_metadata() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", ipckit.__version__)
    project = ROOT.parent / "pyproject.toml"
    try:
        installed = importlib.metadata.version("ipckit")
    except importlib.metadata.PackageNotFoundError:
        installed = None
    assert project.is_file() or installed, "neither installed nor in its source tree"
    if installed:
        assert installed == ipckit.__version__
    if project.is_file():
        assert f'version = "{ipckit.__version__}"' in project.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("others", "advice"), [((), "install gcc"), (("gcc",), "build it with CC=gcc")])
def test_a_build_without_its_compiler_says_what_to_do(tmp_path: Path, others: tuple[str], advice: str) -> None:
    pytest.importorskip("setuptools")
    if not (ROOT.parent / "setup.py").is_file():
        pytest.skip("installed: there is nothing to build")
    for name in others:
        (tmp_path / name).symlink_to(sys.executable)  # never run: it is enough that it is there
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--build-temp", tmp_path, "--build-lib", tmp_path],
        cwd=ROOT.parent,
        env={**os.environ, "CC": "no-such-compiler -m64", "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 1
    assert f"there is no 'no-such-compiler': {advice}" in done.stderr


@pytest.mark.parametrize("module", ["ipckit._native", "ipckit._native_quick", "ipckit.ring"])
def test_a_copy_that_is_not_built_says_what_to_do(tmp_path: Path, module: str) -> None:
    shutil.copytree(ROOT, tmp_path / "ipckit", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    done = subprocess.run(
        [sys.executable, "-c", f"import {module} as module; module.SpscRing"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 1
    assert f"ImportError: the C core of the ipckit in {tmp_path} is not built for this Python" in done.stderr


def test_make_builds_the_core_only_where_pip_has_not(tmp_path: Path) -> None:
    if not (ROOT.parent / "Makefile").is_file():
        pytest.skip("installed: there is nothing to make")
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    shutil.copy(ROOT.parent / "Makefile", tmp_path)
    paths = ["pyproject.toml", "setup.py", "native/build_ffi.py", "native/src/ring.c", "ipckit/_lane.abi3.so"]
    for age, name in enumerate([".venv/ready", *reversed(paths)]):  # as a clone is when pip has installed it
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (1e9 - age, 1e9 - age))

    def builds() -> bool:
        made = subprocess.run(
            ["make", "--dry-run", "build"],
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL"}},
            capture_output=True,
            text=True,
            timeout=50,
            check=True,
        )
        assert "touch build/built" in made.stdout
        return "build_ext" in made.stdout

    assert not builds()
    os.utime(tmp_path / "native/src/ring.c", (1e9 + 1, 1e9 + 1))  # edited
    assert builds()
    os.utime(tmp_path / "native/src/ring.c", (1e9 - 1, 1e9 - 1))
    (tmp_path / "ipckit/_lane.abi3.so").unlink()  # make clean
    assert builds()


def test_every_target_of_make_has_a_rule_and_is_listed() -> None:
    makefile = ROOT.parent / "Makefile"
    if not makefile.is_file():
        pytest.skip("installed: there is nothing to make")
    text = makefile.read_text()
    (targets,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    assert sorted(targets.split()) == sorted(re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE))


def public_classes() -> Iterator[type[Any]]:
    for name in PUBLIC:
        for public, value in vars(MODULES.get(name, ipckit)).items():
            if inspect.isclass(value) and value.__module__ == name and not public.startswith("_"):
                yield value


def test_every_public_class_and_method_has_a_docstring() -> None:
    classes = list(public_classes())
    assert len(classes) > 20
    bare = []
    for cls in classes:
        bare += [] if cls.__dict__.get("__doc__") else [cls.__qualname__]
        for name, member in vars(cls).items():
            public = not name.startswith("_")
            if public and (inspect.isfunction(member) or isinstance(member, (classmethod, staticmethod, property))):
                bare += [] if inspect.getdoc(getattr(cls, name)) else [f"{cls.__qualname__}.{name}"]
    assert bare == []
