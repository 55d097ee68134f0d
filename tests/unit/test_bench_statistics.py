"""Medians, intervals, ranks, percentiles."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipckit.bench.quantity import percentiles
from ipckit.bench.statistics import Summary, interval_sentence, order_statistics, ordinal, rank, summarise

edges = st.floats(min_value=0, max_value=100, allow_nan=False)


@st.composite
def summaries(draw):
    low, median, high = sorted(draw(st.tuples(edges, edges, edges)))
    return Summary(median, low, high, 1.0, 5)


@pytest.mark.parametrize(
    ("count", "k", "coverage"),
    # binomial tails: 1 - 2 * sum(C(n, i) for i < k) / 2**n
    [(1, 1, 0.0), (2, 1, 0.5), (5, 1, 0.9375), (7, 1, 0.984375), (9, 2, 0.9609375), (11, 2, 0.98828125)],
)
def test_order_statistics_are_those_of_the_binomial(count, k, coverage):
    assert order_statistics(count) == (k, coverage)


def test_an_interval_holds_the_true_median_as_often_as_it_says():
    chance = random.Random(5)
    hits = sum(
        (found := summarise([chance.expovariate(1) for _ in range(11)])).low <= 0.6931 <= found.high
        for _ in range(4000)
    )
    assert 0.98 < hits / 4000 < 0.996  # 98.8 % +- 3 standard deviations


def test_summary_of_a_known_sample():
    assert summarise([5, 1, 3, 2, 100]) == Summary(3, 1, 100, 2, 5)


def test_one_outlier_among_eleven_does_not_widen_the_interval():
    assert summarise([*range(10, 20), 1000]).high == 19


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=3), summaries(), max_size=8), st.booleans())
def test_overlapping_rows_share_a_rank_and_others_are_in_order(found, higher_is_better):
    ranks = rank(found, higher_is_better=higher_is_better)
    assert ranks.keys() == found.keys()
    for a, b in combinations(found, 2):
        if found[a].overlaps(found[b]):
            assert ranks[a] == ranks[b]
        elif ranks[a] != ranks[b]:
            a_is_better = (found[a].median > found[b].median) == higher_is_better
            assert (ranks[a] < ranks[b]) == a_is_better
    for name, position in ranks.items():
        assert position == 1 + sum(other < position for other in ranks.values()), name


def test_a_row_between_two_ties_them():
    found = {"a": Summary(10, 9, 11, 0, 5), "b": Summary(8, 7, 9.5, 0, 5), "c": Summary(7, 6, 7.2, 0, 5)}
    assert rank(found, higher_is_better=True) == {"a": 1, "b": 1, "c": 1}
    del found["b"]
    assert rank(found, higher_is_better=True) == {"a": 1, "c": 2}
    assert list(rank(found, higher_is_better=False)) == ["c", "a"]


def test_percentiles_are_nearest_ranks_and_only_where_there_are_enough_samples():
    names = ("p50", "p90", "p99", "p99.9")
    assert percentiles(list(range(1, 1001)), names) == {"p50": 500, "p90": 900, "p99": 990, "p99.9": 999}
    assert percentiles(list(range(1, 101)), names) == {"p50": 50, "p90": 90, "p99": 99}
    assert percentiles([7], names) == {"p50": 7}
    assert percentiles([], names) == {}


def test_the_sentence_names_the_interval():
    assert "2nd smallest to 2nd largest" in interval_sentence([11, 4])
    assert "smallest to largest" in interval_sentence([5])
    assert "no interval" in interval_sentence([1])
    assert interval_sentence([]) == "nothing was measured"
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 112)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th",
    ]  # fmt: skip
