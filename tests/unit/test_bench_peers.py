"""What was promised against what a report holds: each kind of verdict, at its border."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest

from benchmarks.peers.parts import PEERS, parts
from benchmarks.peers.table import print_verdicts, word
from benchmarks.peers.targets import judge_all
from benchmarks.peers.verdicts import Figure, at_most, bandwidth, kept, steady, times
from ipckit.bench.quantity import BY_KEY
from ipckit.bench.report import Cell, Report


def reports(part, **figures):
    """Reports with one part; each figure is ``row=(key, size, samples)``."""
    cells = [
        Cell(row, BY_KEY[key], size, {BY_KEY[key].statistics[0]: list(samples)}, [1] * len(samples))
        for row, questions in figures.items()
        for key, size, samples in questions
    ]
    return {part: Report(cells=cells)}


@pytest.mark.parametrize(
    ("key", "ours", "theirs", "ratio", "met", "sure"),
    [
        ("throughput", [200.0, 200.0], [100.0, 100.0], 2, True, True),
        ("throughput", [199.0, 199.0], [100.0, 100.0], 1.99, False, True),
        ("throughput", [150.0, 260.0], [100.0, 100.0], 2.05, True, False),
        ("throughput", [200.0], [100.0], 2, True, False),  # one repeat has no interval
        ("roundtrip", [50.0, 50.0], [100.0, 100.0], 2, True, True),
        ("roundtrip", [60.0, 60.0], [100.0, 100.0], 1.667, False, True),
    ],
)
def test_so_many_times_better(key, ours, theirs, ratio, met, sure):
    found = reports("p", mine=[(key, 8, ours)], peer=[(key, 8, theirs)])
    verdict = times(Figure("p", key, 8, "mine"), "peer", 2)(found)
    assert verdict.details["ratio"] == pytest.approx(ratio, rel=1e-3)
    assert (verdict.met, verdict.sure) == (met, sure)


def test_absolute_bounds():
    trip = at_most(Figure("p", "roundtrip", 8, "mine"), 1200)
    assert trip(reports("p", mine=[("roundtrip", 8, [1200.0, 1200.0])])).met
    assert trip(reports("p", mine=[("roundtrip", 8, [1201.0, 1201.0])])).met is False
    wide = bandwidth(Figure("p", "throughput", 65536, "mine"), 9)
    verdict = wide(reports("p", mine=[("throughput", 65536, [9e9 / 65536] * 2)]))
    assert (verdict.met, verdict.reached) == (True, "9.00 GB/s")


def test_a_figure_that_must_not_grow_or_fall():
    costs = [("fan cost", 1, [100.0] * 2), ("fan cost", 2, [120.0] * 2), ("fan cost", 8, [105.0] * 2)]
    flat = steady("p", "fan cost", "mine", (1, 2, 8), 1.1)(reports("p", mine=costs))
    assert (flat.reached, flat.met, flat.sure) == ("1.20x", False, True)
    rates = [("crowd", 1, [100.0] * 2), ("crowd", 4, [85.0] * 2)]
    lost = steady("p", "crowd", "mine", (1, 4), 0.8, rising=False)(reports("p", mine=rates))
    assert (lost.wanted, lost.reached, lost.met) == ("at least 0.800x", "0.850x", True)
    missing = steady("p", "crowd", "mine", (1, 2, 4), 0.8)(reports("p", mine=rates))
    assert (missing.met, missing.reached) == (None, "not measured")


def test_what_was_not_promised_is_neither_met_nor_missed():
    found = reports("one-way", mine=[("throughput", 64, [1000.0]), ("beside", None, [450.0])])
    verdict = kept("mine")(found)
    assert (verdict.reached, verdict.met, word(verdict)) == ("45 %", None, "")


def test_all_promises_are_judged_and_only_those_of_the_parts_that_were_measured():
    names = [part.name for part in parts(quick=True)]
    everything = judge_all({name: Report() for name in names})
    assert {verdict.part for verdict in everything} == set(names)
    assert all(verdict.met is None for verdict in everything)
    whats = [(verdict.part, verdict.what) for verdict in everything]
    assert len(whats) == len(set(whats))
    assert {verdict.part for verdict in judge_all({"dicts": Report()})} == {"dicts"}
    text = StringIO()
    print_verdicts(everything, text)
    promised = sum(bool(verdict.wanted) for verdict in everything)
    assert text.getvalue().rstrip().endswith(f"0 met, 0 missed, {promised} not measured")


def test_each_peer_has_rows_and_an_exact_version():
    folder = Path(__file__).parent.parent.parent / "benchmarks" / "peers"
    wanted = dict(re.findall(r"^([\w-]+)==([\d.]+)", (folder / "requirements.txt").read_text(), re.MULTILINE))
    for package, module in PEERS.items():
        assert package in wanted
        assert f'family = "{package}"' in (folder / "rows" / f"{module}.py").read_text()


def test_a_quick_run_has_a_bound_in_each_part():
    assert sum(part.settings.budget for part in parts(quick=True)) < 150
    assert all(part.settings.budget is None for part in parts(quick=False))
