"""Sizes, rates and times as text."""

from __future__ import annotations

import pytest

from ipckit.bench.units import (
    about,
    age_text,
    counted,
    digits,
    factor_text,
    parse_age,
    parse_size,
    rate_text,
    size_text,
    time_text,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [("8", 8), ("64 B", 64), ("1k", 1024), ("64KiB", 65536), ("1M", 1 << 20), (" 2kb ", 2048), ("1g", 1 << 30)],
)
def test_sizes_are_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5k", "k", "2g", "8 bytes", "1t"])
def test_other_sizes_are_refused_with_a_reason(text):
    with pytest.raises(ValueError, match="a size"):
        parse_size(text)


@pytest.mark.parametrize(("size", "text"), [(8, "8 B"), (1024, "1 KiB"), (1500, "1500 B"), (3 << 20, "3 MiB")])
def test_sizes_are_written_exactly(size, text):
    assert size_text(size) == text
    assert parse_size(text) == size


def test_three_digits():
    values = (0, 0.0412, 0.412, 1.017, 9.996, 62.34, 62.35, 99.96, 412.4, 4150)
    assert [digits(value) for value in values] == [
        "0", "0.0412", "0.412", "1.02", "10.00", "62.3", "62.4", "100.0", "412", "4150",
    ]  # fmt: skip


def test_one_is_no_plural():
    assert [counted(number, "CPU") for number in (0, 1, 2)] == ["0 CPUs", "1 CPU", "2 CPUs"]


def test_rates_and_times_have_a_unit():
    assert [rate_text(rate) for rate in (950, 999.9, 41_700, 5_610_000, 2e9)] == [
        "950", "1.00 k", "41.7 k", "5.61 M", "2.00 G",
    ]  # fmt: skip
    assert [time_text(ns) for ns in (48.2, 1017, 62_300, 3.4e6, 2e9)] == [
        "48.2 ns", "1.02 µs", "62.3 µs", "3.40 ms", "2.00 s",
    ]  # fmt: skip
    assert [factor_text(factor) for factor in (1.0, 0.0341, 19.34)] == ["1x", "0.034x", "19.3x"]


def test_sizes_in_three_digits():
    sizes = (0, 1023, 4096, 1536, 1_234_567, 5 << 28, 3 << 40)
    assert [about(size) for size in sizes] == [
        "0 B",
        "1023 B",
        "4 KiB",
        "1.50 KiB",
        "1.18 MiB",
        "1.25 GiB",
        "3072 GiB",
    ]


def test_ages_are_whole_and_change_their_unit_at_two():
    ages = (0.9, 119.9, 120, 7199, 7200, 172_799, 172_800)
    assert [age_text(age) for age in ages] == ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), (" 15 min ", 900), ("15m", 900), ("2h", 7200), ("1.5d", 129_600), ("2W", 1_209_600)],
)
def test_ages_are_read(text, seconds):
    assert parse_age(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "-1h", "2 y", "1e3", "nan", "1.2.3"])
def test_other_ages_are_refused_with_a_reason(text):
    with pytest.raises(ValueError, match="a time is a number"):
        parse_age(text)
