"""Every example runs: the doctests of all modules, and each ```python block of the README and of the documents."""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import ipckit

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(ipckit.__file__).parent.parent
SECONDS = 30
OPTIONAL = {"rich", "matplotlib", "numpy"}

FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>```+|~~~+)(?P<language>[^\n]*)\n(?P<code>.*?)^(?P=indent)(?P=fence) *$",
    re.MULTILINE | re.DOTALL,
)
DOCUMENTS = [path for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if path.is_file()]


def doctests() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for module in pkgutil.walk_packages(ipckit.__path__, "ipckit."):
        last = module.name.rpartition(".")[2]
        if last.endswith("_main") or (ROOT / "ipckit" / f"{last}.abi3.so").exists():
            continue
        try:
            loaded: Any = importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if error.name not in OPTIONAL:
                raise
            continue
        yield from (test for test in finder.find(loaded) if test.examples)
    yield from (test for test in finder.find(ipckit) if test.examples)


DOCTESTS = list(doctests())


@pytest.mark.parametrize("test", DOCTESTS, ids=lambda test: test.name)
def test_doctest(test: doctest.DocTest) -> None:
    output: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=output.append, clear_globs=False)
    test.globs.clear()
    assert runner.failures == 0, "".join(output)
    assert runner.tries > 0


def test_there_are_doctests_of_every_storey() -> None:
    places = {test.name.split(".")[1] for test in DOCTESTS}
    assert {"pipe", "fifo", "eventfd", "posix", "sockets", "ring", "testing"} <= places
    assert len(DOCTESTS) >= 12


class Block(NamedTuple):
    """A fenced block of a document."""

    path: Path
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def blocks_of(path: Path) -> Iterator[Block]:
    text = path.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        indent = len(match["indent"])
        code = "".join(line[indent:] if line.strip() else "\n" for line in match["code"].splitlines(keepends=True))
        yield Block(path, text.count("\n", 0, match.start()) + 2, match["language"].strip(), code)


BLOCKS = [block for path in DOCUMENTS for block in blocks_of(path)]
PYTHON = [block for block in BLOCKS if block.language == "python"]


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_block_runs_as_a_program_of_its_own(block: Block, tmp_path: Path) -> None:
    program = tmp_path / "example.py"
    if block.code.lstrip().startswith(">>>"):
        source = f"import doctest, sys\n__doc__ = {block.code!r}\nsys.exit(doctest.testmod().failed)\n"
    else:
        source = "\n" * (block.line - 1) + block.code  # so that tracebacks have the document's line numbers
    program.write_text(source, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-W", "error", str(program)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
        check=False,
        text=True,
    )
    assert run.returncode == 0, f"{block} ended with {run.returncode}:\n{run.stdout}"


def test_documents_have_blocks_that_run() -> None:
    """Not one block less than the documents seem to have, however they are fenced."""
    seen = {str(path): 0 for path in DOCUMENTS}
    for path in DOCUMENTS:
        opened = re.findall(r"^ *(?:```+|~~~+)\s*(py\w*)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(opened) <= {"python"}, f"{path}: spell it ```python, or it is not run"
        seen[str(path)] = len(opened)
    assert sum(seen.values()) == len(PYTHON)
    if (ROOT / "README.md").is_file():
        assert seen[str(ROOT / "README.md")] >= 1, "the README has no example"


def test_block_reader_sees_what_it_must(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(
        "# T\n\n```python\na = 1\n```\n\n1. list\n\n   ```python\n   if a:\n\n       b = 2\n   ```\n\n~~~sh\nls\n~~~\n"
    )
    assert [(block.line, block.language, block.code) for block in blocks_of(path)] == [
        (4, "python", "a = 1\n"),
        (10, "python", "if a:\n\n    b = 2\n"),
        (16, "sh", "ls\n"),
    ]
