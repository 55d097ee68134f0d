"""docs/conformance: every row names tests that exist, or says why there is none."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for path in (ROOT / "docs" / "conformance").glob("*.md") if path.name != "README.md")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
REASON = re.compile(r"no test: \S+")


@cache
def functions_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def rows_of(page: Path) -> list[tuple[int, str]]:
    """The rows of the page's tables, with their line numbers, without heads and rules."""
    lines = list(enumerate(page.read_text().splitlines(), 1))
    rules = {number for number, line in lines if re.fullmatch(r"\|[\s:|-]+\|", line)}
    heads = {number - 1 for number in rules}
    return [(number, line) for number, line in lines if line.startswith("|") and number not in rules | heads]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_claim_has_its_test_or_a_reason(page: Path) -> None:
    rows = rows_of(page)
    assert rows, f"{page.name} has no table"
    for number, row in rows:
        verdict = row.rstrip(" |").rpartition("|")[2]
        named = NAMED.findall(verdict)
        assert named or REASON.search(verdict), f"{page.name}:{number} names no test and no reason"
        for file, test in named:
            assert test in functions_in(file), f"{page.name}:{number}: {file} has no {test}"
