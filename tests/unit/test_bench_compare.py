"""Only what exceeds the noise of both runs is a difference."""

from __future__ import annotations

import io

import pytest

from ipckit.bench.compare import NotComparable, compare
from ipckit.bench.quantity import PAIR, THROUGHPUT
from ipckit.bench.report import Cell, Report
from ipckit.bench.terminal import print_comparison

ENVIRONMENT = {"host": "a", "cpu": "c", "kernel": "k", "python": "p", "ipckit": "i", "packages": "x"}


def make_report(rate, pair=(40.0, 41.0, 42.0), placement="cross", **environment):
    return Report(
        environment=ENVIRONMENT | environment,
        settings={"placement": placement},
        cells=[
            Cell("Pipe", THROUGHPUT, 64, {"rate": list(rate)}, [1] * 3),
            Cell("Lock", PAIR, None, {"pair": list(pair)}, [1] * 3),
            Cell("Broken", PAIR, None, reason="no"),
        ],
    )


def printed(comparison):
    text = io.StringIO()
    print_comparison(comparison, text)
    return text.getvalue()


def test_a_run_compared_with_itself_has_no_difference():
    report = make_report((100, 101, 102))
    comparison = compare(report, report)
    assert (comparison.compared, comparison.differences) == (2, [])
    assert "No difference beyond the noise, in 2 figures." in printed(comparison)


def test_a_clear_difference_is_the_only_thing_said():
    comparison = compare(make_report((100, 101, 102)), make_report((130, 131, 132)))
    (difference,) = comparison.differences
    assert (difference.row, difference.what, difference.change, difference.better) == (
        "Pipe", "throughput 64 B", "+30 %", True,
    )  # fmt: skip
    text = printed(comparison)
    assert "Pipe" in text
    assert "Lock" not in text


def test_of_a_single_repeat_no_difference_is_sure():
    once = compare(make_report((100,)), make_report((130, 131, 132)))
    assert len(once.differences) == 1
    assert "Different: 1 of 2 figures" in printed(once)
    assert "Beyond the noise" not in printed(once)
    assert " ".join(printed(once).split()).count("no difference of theirs is sure") == 1
    assert "theirs" not in printed(compare(make_report((100, 101)), make_report((130, 131))))


def test_less_is_better_for_a_time():
    comparison = compare(make_report((1, 1, 1)), make_report((1, 1, 1), pair=(400.0, 401.0, 402.0)))
    (difference,) = comparison.differences
    assert (difference.change, difference.better) == ("x 9.78", False)


def test_overlapping_intervals_are_noise():
    assert not compare(make_report((100, 110, 130)), make_report((125, 140, 150))).differences


def test_three_deviations_are_needed_as_well():
    # Disjoint intervals, but the repeats of the new run scatter by 10: 3 x 10 is more than the 25 between the medians.
    assert not compare(make_report((94, 95, 96)), make_report((110, 120, 130))).differences


@pytest.mark.parametrize("key", ["host", "cpu", "kernel"])
def test_another_machine_is_refused_unless_forced(key):
    old, new = make_report((1, 1, 1), **{key: "other"}), make_report((9, 9, 9))
    with pytest.raises(NotComparable, match=key):
        compare(old, new)
    forced = compare(old, new, force=True)
    assert len(forced.differences) == 1
    assert key in printed(forced)


def test_another_placement_is_another_measurement():
    with pytest.raises(NotComparable, match="placement"):
        compare(make_report((1, 1, 1), placement="same"), make_report((1, 1, 1)))


def test_another_python_is_only_said():
    comparison = compare(make_report((1, 1, 1), python="old"), make_report((1, 1, 1)))
    assert comparison.notices == ["different python: old, now p"]
