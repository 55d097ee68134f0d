"""Processes of the command line, ended with the test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.calling import Calling, on_terminal
from tests.cli.shell import Running, prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipckit.pty import TerminalProcess


@pytest.fixture(scope="session", autouse=True)
def commands() -> Iterator[None]:
    """One interpreter for all that `tests.cli.shell.run` runs."""
    with prepared():
        yield


@pytest.fixture
def start() -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def begin(*words: object, **how: object) -> Running:
        started.append(Running(*words, **how))
        return started[-1]

    yield begin
    for process in started:
        process.close()


@pytest.fixture
def ipckit(capsys: pytest.CaptureFixture[str]) -> Iterator[Calling]:
    """Calls the command line in this process."""
    calling = Calling(capsys)
    yield calling
    calling.close()


@pytest.fixture
def terminal() -> Iterator[Callable[..., TerminalProcess]]:
    """Starts the command line on a terminal."""
    started: list[TerminalProcess] = []

    def begin(*words: object, **how: object) -> TerminalProcess:
        started.append(on_terminal(*words, **how))
        return started[-1]

    yield begin
    for process in started:
        process.close()
