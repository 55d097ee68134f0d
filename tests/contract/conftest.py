"""The handle under test, with its companions, made anew for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.shapes import Made, Subject, dispose, make

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def made(subject: Subject, request: pytest.FixtureRequest) -> Iterator[Made]:
    """The list that the subject's `make` gave; skips the test where the subject's entry says why."""
    test = request.node.originalname
    if test in subject.exempt:
        pytest.skip(f"{subject}: {subject.exempt[test]}")
    made = make(subject)
    yield made
    dispose(subject, made)
