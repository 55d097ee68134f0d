"""Handles on their way to another process: fork, spawn and forkserver of multiprocessing, `spawn` of ours, pickles."""

from __future__ import annotations

import multiprocessing
import pickle
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from ipckit.testing import spawn as spawn_one
from tests.contract.shapes import Made, Subject, dispose, make
from tests.contract.subjects import BY_TITLE, SUBJECTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from ipckit.testing import Spawn

every = pytest.mark.parametrize("subject", SUBJECTS, ids=str)
nameless = pytest.mark.parametrize("subject", [s for s in SUBJECTS if not s.naming and not s.addressed], ids=str)


def all_there(handles: dict[str, Any]) -> dict[str, object]:
    """In the last child: use each handle, and close it."""
    outcomes: dict[str, object] = {}
    for title, handle in handles.items():
        try:
            outcomes[title] = BY_TITLE[title].there(handle)
            handle.close()
        except Exception as error:
            outcomes[title] = error
    return outcomes


def send_all_there(handles: dict[str, Any], results: Connection) -> None:
    results.send(all_there(handles))
    results.close()


def travel(deliver: Callable[[dict[str, Any]], dict[str, object]]) -> dict[str, str]:
    """Give every handle to a child, where *deliver* has `all_there` run; what came of each."""
    made: dict[str, Made] = {}
    with ExitStack() as stack:  # what was made goes, though the next one can't be made, or does not go
        for subject in SUBJECTS:
            made[subject.title] = make(subject)
            stack.callback(dispose, subject, made[subject.title])
        for subject in SUBJECTS:
            subject.before(made[subject.title])
        results = deliver({title: handles[0] for title, handles in made.items()})
        return {subject.title: judged(subject, made[subject.title], results[subject.title]) for subject in SUBJECTS}


def travel_by_multiprocessing(method: str) -> dict[str, str]:
    """In a child, which is a parent in turn."""
    context = multiprocessing.get_context(method)

    def deliver(handles: dict[str, Any]) -> dict[str, object]:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=send_all_there, args=(handles, theirs))
        process.start()
        theirs.close()
        results: dict[str, object] = ours.recv()
        process.join()
        ours.close()
        return results

    return travel(deliver)


def judged(subject: Subject, made: Made, result: object) -> str:
    if isinstance(result, Exception):
        return repr(result)
    return "arrived" if subject.here(made, result) else f"the child had {result!r}"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_every_handle_travels_to_a_child_of_multiprocessing(method: str, spawn: Spawn) -> None:
    outcomes = spawn(travel_by_multiprocessing, method).result(timeout=50)
    assert outcomes == {subject.title: "arrived" for subject in SUBJECTS}


@pytest.fixture(scope="module")
def outcomes_of_spawn() -> dict[str, str]:
    """All in one child: it has to import all classes, which takes longer than the rest."""

    def deliver(handles: dict[str, Any]) -> dict[str, object]:
        with spawn_one(all_there, handles) as child:
            results: dict[str, object] = child.result()
        return results

    return travel(deliver)


@every
def test_handle_travels_as_an_argument_of_our_spawn(subject: Subject, outcomes_of_spawn: dict[str, str]) -> None:
    assert outcomes_of_spawn[subject.title] == "arrived"


@nameless
def test_pickle_of_the_nameless_is_a_type_error_that_says_what_to_do(subject: Subject, made: Made) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match=rf"{subject.cls.__name__}.*multiprocessing\.Process.*send_fds"):
            pickle.dumps(made[0], protocol)
