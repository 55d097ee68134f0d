"""Every example runs: the doctests of all modules, and each ```python block of the README and of the documents."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import os
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import ipckit
from tests.forking import Programs

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(ipckit.__file__).parent.parent
SECONDS = 30
OPTIONAL = {"rich", "matplotlib", "numpy"}
# Of the standard library alone: what of ipckit an example needs, it imports itself.
STANDARD = ("asyncio", "ctypes", "dataclasses", "doctest", "pickle", "subprocess", "tempfile", "threading", "typing")

FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>```+|~~~+)(?P<language>[^\n]*)\n(?P<code>.*?)^(?P=indent)(?P=fence) *$",
    re.MULTILINE | re.DOTALL,
)
DOCUMENTS = [path for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if path.is_file()]


def modules_with_doctests() -> Iterator[str]:
    """By their text: to import them all would cost every process of a test run seconds."""
    for path in sorted((ROOT / "ipckit").rglob("*.py")):
        if ">>> " in path.read_text(encoding="utf-8"):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = list(modules_with_doctests())


@pytest.mark.parametrize("name", MODULES)
def test_doctest(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL:
            raise
        pytest.skip(f"{error.name} is not installed")
    tests = [test for test in doctest.DocTestFinder(exclude_empty=True).find(module) if test.examples]
    assert tests
    for test in tests:
        output: list[str] = []
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
        runner.run(test, out=output.append, clear_globs=False)
        test.globs.clear()
        assert runner.failures == 0, "".join(output)
        assert runner.tries > 0


def test_there_are_doctests_of_every_storey() -> None:
    places = {name.split(".")[1] for name in MODULES}
    assert {"pipe", "fifo", "eventfd", "posix", "sockets", "ring", "testing"} <= places
    assert len(MODULES) >= 12


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


@pytest.fixture(scope="module")
def programs() -> Iterator[Programs]:
    with contextlib.closing(Programs(str(ROOT), "-W", "error", imports=STANDARD)) as programs:
        yield programs


def run(programs: Programs, program: Path, output: Path, timeout: float = SECONDS) -> int:
    with open(os.devnull, "rb") as nothing, open(output, "wb") as file:
        files = (nothing.fileno(), file.fileno(), file.fileno())
        return programs.run([str(program)], str(program.parent), files, timeout)


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_block_runs_as_a_program_of_its_own(block: Block, programs: Programs, tmp_path: Path) -> None:
    program, output = tmp_path / "example.py", tmp_path / "output"
    if block.code.lstrip().startswith(">>>"):
        source = f"import doctest, sys\n__doc__ = {block.code!r}\nsys.exit(doctest.testmod().failed)\n"
    else:
        source = "\n" * (block.line - 1) + block.code  # so that tracebacks have the document's line numbers
    program.write_text(source, encoding="utf-8")
    status = run(programs, program, output)
    assert status == 0, f"{block} ended with {status}:\n{output.read_text(errors='replace')}"


def test_a_program_that_fails_is_seen(tmp_path: Path) -> None:
    program, output = tmp_path / "example.py", tmp_path / "output"
    programs = Programs(str(ROOT), "-W", "error", imports=STANDARD)

    def told(source: str, timeout: float = SECONDS) -> tuple[int, str]:
        program.write_text(source)
        return run(programs, program, output, timeout), output.read_text()

    with contextlib.closing(programs):
        assert told("import sys; sys.exit(3)") == (3, "")
        assert told("import sys; print(__name__, __file__, sys.stdin.read())") == (0, f"__main__ {program} \n")
        status, text = told("import os\nos.no_such_thing")
        assert status == 1
        assert f'{program}", line 2' in text
        assert told("import warnings; warnings.warn('never')")[0] == 1
        assert told("import os; os.abort()")[0] == -signal.SIGABRT
        assert told("import sys; print('ipckit' in sys.modules)") == (0, "False\n")
        with pytest.raises(TimeoutError):
            told("import threading; threading.Event().wait()", 0.2)
        assert told("import sys; sys.exit(4)")[0] == 4


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
