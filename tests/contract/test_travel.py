"""Handles on their way to another process: fork, spawn and forkserver of multiprocessing, `spawn` of ours, pickles."""

from __future__ import annotations

import multiprocessing
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.shapes import Made, Subject, dispose, make
from tests.contract.subjects import BY_TITLE, SUBJECTS

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from ipckit.testing import Spawn

every = pytest.mark.parametrize("subject", SUBJECTS, ids=str)
nameless = pytest.mark.parametrize("subject", [s for s in SUBJECTS if not s.naming and not s.addressed], ids=str)


def all_there(handles: dict[str, Any], results: Connection) -> None:
    """In the last child: use each handle, and close it."""
    outcome = {}
    for title, handle in handles.items():
        try:
            outcome[title] = BY_TITLE[title].there(handle)
            handle.close()
        except Exception as error:
            outcome[title] = error
    results.send(outcome)
    results.close()


def travel(method: str) -> dict[str, str]:
    """In a child, which is a parent in turn: give every handle to a process of *method*; what came of each."""
    context = multiprocessing.get_context(method)
    made = {subject.title: make(subject) for subject in SUBJECTS}
    try:
        for subject in SUBJECTS:
            subject.before(made[subject.title])
        ours, theirs = context.Pipe(duplex=False)
        handles = {title: handles[0] for title, handles in made.items()}
        process = context.Process(target=all_there, args=(handles, theirs))
        process.start()
        theirs.close()
        results = ours.recv()
        process.join()
        ours.close()
        return {subject.title: judged(subject, made[subject.title], results[subject.title]) for subject in SUBJECTS}
    finally:
        for subject in SUBJECTS:
            dispose(subject, made[subject.title])


def judged(subject: Subject, made: Made, result: object) -> str:
    if isinstance(result, Exception):
        return repr(result)
    return "arrived" if subject.here(made, result) else f"the child had {result!r}"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_every_handle_travels_to_a_child_of_multiprocessing(method: str, spawn: Spawn) -> None:
    outcomes = spawn(travel, method).result(timeout=50)
    assert outcomes == {subject.title: "arrived" for subject in SUBJECTS}


def one_there(title: str, handle: Any) -> object:
    result = BY_TITLE[title].there(handle)
    handle.close()
    return result


@every
def test_handle_travels_as_an_argument_of_our_spawn(subject: Subject, made: Made, spawn: Spawn) -> None:
    subject.before(made)
    result = spawn(one_there, subject.title, made[0]).result()
    assert subject.here(made, result)


@nameless
def test_pickle_of_the_nameless_is_a_type_error_that_says_what_to_do(subject: Subject, made: Made) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match=rf"{subject.cls.__name__}.*multiprocessing\.Process.*send_fds"):
            pickle.dumps(made[0], protocol)
