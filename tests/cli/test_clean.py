"""`ipckit clean`: what goes, what stays, and that nothing goes unasked."""

from __future__ import annotations

import io
import json
import os
import re
import signal

import pytest

from ipckit import posix, sync
from ipckit.ring import SpscRing
from ipckit.testing import reached
from ipckit.testing import spawn as start
from tests.cli.alone import alone, call


def make_and_wait(name):
    """A ring and a mutex that nobody will have any more."""
    SpscRing.create(name)
    sync.Mutex.create(f"{name}-mutex")
    reached("made")
    signal.pause()


def leave(name):
    with start(make_and_wait, name) as child:
        child.wait_reached("made")
        child.kill()
        child.join()


def files():
    return set(os.listdir("/dev/shm"))


def actions(done):
    """What becomes of objects with names; those without are in memory of whatever process, and are seen from here."""
    rows = json.loads(done.out)["objects"]
    return {row["address"]: row["action"] for row in rows if not row["name"].startswith("[")}


def without_yes_nothing_goes():
    leave("/left")
    with SpscRing.create("/live", unlink_on_close=True):
        before = files()
        done = call("clean")
        assert done.status == 0
        lines = done.out.splitlines()
        assert lines[0].split() == ["OBJECT", "ACTION", "OWNER", "SIZE", "AGE", "REASON"]
        assert re.match(r"ring:/left +would remove  .*gone", lines[1])
        assert re.match(r"sync:/left-mutex +would remove  ", lines[2])
        assert len(lines) == 3
        assert re.match(
            r"Nothing was removed: --yes removes 2\.\nLeft alone: .*\d+ in use.*; --verbose lists", done.err
        )
        assert call("clean", "--exit-code").status == 3
        verbose = call("clean", "--verbose", "--json")
        assert actions(verbose) == {
            "ring:/left": "would remove",
            "sync:/left-mutex": "would remove",
            "ring:/live": "left alone",
        }
        assert json.loads(verbose.out)["left_alone"]["in use"] >= 1
        assert files() == before


@pytest.mark.slow
def test_without_yes_it_only_says_what_would_go(spawn):
    alone(spawn, without_yes_nothing_goes)


def with_yes_what_is_stale_goes():
    leave("/left")
    with SpscRing.create("/live") as live:
        posix.SharedMemory.create("/of-others", size=10).close()
        done = call("clean", "ring", "--yes", "--json")
        assert (done.status, actions(done)) == (0, {"ring:/left": "removed"})
        assert files() == {"ipckit.left-mutex", "ipckit.live", "of-others"}
        done = call("clean", "--yes")
        assert done.status == 0
        assert re.search(r"^sync:/left-mutex +removed ", done.out, re.MULTILINE)
        assert files() == {"ipckit.live", "of-others"}
        assert call("clean", "--exit-code").status == 0
        assert "Nothing is provably left behind." in call("clean").err
        assert call("clean", "--yes").status == 0
        live.send(b"it works")
        assert live.receive() == b"it works"
    assert actions(call("clean", "ring", "--verbose", "--json")) == {"ring:/live": "left alone"}, "its maker runs"


@pytest.mark.slow
def test_with_yes_what_is_stale_goes_and_nothing_else(spawn):
    alone(spawn, with_yes_what_is_stale_goes)


def ages_count():
    leave("/left")
    done = call("clean", "ring", "--older-than", "1h", "--yes", "--verbose", "--json")
    assert actions(done) == {"ring:/left": "left alone"}
    reasons = {row["address"]: row["reason"] for row in json.loads(done.out)["objects"]}
    assert reasons["ring:/left"].endswith("; but it is not older than that")
    assert actions(call("clean", "ring", "--older-than", "0.001s", "--json")) == {"ring:/left": "would remove"}


@pytest.mark.slow
def test_what_is_younger_than_asked_for_is_left(spawn):
    alone(spawn, ages_count)


def foreign_needs_more():
    posix.SharedMemory.create("/nobodys", size=10).close()
    with posix.SharedMemory.create("/somebodys", size=10):
        done = call("clean", "shm", "--yes", "--verbose", "--json")
        assert actions(done) == {"shm:/nobodys": "left alone", "shm:/somebodys": "left alone"}
        done = call("clean", "shm", "--foreign", "--older-than", "1h", "--yes")
        assert (done.status, len(files())) == (0, 2)
        seen = call("ls", "shm", "--json")
        unused = {row["address"] for row in json.loads(seen.out)["objects"] if row["state"] == "unused"}
        done = call("clean", "shm", "--foreign", "--older-than", "0.001s", "--yes", "--json")
        # Where some process could not be looked into, nothing is known to be unused.
        assert actions(done) == dict.fromkeys(unused, "removed")
        assert "somebodys" in files()


@pytest.mark.slow
def test_what_others_made_goes_only_with_foreign_and_an_age(spawn):
    alone(spawn, foreign_needs_more)


def use(name):
    with SpscRing.open(name) as ring:
        ring.send(b"something")


class Answers(io.StringIO):
    """Before each answer something happens."""

    def __init__(self, *steps):
        super().__init__()
        self.steps = list(steps)

    def readline(self):
        before, answer = self.steps.pop(0)
        if before:
            with start(*before) as child:
                child.result()
        return answer


def asking():
    leave("/left")
    before = files()
    done = call("clean", "--ask", answers=io.StringIO("n\n"))
    assert (done.status, files()) == (1, before)
    assert done.err.endswith("Remove this? [y/N] ")
    assert (call("clean", "--ask").status, files()) == (1, before), "the end of the input is no"
    answers = Answers(((use, "/left"), "y\n"), (None, "yes\n"))
    done = call("clean", "--ask", answers=answers)
    assert "This changed meanwhile, and could still go. Remove it? [y/N] " in done.err
    assert re.search(r"^ring:/left +kept .*changed", done.out, re.MULTILINE)
    assert re.search(r"^ring:/left +removed ", done.out, re.MULTILINE)
    assert (done.status, files(), answers.steps) == (0, set(), [])
    assert call("clean", "--ask").status == 0, "nothing to ask"


@pytest.mark.slow
def test_it_asks_and_asks_again_for_what_changed_meanwhile(spawn):
    alone(spawn, asking)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--foreign"], "--foreign needs --older-than"),
        (["--older-than", "soon"], "a time is a number and s, min, h, d or w"),
        (["--ask", "--json"], "--ask goes with neither"),
        (["--ask", "--yes"], "not allowed with"),
        (["--yes", "--exit-code"], "--exit-code is for what would be removed"),
        (["pipe"], "there is no kind 'pipe' here"),
    ],
)
def test_wrong_usage_is_status_2_and_a_sentence(ipckit, words, sentence):
    done = ipckit("clean", *words)
    assert (done.status, done.out) == (2, "")
    assert sentence in done.err
